"""Rules that a store must obey, one small function each, and the report they make."""
