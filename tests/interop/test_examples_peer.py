"""The format examples, written here in revision 0.9, read and validated by the reference.

It finds no polylines where there is no object index: of the single-chunk example it reads the vertices, which lie in
the order of the streamlines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.format import (
    e01_nuclei,
    e02_mesh_pyramid,
    e03_skeletons,
    e04_vessels_2d,
    e05_tracks_xyzt,
    e06_gene_expression,
    e07_spots_to_cells,
    e08_trx_single_chunk,
    e09_shared_streamlines,
    e10_distributed_append,
)
from tests.interop.conftest import RunPeer

pytestmark = pytest.mark.peer


def _corners(vertices: list[Any], links: list[Any]) -> Any:
    return np.concatenate([nodes[rows] for nodes, rows in zip(vertices, links, strict=True)])


def _neurons() -> Any:
    nodes, edges, _, _ = zip(*e03_skeletons.make_neurons(), strict=True)
    return _corners(list(nodes), list(edges))


def _traced() -> Any:
    tiles = [e10_distributed_append.trace_tile(tile) for tile in e10_distributed_append.tiles()]
    return np.concatenate([_corners(nodes, edges) for nodes, edges, _ in tiles])


def _surface() -> Any:
    vertices, faces = e02_mesh_pyramid.make_surface()
    return vertices[faces]


EXAMPLES: dict[str, tuple[Any, str, Any]] = {
    "e01": (e01_nuclei, "points", lambda: e01_nuclei.make_nuclei()[0]),
    "e02": (e02_mesh_pyramid, "mesh", _surface),
    "e03": (e03_skeletons, "skeleton", _neurons),
    "e04": (e04_vessels_2d, "polylines", lambda: e04_vessels_2d.make_vessels()[0]),
    "e05": (e05_tracks_xyzt, "polylines", e05_tracks_xyzt.make_tracks),
    "e06": (e06_gene_expression, "points", lambda: e06_gene_expression.make_cells()[0]),
    "e07": (e07_spots_to_cells, "points", lambda: e07_spots_to_cells.make_spots()["spots"]),
    "e08": (e08_trx_single_chunk, "rows", lambda: e08_trx_single_chunk.make_streamlines()[0]),
    "e09": (e09_shared_streamlines, "polylines", lambda: e09_shared_streamlines.make_tracts()[0]),
    "e10": (e10_distributed_append, "skeleton", _traced),
}


def _sorted(records: Any) -> Any:
    """Return records in one order, each turned so that its least corner is first and its winding stays."""
    records = np.asarray(records)
    if records.ndim == 3:
        least = np.array([min(range(len(record)), key=lambda i: tuple(record[i])) for record in records.tolist()])
        turned = (least[:, None] + np.arange(records.shape[1])) % records.shape[1]
        records = np.take_along_axis(records, turned[:, :, None], axis=1).reshape(len(records), -1)
    return records[np.lexsort(records.T[::-1])]


@pytest.fixture(scope="module")
def read_by_peer(run_peer: RunPeer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], Path]]:
    """Build every example and let the reference validate and read it."""
    folder = tmp_path_factory.mktemp("examples")
    jobs = []
    for name, (module, kind, _) in EXAMPLES.items():
        module.build(str(folder / name))
        jobs.append({"store": str(folder / name), "kind": kind, "out": str(folder / f"{name}.npz")})
    answers = run_peer(jobs, script="peer_examples.py")
    return {name: (errors, folder / f"{name}.npz") for name, errors in zip(EXAMPLES, answers, strict=True)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_reference_reads_the_example(read_by_peer: dict[str, tuple[list[str], Path]], name: str) -> None:
    errors, out = read_by_peer[name]
    assert errors == []
    _, kind, make = EXAMPLES[name]
    found, expected = np.load(out), make()
    if kind == "polylines":
        assert found["lengths"].tolist() == [len(path) for path in expected]
        assert found["positions"].astype(np.float32).tobytes() == np.concatenate(expected).tobytes()
    elif kind == "rows":
        assert found["positions"].astype(np.float32).tobytes() == np.concatenate(expected).tobytes()
    elif kind == "points":
        assert np.array_equal(_sorted(found["positions"]), _sorted(expected))
    else:
        assert np.array_equal(_sorted(found["corners"]), _sorted(expected))
