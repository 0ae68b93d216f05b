"""Coarse levels: strategies that coarsen one level, and the pyramid built of them."""
