"""From a query to a result: plan, fetch, decode, assemble."""
