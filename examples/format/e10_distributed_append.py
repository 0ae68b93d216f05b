"""Many workers trace neurons in different tiles of a volume, and one store takes in what they find.

Example 14.10 of the Zarr Vectors specification; the layout is that of example 14.3. Tracing runs in parallel. What
concerns the whole store (object index, links between chunks) is written by one writer, tile after tile: every append
is atomic and keeps what was there, so that a reader sees whole tiles at any time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from zarr_vectors.types.graphs import write_graph

TILE, TILES = 100.0, 2
BOUNDS = ([0.0] * 3, [TILE * TILES, TILE * TILES, TILE])
NEURONS, NODES = 3, 60


def trace_tile(tile: tuple[int, int]) -> tuple[list[Any], list[Any], Any]:
    """Return the nodes and edges (child, parent) of the neurons of one tile, and their ids."""
    number = tile[0] * TILES + tile[1]
    random = np.random.default_rng([1410, number])
    nodes, edges = [], []
    for _ in range(NEURONS):
        soma = np.array([*tile, 0]) * TILE + random.uniform(30, 70, 3)
        parent = np.arange(NODES) - 1
        parent[NODES // 2] = int(random.integers(1, NODES // 2 - 1))
        steps = random.normal(0.5, 2.0, (NODES, 3))
        walk = np.cumsum(steps, axis=0)
        walk[NODES // 2 :] += walk[parent[NODES // 2]] - walk[NODES // 2 - 1]
        nodes.append(np.clip(soma + walk, 0, np.array(BOUNDS[1]) - 1e-2).astype(np.float32))
        edges.append(np.column_stack([np.arange(1, NODES), parent[1:]]))
    return nodes, edges, 1000 * number + np.arange(NEURONS)


def tiles() -> list[tuple[int, int]]:
    """Return the tiles of the volume."""
    return [(i, j) for i in range(TILES) for j in range(TILES)]


def build(path: str, format_version: str = "0.9") -> None:
    """Trace tiles in parallel and append the skeletons of each to one store."""
    mode = "w"
    with ThreadPoolExecutor(max_workers=2) as workers:
        for nodes, edges, ids in workers.map(trace_tile, tiles()):
            write_graph(
                path,
                nodes,
                edges,
                geometry_type="skeleton",
                is_directed=True,
                object_ids=ids,
                keep_order=True,
                chunk_shape=TILE / 2,
                bin_shape=TILE / 4,
                bounds=BOUNDS,
                axis_units="micrometer",
                format_version=format_version,
                mode=mode,
            )
            mode = "a"


if __name__ == "__main__":
    from running import run

    run(build, __file__)
