"""What notebooks and prompts show."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from tests.lazy.stores import KINDS, REVISIONS, store
from zarr_vectors.lazy import open_zv
from zarr_vectors.types.points import write_points


class Table(HTMLParser):
    """Collects cells, and refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_shows_its_levels(kind: str, revision: str) -> None:
    with open_zv(store(kind, revision)) as dataset:
        cells = Table(dataset._repr_html_()).cells
        for level in dataset:
            assert f"{level.vertex_count:,}" in cells
            assert str(level.index) in cells
        assert dataset.geometry_type in cells
        assert dataset.geometry_type in repr(dataset)
        assert dataset.geometry_type in repr(dataset[0])
        assert f"{dataset.n_objects:,}" in cells


def test_the_summary_is_that_of_the_tutorial() -> None:
    with open_zv(store("points")) as dataset:
        lines = dataset.summary().splitlines()
        assert lines[:5] == [
            "geometry_type: point_cloud",
            "spatial_dims: 3",
            "chunk_shape: [25.0, 25.0, 25.0]",
            "bin_shape: [12.5, 12.5, 12.5]",
            "0: 1500 vertices, 64 chunks",
        ]
        assert len(lines) == 4 + len(dataset)
    with open_zv(store("objects")) as dataset:
        assert "objects: 40" in dataset.summary()


def test_stored_text_is_escaped() -> None:
    path = "memory://lazy-<script>alert(1)<&script>"
    axes = [{"name": "<img src=x>", "unit": "a&b"}, {"name": "y"}]
    write_points(path, np.ones((2, 2)), axes=axes, chunk_shape=5)
    with open_zv(path) as dataset:
        shown = Table(dataset._repr_html_())
        assert "<script" not in dataset._repr_html_()
        assert shown.tags <= {"div", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}
        assert "<img src=x> (a&b), y" in shown.cells
    closed = Table(dataset._repr_html_())
    assert closed.tags == {"p"}
