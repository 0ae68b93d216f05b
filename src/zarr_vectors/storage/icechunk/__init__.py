"""Stores in Icechunk repositories: sessions, the keys in them, and bringing changes of two versions together."""
