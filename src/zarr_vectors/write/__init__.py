"""From elements to a store: options, partition, encode, commit (payload first, root metadata last)."""
