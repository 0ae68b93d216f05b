"""Skeletons of cortical neurons: trees that span many chunks and store links only where they branch.

Example 14.3 of the Zarr Vectors specification. Nodes are stored along branches, in which the parent of a row is the row
before; a link (child, parent) is stored at branch points and where a branch enters another chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import write_graph

EXTENT = 400.0
SOMA, AXON, DENDRITE = 0, 1, 2
NEURONS, BRANCHES, NODES = 8, 12, 25


def grow_neuron(random: np.random.Generator, soma: Any) -> tuple[Any, Any, Any, Any]:
    """Return the nodes of a neuron, its edges (child, parent), and type and radius of every node."""
    positions, types = [np.asarray(soma)[None]], [np.array([SOMA])]
    edges = []
    first = 1
    for branch in range(BRANCHES):
        start = 0 if branch < 4 else int(random.integers(1, first))
        steps = random.normal(0, 2, 3) + random.normal(0, 1, (NODES, 3))
        positions.append(np.concatenate(positions)[start] + np.cumsum(steps, axis=0))
        types.append(np.full(NODES, AXON if branch == 0 else DENDRITE))
        rows = np.arange(first, first + NODES)
        edges.append(np.stack([rows, np.concatenate([[start], rows[:-1]])], axis=1))
        first += NODES
    kinds = np.concatenate(types).astype(np.uint8)
    radii = np.where(kinds == SOMA, 6.0, np.where(kinds == AXON, 0.4, 0.8)) * random.uniform(0.8, 1.2, first)
    nodes = np.clip(np.concatenate(positions), 0, EXTENT - 1e-2)
    return nodes.astype(np.float32), np.concatenate(edges), kinds, radii.astype(np.float32)


def make_neurons(seed: int = 143) -> list[tuple[Any, Any, Any, Any]]:
    """Return neurons with somata all over the volume."""
    random = np.random.default_rng(seed)
    return [grow_neuron(random, random.uniform(100, 300, 3)) for _ in range(NEURONS)]


def build(path: str, format_version: str = "0.9") -> None:
    """Write skeletons with node types and radii, and two coarse levels."""
    nodes, edges, kinds, radii = zip(*make_neurons(), strict=True)
    write_graph(
        path,
        list(nodes),
        list(edges),
        geometry_type="skeleton",
        is_directed=True,
        keep_order=True,
        chunk_shape=100,
        bin_shape=25,
        bounds=([0.0] * 3, [EXTENT] * 3),
        attributes={"vertex_type": list(kinds), "radius": list(radii)},
        attribute_specs={
            "vertex_type": {"description": "0 soma, 1 axon, 2 dendrite"},
            "radius": {"unit": "micrometer"},
        },
        axis_units="micrometer",
        format_version=format_version,
    )
    build_pyramid(path, factors=[(2, 1), (4, 1)], cross_level_storage="implicit")


if __name__ == "__main__":
    from running import run

    run(build, __file__)
