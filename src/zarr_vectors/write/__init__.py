"""Partition → encode → commit: payload first, indexes next, root metadata last."""
