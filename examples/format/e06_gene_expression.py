"""Multiplexed FISH, cell by cell: a matrix of gene counts as one attribute with a channel per gene.

Example 14.6 of the Zarr Vectors specification. Every cell is a vertex and an object; clusters of one cell type are
groups, and the broader type is an attribute of the group. ``build_by_gene`` writes the same counts with one vertex per
cell and gene, chunked by gene, so that one gene can be read without the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.types.points import write_points

EXTENT = 1000.0
CELLS = 800
GENES = tuple(f"GENE{number}" for number in range(12))
CELL_TYPES = ("L2/3 IT", "L5 ET", "Pvalb", "astrocyte", "microglia")
SUPER_TYPES = ("neuron", "neuron", "neuron", "glia", "glia")
LAYOUT: dict[str, Any] = {
    "chunk_shape": 250,
    "bin_shape": 125,
    "bounds": ([0.0] * 2, [EXTENT] * 2),
    "axis_units": "micrometer",
}


def make_cells(seed: int = 146) -> tuple[Any, Any, Any]:
    """Return the centroids of cells in µm, their counts by gene, and the number of their type."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, len(CELL_TYPES), CELLS)
    centroids = random.uniform(0, EXTENT, (CELLS, 2)).astype(np.float32)
    rates = random.gamma(1.0, 4.0, (len(CELL_TYPES), len(GENES)))
    return centroids, random.poisson(rates[kind]).astype(np.uint16), kind.astype(np.uint16)


def build(path: str, format_version: str = "0.9") -> None:
    """Write cells with a matrix of gene counts, their types and clusters."""
    centroids, counts, kind = make_cells()
    write_points(
        path,
        centroids,
        attributes={"gene_expression": counts, "cell_type": kind},
        attribute_specs={"gene_expression": {"channel_names": GENES, "description": "transcripts counted"}},
        object_ids=np.arange(CELLS),
        groups={number: np.flatnonzero(kind == number).tolist() for number in range(len(CELL_TYPES))},
        group_attributes={"cell_type_name": np.array(CELL_TYPES), "super_type": np.array(SUPER_TYPES)},
        format_version=format_version,
        **LAYOUT,
    )


def build_by_gene(path: str, format_version: str = "0.9") -> None:
    """Write one vertex per cell and gene that was counted in it, chunked by gene."""
    centroids, counts, _ = make_cells()
    cell, gene = np.nonzero(counts)
    write_points(
        path,
        centroids[cell],
        attributes={"gene": np.array(GENES)[gene], "count": counts[cell, gene], "cell": cell.astype(np.uint32)},
        chunk_by_attribute="gene",
        format_version=format_version,
        **LAYOUT,
    )


if __name__ == "__main__":
    from running import run

    run(build, __file__)
