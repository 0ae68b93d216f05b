"""The links inside a chunk are cut where its vertices are, so that those of one object are a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zarr_vectors.encoding.links import decode_link_rows
from zarr_vectors.formats.objects import parse_fragments
from zarr_vectors.read.fetch import decode_fragments, decode_payloads, fetch_cells
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.graphs import write_graph
from zarr_vectors.types.meshes import write_mesh


@pytest.mark.parametrize("revision", ["0.7", "0.9"])
@pytest.mark.parametrize("kind", ["graph", "mesh"])
def test_links_of_an_object_are_a_slice(tmp_path: Path, kind: str, revision: str) -> None:
    rng = np.random.default_rng(3)
    parts = [rng.uniform(0, 60, (40, 3)) for _ in range(5)]
    width = 2 if kind == "graph" else 3
    links = [np.array([rng.choice(40, width, replace=False) for _ in range(70)]) for _ in parts]
    write = write_graph if kind == "graph" else write_mesh
    write(tmp_path / "s.zv", parts, links, chunk_shape=50, format_version=revision)
    level = open_reader(tmp_path / "s.zv").level(0)
    inside = next(array for array in level.arrays.links[0].arrays if not np.any(array.offsets))
    vertex_fragments, link_fragments = level.arrays.vertex_fragments, level.arrays.link_fragments
    assert vertex_fragments is not None
    assert link_fragments is not None
    seen = 0
    for chunk in level.chunks:
        rows, of_rows, of_links = fetch_cells(
            level.storage, [inside.cells, vertex_fragments, link_fragments], chunk[None]
        )
        payload = decode_payloads([rows])[0]
        if not payload:
            continue
        stored, _ = decode_link_rows(payload, width, has_perm=False)
        vertices, cut = decode_fragments(of_rows), parse_fragments(decode_payloads([of_links]))
        assert cut.count == vertices.count
        for start, count, first, size in zip(cut.starts, cut.counts, vertices.starts, vertices.counts, strict=True):
            mine = stored[start : start + count]
            assert ((mine >= first) & (mine < first + size)).all()
        assert int(cut.counts.sum()) == len(stored)
        seen += len(stored)
    assert seen > 20
