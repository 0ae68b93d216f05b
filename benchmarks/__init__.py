"""Measures this package against a hand-written floor and the reference implementation, in one run."""
