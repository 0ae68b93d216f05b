"""SWC files to skeletons and back, with the neurons of navis' package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.downloads import files_of_wheel
from tests.graphs.networks import ends
from zarr_vectors.convert.swc import export_swc, ingest_swc, read_swc
from zarr_vectors.exceptions import ArgumentError, ArrayError, StoreNotFoundError, UnknownNameError
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph

WHEEL = "navis==1.12.0"
SMALL = "# a neuron\n1 1 0 0 0 2.5 -1\n2 3 1 0 0 1 1\n 5 3 2 0.1 0 1 2\n7 3 1 1 0 1e-3 2\n"


@pytest.fixture(scope="session")
def neurons() -> list[Path]:
    """Return the example neurons."""
    return files_of_wheel(WHEEL, lambda name: name.startswith("navis/data/swc/") and name.endswith(".swc"))


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_neurons_come_back_exactly(tmp_path: Path, neurons: list[Path], revision: str) -> None:
    store = tmp_path / "neurons.zv"
    ids = [7, 3, 100, 5, 1][: len(neurons)]
    ingest_swc(neurons, store, object_ids=ids, chunk_shape=4000, format_version=revision)
    for number, file in zip(ids, neurons, strict=True):
        neuron = read_swc(file)
        found = read_graph(store, object_ids=[number])
        assert ends(found.positions, found.edges, directed=True) == ends(neuron.positions, neuron.edges, directed=True)
        order = np.argsort(found.attributes["swc_id"])
        np.testing.assert_array_equal(found.attributes["radius"][order], neuron.radius[np.argsort(neuron.ids)])
        export_swc(store, tmp_path / "out.swc", object_id=number)
        again = read_swc(tmp_path / "out.swc")
        for name in ("positions", "edges", "radius", "label", "ids", "comments"):
            np.testing.assert_array_equal(again[name], neuron[name])


def test_neurons_keep_their_branches_when_coarsened(tmp_path: Path, neurons: list[Path]) -> None:
    store = tmp_path / "neurons.zv"
    summary = ingest_swc(neurons[:2], store, chunk_shape=4000, bin_shape=1000)
    assert summary.stored_edge_count < summary.edge_count / 3
    build_pyramid(store, [(2, 1)])
    fine, coarse = read_graph(store), read_graph(store, level=1)
    assert coarse.node_count < fine.node_count
    leaves = [np.setdiff1d(np.arange(r.node_count), r.edges[:, 1]) for r in (fine, coarse)]
    tips = [r.positions[rows] for r, rows in zip((fine, coarse), leaves, strict=True)]
    np.testing.assert_array_equal(*[tip[np.lexsort(tip.T)] for tip in tips])
    assert export_swc(store, tmp_path / "coarse.swc", object_id=1, level=1) == (coarse.object_ids == 1).sum()
    assert len(read_swc(tmp_path / "coarse.swc").positions) == (coarse.object_ids == 1).sum()


def test_a_small_file(tmp_path: Path) -> None:
    file = tmp_path / "small.swc"
    file.write_text(SMALL)
    neuron = read_swc(file)
    assert neuron.edges.tolist() == [[1, 0], [2, 1], [3, 1]]
    assert neuron.ids.tolist() == [1, 2, 5, 7]
    assert neuron["comments"] == ("a neuron",)
    ingest_swc(file, tmp_path / "s.zv", metadata={"by": "me"})
    assert export_swc(tmp_path / "s.zv", tmp_path / "out.swc") == 4
    assert (tmp_path / "out.swc").read_text().startswith("# a neuron\n1 1 0 0 0 2.5 -1\n")


def test_a_file_without_nodes(tmp_path: Path) -> None:
    (tmp_path / "empty.swc").write_text("# nothing\n")
    assert len(read_swc(tmp_path / "empty.swc").positions) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 0 0 1\n", "seven numbers a line"),
        ("1 0 0 0 x 1 -1\n", "seven numbers a line"),
        ("1 0 0 0 0 1 -1\n1 0 0 0 0 1 1\n", "number 1 is given to several nodes"),
        ("1 0 0 0 0 1 9\n", "the parent of node 1 is 9"),
        ("1.5 0 0 0 0 1 -1\n", "no whole number"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.swc").write_text(text)
    with pytest.raises(ArrayError, match=message):
        read_swc(tmp_path / "bad.swc")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no such file"):
        read_swc(tmp_path / "no.swc")
    with pytest.raises(ArgumentError, match="at least one"):
        ingest_swc([], tmp_path / "s.zv")
    (tmp_path / "a.swc").write_text(SMALL)
    with pytest.raises(ArgumentError, match="2 different ids"):
        ingest_swc([tmp_path / "a.swc"] * 2, tmp_path / "s.zv", object_ids=[1, 1])
    ingest_swc([tmp_path / "a.swc"] * 2, tmp_path / "s.zv")
    with pytest.raises(ArgumentError, match="2 objects; name the one"):
        export_swc(tmp_path / "s.zv", tmp_path / "out.swc")
    with pytest.raises(UnknownNameError, match="no object 9"):
        export_swc(tmp_path / "s.zv", tmp_path / "out.swc", object_id=9)
