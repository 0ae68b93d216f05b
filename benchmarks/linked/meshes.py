"""Meshes: a thousand objects."""

from __future__ import annotations

from benchmarks.linked.comparing import comparisons
from benchmarks.linked.networks import make_meshes

NAME = "Meshes"
PACKAGE = "benchmarks.linked"
SIZES = (500_000,)
ROW_BYTES = 36
make_data = make_meshes
COMPARISONS = comparisons("meshes", box="box 100³", whole=40, boxes=100)
