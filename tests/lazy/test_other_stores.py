"""Stores of other writers, and stores that were changed through the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lazy.stores import REVISIONS, fresh, same
from zarr_vectors.lazy import open_zv
from zarr_vectors.lazy.kinds import KINDS
from zarr_vectors.lazy.writer import ZVWriter

NAMES = ("graph", "lines", "mesh_pyr", "points2d", "points_obj", "points_pyr", "skeleton_pyr", "streamlines_pyr")


@pytest.mark.parametrize("name", NAMES)
def test_stores_of_the_reference_are_read_in_parts(name: str, stores_07: Path) -> None:
    path = stores_07 / f"{name}.zv"
    random = np.random.default_rng(0)
    with open_zv(path) as dataset:
        for level in dataset:
            assert same(level.read(), KINDS[str(dataset.geometry_type)].reader(path, level=level.index))
            positions = np.concatenate([chunk.positions for chunk in level.iter_chunks()]).astype(np.float64)
            assert len(positions) == level.vertex_count == level.count()
            corners = random.uniform(positions.min(axis=0), positions.max(axis=0), (4, 2, positions.shape[1]))
            for box in zip(corners.min(axis=1), corners.max(axis=1) + 1e-3, strict=True):
                inside = int(((positions >= box[0]) & (positions < box[1])).all(axis=1).sum())
                assert level.count(box) == sum(len(chunk) for chunk in level.iter_chunks(box)) == inside
            if len(level.objects):
                assert level.object_count == len(list(level.objects))
                assert level.objects[level.objects.ids[0]] is not None


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_dataset_sees_what_its_writer_wrote(revision: str) -> None:
    with open_zv(fresh("points", revision), "r+") as dataset:
        level = dataset[0]
        before: Any = level.read()
        held = dataset.cache
        with level.writer() as writer:
            assert isinstance(writer, ZVWriter)
            writer.add_attribute_sync("double", 2 * before.positions[:, 0])
        after: Any = level.read()
        assert np.array_equal(after.attributes["double"], 2 * before.positions[:, 0])
        assert "double" in level.attribute_names
        assert dataset.cache is not held
