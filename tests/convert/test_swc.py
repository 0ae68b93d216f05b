"""SWC files to skeletons and back, with the neurons of navis' package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.downloads import files_of_wheel
from tests.graphs.networks import ends
from zarr_vectors.convert.swc import export_swc, ingest_swc, read_swc
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    LossWarning,
    StoreError,
    StoreNotFoundError,
    UnknownNameError,
)
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.types.graphs import read_graph, write_graph

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
        ("1 0 0 0 0 1\n", "line 1: .*seven numbers a line"),
        ("#\n\n1 0 0 0 x 1 -1\n", "line 3: .*seven numbers a line"),
        ("1 0 0 0 0 1 -1\n2 0 0 0 0 1\n", "line 2: .*seven numbers a line"),
        ("1 0 0 0 0 1 -1\n2 0 0 0 0 x 1\n", "line 2: .*seven numbers a line"),
        ("1 0 0 0 0 1 -1\n1 0 0 0 0 1 1\n", "line 2: number 1 is given to several nodes"),
        ("# a\n1 0 0 0 0 1 9\n", "line 2: the parent of node 1 is 9"),
        ("1 0 0 0 0 1 -7\n", "line 1: the parent of node 1 is -7"),
        ("1.5 0 0 0 0 1 -1\n", "line 1: the id is no whole number"),
        ("1 nan 0 0 0 1 -1\n", "line 1: the label is no whole number"),
        ("1 1e400 0 0 0 1 -1\n", "line 1: the label is no whole number"),
        (f"{2**63} 0 0 0 0 1 -1\n", "line 1: the id is no whole number of 64 bits"),
        (f"{2**63}.0 0 0 0 0 1 -1\n", "line 1: the id is no whole number of 64 bits"),
        ("1 0 0 nan 0 1 -1\n", "line 1: a position is not finite"),
        ("1 0 0 0 0 1e999 -1\n", "line 1: the radius is not finite"),
        ("1 0 0 0 0 1 2\n2 0 0 0 0 1 3\n3 0 0 0 0 1 1\n", "line 1: .* in a circle"),
        ("-1 0 0 0 0 1 0\n", "line 1: a node has the number -1"),
        ("0,5 1,0 0,5 0,5 0,5 1,0 -1,0\n", "line 1: "),
        ("id type x y z size parent\n1 1 0 0 0 1 -1\n", "line 1: .* may name the columns"),
        ("id type x y z r parent extra\n1 1 0 0 0 1 -1\n", "line 2: 7 columns where the line before names 8"),
        (f"1 1 0 0 0 1 -1 0.5\n2 1 0 0 0 1 1 {2**60 + 1}\n", "line 2: column_8 does not fit"),
        ("1 1 0 0 0 1 -1 " + "1" * 60, "line 1: more than 47 characters"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.swc").write_text(text)
    with pytest.raises(ArrayError, match=message):
        read_swc(tmp_path / "bad.swc")
    with pytest.raises(ArrayError, match=message):
        ingest_swc(tmp_path / "bad.swc", tmp_path / "s.zv")
    assert [file.name for file in tmp_path.iterdir()] == ["bad.swc"]


PLAIN = ["1 1 0 0 0 5 -1", "2 3 1.5 0 0 1 1", "3 3 -2e1 0 0.1 1 2"]
DIALECTS = {
    "byte order mark": "\ufeff# by a tool\n" + "\n".join(PLAIN),
    "commas": "\n".join(line.replace(" ", ",") for line in PLAIN),
    "commas and blanks": "\n".join(line.replace(" ", ", ") for line in PLAIN),
    "a line of names": "id type x y z radius parent\n" + "\n".join(PLAIN),
    "names in quotes": '"PointNo","Label","X","Y","Z","Radius","Parent"\n' + "\n".join(PLAIN).replace(" ", ","),
    "another order": "x,y,z,r,parent,id,label\n0,0,0,5,-1,1,1\n1.5,0,0,1,1,2,3\n-20,0,0.1,1,2,3,3",
    "trailing blanks": "\n".join(line + "  \t" for line in PLAIN),
    "tabs and carriage returns": "\r\n".join(line.replace(" ", "\t") for line in PLAIN),
    "ends of lines of old": "\r".join(PLAIN),
    "comments behind": "\n".join(line + " # x" for line in PLAIN),
    "blank lines": "\n\n" + "\n \n".join(PLAIN) + "\n\n",
    "floats": "1.0 1. 0.0 0 0 5 -1.0\n2.0 3e0 1.5 0 0 1 1.000\n3.0 3.0 -20. 0 .1 1 2.0",
    "forward": "\n".join(PLAIN[::-1]),
    "root 0": "\n".join(PLAIN).replace("5 -1", "5 0"),
    "root -2": "\n".join(PLAIN).replace("5 -1", "5 -2"),
    "root itself": "\n".join(PLAIN).replace("5 -1", "5 1"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same(tmp_path: Path, dialect: str, encoding: str) -> None:
    file = tmp_path / "a.swc"
    file.write_bytes(DIALECTS[dialect].encode(encoding))
    found = read_swc(file)
    order = np.argsort(found.ids)
    assert found.ids[order].tolist() == [1, 2, 3]
    assert found.label[order].tolist() == [1, 3, 3]
    assert found.radius[order].tolist() == [5, 1, 1]
    assert found.positions[order].tolist() == [[0, 0, 0], [1.5, 0, 0], [-20, 0, 0.1]]
    assert sorted(found.ids[found.edges].tolist()) == [[2, 1], [3, 2]]
    assert set(found.comments) <= {"by a tool", "x"}


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_numbers_of_64_bits_and_missing_radii_are_exact(tmp_path: Path, revision: str) -> None:
    numbers = [720575940617774213, 720575940617774214, 2**63 - 1, 2**53 + 1]
    lines = [f"{numbers[0]} 1 0 0 0 nan -1", f"{numbers[1]}.0 3 1 0 0 NA {numbers[0]}"]
    lines += [f"{numbers[2]} {2**53 + 1} 0 0 0 1 {numbers[1]}.0", f"{numbers[3]} 4 0.1 1e-7 0 1 {numbers[2]}"]
    (tmp_path / "a.swc").write_text("\n".join(lines))
    ingest_swc(tmp_path / "a.swc", tmp_path / "s.zv", format_version=revision)
    found = read_graph(tmp_path / "s.zv")
    assert found.attributes["swc_id"].dtype == found.attributes["label"].dtype == np.int64
    assert sorted(found.attributes["swc_id"].tolist()) == sorted(numbers)
    assert np.isnan(found.attributes["radius"]).sum() == 2
    export_swc(tmp_path / "s.zv", tmp_path / "b.swc")
    assert (tmp_path / "b.swc").read_text().splitlines() == [
        f"{numbers[3]} 4 0.1 1e-07 0 1 {numbers[2]}",
        f"{numbers[0]} 1 0 0 0 nan -1",
        f"{numbers[1]} 3 1 0 0 nan {numbers[0]}",
        f"{numbers[2]} {2**53 + 1} 0 0 0 1 {numbers[1]}",
    ]


def test_any_table_is_read_as_a_plain_parser_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for size in (1, 2, 300):
        ids = rng.choice(2**62, size, replace=False)
        parents = [-1] + [int(ids[rng.integers(0, row)]) for row in range(1, size)]
        values = rng.normal(size=(size, 4)) * 10.0 ** rng.integers(-9, 9, (size, 4))
        rows = [
            f"{ids[row]} {rng.integers(0, 9)} {' '.join(map(repr, values[row].tolist()))} {parents[row]}"
            for row in rng.permutation(size)
        ]
        (tmp_path / "a.swc").write_text("\n".join(rows))
        found = read_swc(tmp_path / "a.swc")
        plain = [line.split() for line in rows]
        assert found.ids.tolist() == [int(row[0]) for row in plain]
        assert found.positions.tolist() == [[float(token) for token in row[2:5]] for row in plain]
        assert found.radius.tolist() == [float(row[5]) for row in plain]
        edges = {(int(row[0]), int(row[6])) for row in plain if row[6] != "-1"}
        assert {(child, parent) for child, parent in found.ids[found.edges].tolist()} == edges


def test_further_columns_become_attributes(tmp_path: Path) -> None:
    (tmp_path / "a.swc").write_text("id type x y z r parent seg when\n1 1 0 0 0 5 -1 7 0.5\n2 3 1 0 0 1 1 8 NA\n")
    (tmp_path / "b.swc").write_text(f"1 1 0 0 0 5 -1 {2**60 + 1}\n")
    assert read_swc(tmp_path / "b.swc").extra["column_8"].tolist() == [2**60 + 1]
    ingest_swc(tmp_path / "a.swc", tmp_path / "s.zv")
    found = read_graph(tmp_path / "s.zv")
    order = np.argsort(found.attributes["swc_id"])
    assert found.attributes["seg"][order].tolist() == [7, 8]
    np.testing.assert_array_equal(found.attributes["when"][order], [0.5, np.nan])
    with pytest.warns(LossWarning, match=r"\['seg', 'when'\]"):
        export_swc(tmp_path / "s.zv", tmp_path / "c.swc")
    with pytest.raises(ArgumentError, match=r"b\.swc has the further columns"):
        ingest_swc([tmp_path / "a.swc", tmp_path / "b.swc"], tmp_path / "t.zv")


@pytest.mark.parametrize("revision", ["0.9", "0.7"])
def test_files_that_are_appended_keep_what_the_first_said(tmp_path: Path, revision: str) -> None:
    names = ["one", "two", "three", "four"]
    for number, name in enumerate(names):
        comment = f"# neuron {name}\n#   Größe\n" if name != "three" else ""
        (tmp_path / f"{name}.swc").write_text(f"{comment}1 1 0 0 {number} 5 -1 # soma\n", encoding="utf-8")
    one, two, three, four = (tmp_path / f"{name}.swc" for name in names)
    store = tmp_path / "s.zv"
    ingest_swc(
        [two, one],
        store,
        object_ids=[9, 4],
        format_version=revision,
        object_attributes=pd.DataFrame({"n": {4: 1, 9: 2}}),
    )
    for file in (three, four):
        ingest_swc(file, store, mode="a", out_of_bounds="expand", object_attributes={"n": [3]})
    for number, file in ((4, one), (9, two), (10, three), (11, four)):
        export_swc(store, tmp_path / "again.swc", object_id=number)
        assert read_swc(tmp_path / "again.swc").comments == read_swc(file).comments
        found = read_graph(store, object_ids=[number])
        assert found.positions[0, 2] == names.index(file.stem)
        for name, value in (("name", file.stem), ("n", min(3, names.index(file.stem) + 1))):
            assert number in read_graph(store, attribute_filter={name: value}).object_ids


def test_the_only_object_keeps_its_comments_whatever_its_id(tmp_path: Path) -> None:
    (tmp_path / "a.swc").write_text(SMALL)
    ingest_swc(tmp_path / "a.swc", tmp_path / "s.zv", object_ids=[2**62 + 1])
    export_swc(tmp_path / "s.zv", tmp_path / "b.swc")
    assert read_swc(tmp_path / "b.swc").comments == ("a neuron",)
    assert read_graph(tmp_path / "s.zv").object_ids[0] == 2**62 + 1


@pytest.mark.parametrize("ids", [[1.5], [2.0**60], np.array([7.0]), ["7"], [None]])
def test_object_ids_that_are_no_whole_numbers_are_refused(tmp_path: Path, ids: Any) -> None:
    (tmp_path / "a.swc").write_text(SMALL)
    with pytest.raises(ArgumentError, match="object_ids: expected whole numbers"):
        ingest_swc(tmp_path / "a.swc", tmp_path / "s.zv", object_ids=ids)
    assert not (tmp_path / "s.zv").exists()


def test_what_an_swc_file_cannot_say_is_refused(tmp_path: Path) -> None:
    nodes, edges = [[0, 0, 0], [1, 0, 0]], [[1, 0]]
    write_graph(tmp_path / "s.zv", nodes, edges, attributes={"label": ["axon", "soma"]})
    with pytest.raises(ArgumentError, match="label: an SWC file holds one whole number a node"):
        export_swc(tmp_path / "s.zv", tmp_path / "a.swc")
    write_graph(tmp_path / "s.zv", nodes, edges, attributes={"radius": np.ones((2, 2))})
    with pytest.raises(ArgumentError, match="radius: an SWC file holds one number a node"):
        export_swc(tmp_path / "s.zv", tmp_path / "a.swc")
    write_graph(tmp_path / "s.zv", [[0.1, -0.0, 1e20], [1, 0, 0]], edges, attributes={"radius": [1, 2]}, dtype=float)
    with pytest.raises(StoreError, match=r"a\.swc: cannot be written"):
        export_swc(tmp_path / "s.zv", tmp_path / "nowhere" / "a.swc")
    assert [file.name for file in tmp_path.iterdir()] == ["s.zv"]
    export_swc(tmp_path / "s.zv", tmp_path / "a.swc")
    assert (tmp_path / "a.swc").read_text().splitlines()[1] == "1 0 0.1 -0.0 1e+20 1 -1"


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no such file"):
        read_swc(tmp_path / "no.swc")
    with pytest.raises(ArgumentError, match="at least one"):
        ingest_swc([], tmp_path / "s.zv")
    (tmp_path / "a.swc").write_text(SMALL)
    for kept in ({"metadata": {"swc": 1}}, {"object_attributes": {"name": ["a"]}}):
        with pytest.raises(ArgumentError, match="use another name"):
            ingest_swc(tmp_path / "a.swc", tmp_path / "s.zv", **kept)
    with pytest.raises(ArgumentError, match="2 different ids"):
        ingest_swc([tmp_path / "a.swc"] * 2, tmp_path / "s.zv", object_ids=[1, 1])
    ingest_swc([tmp_path / "a.swc"] * 2, tmp_path / "s.zv")
    with pytest.raises(ArgumentError, match="2 objects; name the one"):
        export_swc(tmp_path / "s.zv", tmp_path / "out.swc")
    with pytest.raises(UnknownNameError, match="no object 9"):
        export_swc(tmp_path / "s.zv", tmp_path / "out.swc", object_id=9)
