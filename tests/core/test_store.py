"""Creating and opening stores, levels, metadata, the multiscale block."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors
from zarr_vectors.constants import DEFAULT_AXES_NAMES, SHELL_KEY
from zarr_vectors.core import multiscale
from zarr_vectors.core.group import FsGroup, Group
from zarr_vectors.core.store import (
    LevelMetadata,
    ParametricTypeDef,
    add_resolution_level,
    branch,
    commit,
    create_resolution_level,
    create_store,
    discard_changes,
    get_parametric_group,
    get_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    merge_branch,
    open_store,
    read_level_metadata,
    read_parametric_types,
    read_root_metadata,
    rebase,
    rebind,
    remove_resolution_level,
    session_for,
    switch_branch,
    write_parametric_types,
)
from zarr_vectors.exceptions import (
    ArgumentError,
    MetadataError,
    ReadOnlyStoreError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    UnknownNameError,
)
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.testing.storage import CountingStorage, FailingStorage, SimulatedCrashError
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

REVISIONS = ["0.9", "0.7"]


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cloud(count: int = 300, ndim: int = 3) -> Any:
    return (np.random.default_rng(7).random((count, ndim)) * 100).astype(np.float32)


def test_shell_has_the_documented_defaults(tmp_path: Path, revision: str) -> None:
    root = create_store(tmp_path / "a.zv", format_version=revision)
    metadata = read_root_metadata(root)
    assert metadata.bounds == ((0.0, 0.0, 0.0), (128.0, 128.0, 128.0))
    assert metadata.chunk_shape == (128.0, 128.0, 128.0)
    assert tuple(axis.name for axis in metadata.axes) == DEFAULT_AXES_NAMES[:3]
    assert metadata.geometry_types == ()
    assert metadata.links_convention is None
    assert metadata.reduction_factor == 8
    assert list(root) == ["0"]
    assert root["0"].children() == ["vertex_fragments", "vertices"]
    assert root.reader.revision.name == revision
    assert len(read_points(root).positions) == 0
    assert validate(tmp_path / "a.zv", level=5).is_valid


def test_shell_states_what_was_given(tmp_path: Path, revision: str) -> None:
    root = create_store(
        tmp_path / "a.zv",
        bounds=([-10, 0], [30, 40]),
        chunk_shape=(20, 20),
        axes=["t", "x"],
        geometry_types=["mesh"],
        crs={"name": "RAS"},
        vertex_dtype="float64",
        vertex_encoding="draco",
        links_convention="explicit",
        object_index_convention="standard",
        cross_chunk_strategy="both",
        cross_level_depth=2,
        cross_level_storage="implicit",
        reduction_factor=4,
        base_bin_shape=(5, 10),
        format_capabilities=["fragment_index"],
        format_version=revision,
    )
    metadata = read_root_metadata(open_store(tmp_path / "a.zv"))
    assert metadata == read_root_metadata(root)
    assert [(axis.name, axis.type) for axis in metadata.axes] == [("t", "time"), ("x", "space")]
    assert metadata.bounds == ((-10.0, 0.0), (30.0, 40.0))
    assert (metadata.chunk_shape, metadata.base_bin_shape) == ((20.0, 20.0), (5.0, 10.0))
    assert (metadata.cross_level_depth, metadata.cross_level_storage) == (2, "implicit")
    assert (metadata.crs, metadata.reduction_factor) == ({"name": "RAS"}, 4)
    assert metadata.format_capabilities == ("fragment_index",)
    meta = root["0"].read_array_meta("vertices")
    assert (meta["dtype"], meta["encoding"]) == ("float64", "draco")


@pytest.mark.parametrize(
    "arguments",
    [
        {"ndim": 2, "chunk_shape": (1, 1, 1)},
        {"bounds": ([0, 0], [1, 1, 1])},
        {"axes": ["x", "y"], "base_bin_shape": (1,)},
        {"bounds": ([5], [1])},
        {"chunk_shape": (10.0,), "base_bin_shape": (3.0,)},
        {"links_convention": "loose"},
        {"geometry_types": ["blob"]},
        {"format_capabilities": ["flying"]},
        {"bounds": 4},
        {"ndim": 0},
        {"axes": ["x", "x"]},
    ],
)
def test_inconsistent_arguments_are_refused_and_leave_nothing(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(MetadataError):
        create_store(tmp_path / "a.zv", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [{"format_version": "2"}, {"vertex_dtype": "int32"}, {"vertex_dtype": "?!"}, {"vertex_encoding": "zip"}],
)
def test_unknown_choices_are_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        create_store(tmp_path / "a.zv", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zv")
    with pytest.raises(StoreExistsError, match="already"):
        create_store(tmp_path / "a.zv")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        create_store(tmp_path / "b")
    (tmp_path / "empty").mkdir()
    assert list(create_store(tmp_path / "empty")) == ["0"]


def test_writers_fill_a_shell_and_the_group_sees_it(tmp_path: Path, revision: str) -> None:
    root = create_store(
        tmp_path / "a.zv", bounds=([0, 0, 0], [100, 100, 100]), chunk_shape=(50, 50, 50), format_version=revision
    )
    assert SHELL_KEY in root.attrs
    write_points(root, cloud(), format_version=revision)
    assert SHELL_KEY not in root.attrs
    assert len(read_points(root).positions) == 300
    assert root.reader.root.chunk_shape == (50.0, 50.0, 50.0)
    assert root.reader.revision.name == revision
    build_pyramid(root, factors=[(2, 1)])
    assert list_resolution_levels(root) == [0, 1]
    assert len(read_points(root, level=1).positions) > 0


def test_reading_through_an_open_group_opens_nothing_anew(tmp_path: Path) -> None:
    write_points(tmp_path / "a.zv", cloud())
    counted = CountingStorage(LocalStorage(tmp_path / "a.zv", read_only=True))
    root = open_store(counted)
    read_points(root)
    counted.reset()
    read_points(root)
    assert not [address for address in counted.addresses() if address.endswith("zarr.json")]
    assert counted.counts["list"] == 0


def test_opening_takes_two_rounds(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zv")
    counted = CountingStorage(LocalStorage(tmp_path / "a.zv", read_only=True))
    open_store(counted)
    assert counted.rounds <= 2


def test_read_only_refuses_every_write(tmp_path: Path, revision: str) -> None:
    create_store(tmp_path / "a.zv", format_version=revision)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for place in (tmp_path / "a.zv", CountingStorage(LocalStorage(tmp_path / "a.zv"))):
        root = open_store(place)
        writes = [
            lambda r: r.attrs.update(a=1),
            lambda r: r.create_group("x"),
            lambda r: r["0"].write_bytes("vertices", "0.0.0", b"1234"),
            lambda r: r["0"].write_array_meta("vertices", {"a": 1}),
            lambda r: r["0"].batched_writes().__enter__(),
            lambda r: r.write_array("x", [1, 2]),
            lambda r: r.write_vlen_array("x", [b"1"]),
            lambda r: r["0"].create_sharded_chunk_array("x", (1, 1, 1)),
            lambda r: add_resolution_level(r, 1, (2, 2, 2)),
            lambda r: remove_resolution_level(add_resolution_level(r, 1, (2, 2, 2)), 1),
            lambda r: zarr_vectors.core.store.set_bounds(r, ([0, 0, 0], [200, 200, 200])),
            lambda r: write_parametric_types(r, []),
            lambda r: multiscale.write_multiscale_metadata(r),
            lambda r: write_points(r, cloud()),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyStoreError):
                write(root)
        with pytest.raises(ValueError, match="read-only"):
            root.zarr_group.attrs["a"] = 1
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_missing_and_foreign_places_are_told_apart(tmp_path: Path) -> None:
    for mode in ("r", "r+", "a"):
        with pytest.raises(StoreNotFoundError):
            open_store(tmp_path / "none.zv", mode)
        assert not (tmp_path / "none.zv").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        open_store(tmp_path / "b")
    with pytest.raises(ArgumentError, match="mode"):
        open_store(tmp_path / "b", "w")


def test_levels_come_and_go(tmp_path: Path, revision: str) -> None:
    root = create_store(tmp_path / "a.zv", chunk_shape=(50,) * 3, base_bin_shape=(25,) * 3, format_version=revision)
    one = add_resolution_level(root, 1, (2, 2, 2), object_sparsity=0.5)
    assert one.path == "1"
    create_resolution_level(root, 2, LevelMetadata(2, bin_shape=(150.0, 75.0, 25.0)))
    assert list_available_ratios(root) == [(1, 1, 1), (2, 2, 2), (6, 3, 1)]
    assert read_level_metadata(root, 1).object_sparsity == 0.5
    assert read_level_metadata(root, 1).parent_level == 0
    assert read_level_metadata(root, 2).chunk_shape == (150.0, 150.0, 50.0)
    assert get_resolution_level(root, 2).children() == ["vertex_fragments", "vertices"]
    assert len(read_points(tmp_path / "a.zv", level=2).positions) == 0
    with pytest.raises(StoreExistsError):
        add_resolution_level(root, 1, (2, 2, 2))
    with pytest.raises(ArgumentError, match="bin_ratio"):
        add_resolution_level(root, 3, (2, 2))
    with pytest.raises(ArgumentError, match="parent_level"):
        add_resolution_level(root, 3, (2, 2, 2), parent_level=9)
    with pytest.raises(ArgumentError, match="bin_shape"):
        create_resolution_level(root, 3, LevelMetadata(3, bin_shape=(1.0,) * 3, bin_ratio=(2.0,) * 3))
    with pytest.raises(ArgumentError, match="level"):
        create_resolution_level(root, 3, LevelMetadata(4))
    remove_resolution_level(root, 1)
    assert list_resolution_levels(root) == [0, 2]
    assert list_available_ratios(root) == [(1, 1, 1), (6, 3, 1)]
    with pytest.raises(StoreError, match="level 0"):
        remove_resolution_level(root, 0)
    for missing in (1, -1, True):
        with pytest.raises(UnknownNameError):
            get_resolution_level(root, missing)
    with pytest.raises(UnknownNameError):
        remove_resolution_level(root, 7)


def test_removing_a_level_removes_the_links_to_it(tmp_path: Path, revision: str) -> None:
    write_points(tmp_path / "a.zv", cloud(), chunk_shape=50.0, format_version=revision)
    build_pyramid(tmp_path / "a.zv", factors=[(2, 1), (4, 1)], cross_level_storage="explicit", cross_level_depth=2)
    root = open_store(tmp_path / "a.zv", "r+")
    assert {"links"} <= set(root["0"].children())
    remove_resolution_level(root, 2)
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.name in ("+2", "-2")]
    assert left == []
    assert list(root["1/links"]) == ["-1"]
    assert validate(tmp_path / "a.zv", level=5).is_valid


def test_a_change_that_dies_is_completed_or_forgotten(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zv")
    counter = FailingStorage(LocalStorage(tmp_path / "a.zv"))
    add_resolution_level(open_store(counter, "r+"), 1, (2, 2, 2))
    remove_resolution_level(open_store(tmp_path / "a.zv", "r+"), 1)
    for moment in range(1, counter.operations + 1):
        storage = FailingStorage(LocalStorage(tmp_path / "a.zv"), fail_at=moment)
        with pytest.raises(SimulatedCrashError):
            add_resolution_level(open_store(storage, "r+"), 1, (2, 2, 2))
        for lock in (tmp_path / "a.zv").glob(".zv-lock/*"):
            lock.unlink()
        seen = list_available_ratios(open_store(tmp_path / "a.zv"))
        root = open_store(tmp_path / "a.zv", "r+")
        assert list_available_ratios(root) == seen
        assert seen in ([(1, 1, 1)], [(1, 1, 1), (2, 2, 2)])
        assert not (tmp_path / "a.zv" / ".zv-journal").exists()
        if len(seen) == 2:
            remove_resolution_level(root, 1)


def test_a_multiscale_block_that_is_gone_is_written_as_it_was(tmp_path: Path) -> None:
    axes: Any = [("z", "space", "micrometer"), ("y", "space", "micrometer"), ("t", "time", "second")]
    named = [dict(zip(("name", "type", "unit"), axis, strict=True)) for axis in axes]
    root = create_store(tmp_path / "a.zv", axes=named, chunk_shape=(64.0,) * 3, base_bin_shape=(8.0,) * 3)
    write_points(root, np.random.default_rng(0).uniform(0, 128, (500, 3)))
    build_pyramid(tmp_path / "a.zv", [(2, 1), (16, 1)])
    root = open_store(tmp_path / "a.zv", "r+")
    attributes = root.attrs.to_dict()
    block = attributes.pop("multiscales")
    root.attrs.put(attributes)
    assert multiscale.write_multiscale_metadata(root) == block
    assert validate(tmp_path / "a.zv", level=5).is_valid


def test_multiscale_block(tmp_path: Path, revision: str) -> None:
    root = create_store(tmp_path / "a.zv", base_bin_shape=(32.0,) * 3, format_version=revision)
    add_resolution_level(root, 1, (2, 2, 2))
    assert multiscale.get_level_scale(root, 1) == [2.0, 2.0, 2.0]
    assert multiscale.get_level_translation(root, 1) == [32.0, 32.0, 32.0]
    assert multiscale.read_level_transform(root, 5) == (None, None)
    assert multiscale.get_level_scale(root, 5) is None
    multiscale.upsert_level_transform(root, 1, scale=[4, 4, 4], translation=[64, 64, 64])
    assert multiscale.read_level_transform(root, 1) == ([4.0] * 3, [64.0] * 3)
    assert read_level_metadata(root, 1).bin_shape == (128.0, 128.0, 128.0)
    multiscale.upsert_level_transform(root, 1, scale=[2, 2, 2], translation=[0, 0, 0])
    assert multiscale.read_level_transform(root, 1) == ([2.0] * 3, None)
    assert read_level_metadata(root, 1).bin_shape == (64.0, 64.0, 64.0)
    report = validate(tmp_path / "a.zv", level=2)
    assert report.is_valid, report.summary()
    multiscale.upsert_level_transform(root, 0, scale=[1, 1, 1], translation=[16, 16, 16])
    assert multiscale.read_level_transform(root, 1) == ([2.0] * 3, None)  # and the others stay as they are
    with pytest.raises(ArgumentError, match="translation"):
        multiscale.upsert_level_transform(root, 1, scale=[2, 2, 2], translation=[0, 32, 32])
    with pytest.raises(ArgumentError, match="scale"):
        multiscale.upsert_level_transform(root, 1, scale=[2, 2])
    with pytest.raises(ArgumentError, match="scale"):
        multiscale.upsert_level_transform(root, 1, scale=[2, 2, 0])
    attributes = root.attrs.to_dict()
    attributes["multiscales"] = []
    root.attrs.put(attributes)
    assert multiscale.read_multiscale_metadata(root) == []
    written = multiscale.write_multiscale_metadata(root)
    assert written == multiscale.read_multiscale_metadata(open_store(tmp_path / "a.zv"))
    assert [entry["path"] for entry in written[0]["datasets"]] == ["0", "1"]
    assert multiscale.read_level_transform(root, 1) == ([2.0] * 3, [32.0] * 3)


def test_unknown_keys_stay(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv")
    attributes = root.attrs.to_dict()
    attributes["zarr_vectors"]["colour"] = "red"
    attributes["lab"] = {"a": 1}
    root.attrs.put(attributes)
    add_resolution_level(root, 1, (2, 2, 2))
    remove_resolution_level(root, 1)
    assert root.attrs["zarr_vectors"]["colour"] == "red"
    assert root.attrs["lab"] == {"a": 1}


def test_parametric_types(tmp_path: Path, revision: str) -> None:
    root = create_store(tmp_path / "a.zv", format_version=revision)
    types = [
        ParametricTypeDef(3, "torus", ["x", "y", "z", "R", "r"]),
        ParametricTypeDef(0, "plane", ["A", "B", "C", "D"]),
    ]
    assert read_parametric_types(root) == []
    write_parametric_types(root, types)
    reopened = open_store(tmp_path / "a.zv")
    assert read_parametric_types(reopened) == types[::-1]
    assert get_parametric_group(reopened).path == "parametric"
    assert list_resolution_levels(reopened) == [0]
    document = json.loads((tmp_path / "a.zv" / "parametric" / "zarr.json").read_text())
    assert document["attributes"]["parametric_types"]["0"] == {"name": "plane", "coefficients": list("ABCD")}
    with pytest.raises(ArgumentError, match="id 3"):
        write_parametric_types(root, [types[0], types[0]])
    with pytest.raises(ArgumentError):
        ParametricTypeDef(-1, "x", [])
    root["parametric"].attrs["parametric_types"] = {"one": 1}
    with pytest.raises(MetadataError, match="registry"):
        read_parametric_types(root)


def test_reading_parametric_types_makes_no_group(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zv")
    root = open_store(tmp_path / "a.zv")
    assert read_parametric_types(root) == []
    with pytest.raises(UnknownNameError):
        get_parametric_group(root)
    assert list(root) == ["0"]


def test_plain_storages_keep_no_versions(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv")
    assert commit(root, "done") is None
    assert session_for(root) is None
    discard_changes(root)
    for call in (branch, switch_branch, merge_branch):
        with pytest.raises(StoreError, match="no versions"):
            call(root, "other")
    with pytest.raises(StoreError, match="no versions"):
        rebase(root)
    assert commit(root, "") is None


class Versioned(CountingStorage):
    """A storage that notes what is asked of its versions."""

    session = "session"

    def __init__(self, inner: LocalStorage) -> None:
        super().__init__(inner)
        self.calls: list[tuple[str, ...]] = []

    def commit(self, message: str) -> str:
        self.calls.append(("commit", message))
        return "v1"

    def discard_changes(self) -> None:
        self.calls.append(("discard",))

    def branch(self, name: str, from_snapshot_id: str | None = None) -> str:
        self.calls.append(("branch", name, str(from_snapshot_id)))
        return "v1"

    def switch_branch(self, name: str) -> None:
        self.calls.append(("switch", name))

    def merge_branch(self, name: str, message: str, merge_documents: object = None) -> str | None:
        self.calls.append(("merge", name, message))
        return "v2"

    def rebase(self, base: str, merge_documents: object = None) -> None:
        self.calls.append(("rebase", base))

    def gathering(self) -> Versioned:
        return self

    def unit(self) -> AbstractContextManager[None]:
        return nullcontext()

    def fork(self) -> Versioned:
        return self

    def adopt(self, fork: object) -> None:
        assert fork is self


def test_versioned_storages_are_asked(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zv")
    storage = Versioned(LocalStorage(tmp_path / "a.zv"))
    root = open_store(storage, "r+")
    assert session_for(root["0"]) == "session"
    assert commit(root, "done") == "v1"
    assert branch(root, "b", from_snapshot_id="v0") == "v1"
    switch_branch(root, "b")
    assert merge_branch(root, "main") == "v2"
    rebase(root)
    discard_changes(root)
    assert [call[0] for call in storage.calls] == ["commit", "branch", "switch", "merge", "rebase", "discard"]
    storage.reset()
    add_resolution_level(root, 1, (2, 2, 2))
    assert not [address for address in storage.addresses("put") if address.startswith(".zv-")]
    assert list_resolution_levels(open_store(tmp_path / "a.zv")) == [0, 1]


def test_rebind_reaches_the_same_store(tmp_path: Path) -> None:
    root = create_store(tmp_path / "a.zv")
    level = root["0"]
    assert root.backend.name == "local"
    url = f"memory://rebind-{tmp_path.name}/a.zv"
    create_store(url, ndim=2)
    assert rebind(root, zarr_vectors.open_store(url, "r+").storage) is root
    assert isinstance(level.storage, ObjectStorage)
    assert read_root_metadata(level).ndim == 2
    assert (root.backend.name, root.backend.scheme) == ("obstore", "memory")
    assert rebind(root, "obstore").backend.url == url
    with pytest.raises(ArgumentError):
        rebind(root, "local")
    with pytest.raises(StoreNotFoundError):
        rebind(root, LocalStorage(tmp_path / "none"))
    assert root.backend.url == url


def test_fs_group_is_deprecated_and_works(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="open_store"), pytest.raises(StoreError):
        FsGroup(tmp_path / "a")
    with pytest.warns(DeprecationWarning, match="FsGroup"):
        made = FsGroup(tmp_path / "a", create=True)
    assert isinstance(made, Group)
    made.attrs["x"] = 1
    with pytest.warns(DeprecationWarning, match="FsGroup"):
        assert FsGroup(f"file://{tmp_path / 'a'}").attrs["x"] == 1
    (tmp_path / "folder").mkdir()
    with pytest.warns(DeprecationWarning, match="FsGroup"):
        empty = FsGroup(tmp_path / "folder")
    assert empty.children() == []
    empty.create_group("a")
    assert empty.children() == ["a"]
    with pytest.warns(DeprecationWarning, match="FsGroup"), pytest.raises(StoreError, match="no such folder"):
        FsGroup(tmp_path / "folder" / "zarr.json")
    create_store(tmp_path / "b")
    with pytest.warns(DeprecationWarning, match="FsGroup"):
        assert read_root_metadata(FsGroup(str(tmp_path / "b"))).ndim == 3


def test_public_names_are_there_and_lazy() -> None:
    for name in zarr_vectors.__all__:
        assert getattr(zarr_vectors, name) is not None
        assert name in dir(zarr_vectors)
    with pytest.raises(AttributeError, match="nothing"):
        _ = zarr_vectors.nothing
    code = (
        "import sys, zarr_vectors; assert 'zarr' not in sys.modules; "
        "from zarr_vectors.validate import validate; import zarr_vectors.validate as module; "
        "assert module.validate is validate and zarr_vectors.validate is module; "
        "assert callable(zarr_vectors.migrate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.peer
def test_shells_are_accepted_by_the_reference(tmp_path: Path, peer_python: Path) -> None:
    root = create_store(
        tmp_path / "a.zv", bounds=([-50, 0, 0], [50, 100, 100]), chunk_shape=(25, 25, 25), base_bin_shape=(5, 5, 5)
    )
    add_resolution_level(root, 1, (2, 2, 2))
    code = f"""
import numpy as np
from zarr_vectors.core.store import open_store, read_root_metadata, read_level_metadata, list_available_ratios
from zarr_vectors.validate import validate
report = validate({str(tmp_path / "a.zv")!r}, level=5)
assert not report.errors, report.errors
root = open_store({str(tmp_path / "a.zv")!r})
assert list_available_ratios(root) == [(1, 1, 1), (2, 2, 2)]
assert tuple(read_root_metadata(root).base_bin_shape) == (5, 5, 5)
assert tuple(read_level_metadata(root, 1).bin_shape) == (10, 10, 10)
"""
    subprocess.run([peer_python, "-W", "ignore", "-c", code], check=True, cwd=tmp_path)
