"""Chunking a store anew: by other chunks of space, or by groups, objects or attributes before space."""
