"""Stores that were packed into shards, or out of them, read there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.every_kind import write_kind
from zarr_vectors.core.store import shard_store, unshard_store
from zarr_vectors.types.points import read_points

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("kind", ["points", "point_objects", "attribute_points"])
def test_the_reference_reads_packed_points(run_peer: Any, tmp_path: Path, kind: str) -> None:
    jobs: list[dict[str, Any]] = []
    for name in ("packed", "unpacked"):
        path = tmp_path / f"{name}.zv"
        write_kind(kind, path, levels=1, cross=None, shard_shape=None if name == "packed" else 3)
        if name == "packed":
            shard_store(path, (2, 2, 3))
        else:
            unshard_store(path)
        for level in range(2):
            out = str(tmp_path / f"{name}{level}.npz")
            jobs.append({"do": "read", "store": str(path), "out": out, "level": level, "attributes": ["n"]})
        jobs.append({"do": "check", "store": str(path)})
    answers = run_peer(jobs)
    assert [answer["errors"] for answer in answers[2::3]] == [[], []]
    for level in range(2):
        wanted = read_points(tmp_path / "packed.zv", level=level)
        for name in ("packed", "unpacked"):
            with np.load(tmp_path / f"{name}{level}.npz") as found:
                order, expected = np.lexsort(found["positions"].T), np.lexsort(wanted.positions.T)
                np.testing.assert_array_equal(found["positions"][order], wanted.positions[expected])
                np.testing.assert_array_equal(found["attribute:n"][order], wanted.attributes["n"][expected])
