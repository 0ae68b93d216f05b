"""Skeletons: a thousand objects."""

from __future__ import annotations

from benchmarks.linked.comparing import comparisons
from benchmarks.linked.networks import make_skeletons

NAME = "Skeletons"
PACKAGE = "benchmarks.linked"
SIZES = (1_000_000,)
ROW_BYTES = 28
make_data = make_skeletons
COMPARISONS = comparisons("skeletons", box="box 160³", whole=4, boxes=10)
