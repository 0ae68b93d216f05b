"""Graphs: a thousand objects."""

from __future__ import annotations

from benchmarks.linked.comparing import comparisons
from benchmarks.linked.networks import make_graphs

NAME = "Graphs"
PACKAGE = "benchmarks.linked"
SIZES = (1_000_000,)
ROW_BYTES = 44
make_data = make_graphs
COMPARISONS = comparisons("graphs", box="box 160³", whole=40, boxes=100)
