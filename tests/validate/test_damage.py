"""Every rule sees the damage that is its own, and no other rule complains of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.validate.conftest import REVISIONS
from tests.validate.damage import Files
from zarr_vectors.encoding.links import encode_link_rows
from zarr_vectors.validate import validate
from zarr_vectors.validate.rules import RULES

Damage = Callable[[Files], object]
KEY = "0.0"


def drop(path: str) -> Damage:
    return lambda files: (files.root / path / "zarr.json").unlink()


def garble(path: str) -> Damage:
    return lambda files: (files.root / path / "zarr.json").write_text("{")


def retype(path: str) -> Damage:
    swapped = {"group": "array", "array": "group"}
    return lambda files: files.edit(path, lambda d: d.update(node_type=swapped[d["node_type"]]))


def on_multiscale(change: Callable[[dict[str, Any]], object]) -> Damage:
    return lambda files: files.multiscale(change)


def rows(array: str, dtype: str, change: Callable[[Any], Any], key: str = KEY) -> Damage:
    return lambda files: files.change_rows(array, key, dtype, change)


def fragment_table(change: Callable[[Any], Any], level: int = 0, key: str = KEY) -> Damage:
    """Change the (start, count) rows of a fragment index of few fragments: 16 bytes of header, 8 of bitmap."""

    def damage(files: Files) -> None:
        payload = files.cell(f"{level}/vertex_fragments", key)
        count = int(np.frombuffer(payload[8:12], "<u4")[0])
        start = 16 + -(-count // 64) * 8
        table = np.frombuffer(payload[start : start + 16 * count], "<i8").copy().reshape(-1, 2)
        change(table)
        files.put_cell(
            f"{level}/vertex_fragments", key, payload[:start] + table.tobytes() + payload[start + 16 * count :]
        )

    return damage


def manifests(change: Callable[[list[Any]], object]) -> Damage:
    return lambda files: files.put_manifests(0, change)


def assign(index: Any, value: Any) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        values[index] = value

    return change


def add(index: Any, value: Any) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        values[index] += value

    return change


def older_texts(files: Files) -> None:
    """Describe texts as versions before did which took long ones for each other, so that one has no row."""
    path = "0/vertex_attributes/label"
    texts = [f"a text of more than fifteen bytes, {number}" for number in range(9)]
    files.attributes(path, categories=texts, categorical=None, nullable=None, ordered=False)


def swap_ids(files: Files) -> None:
    """Swap the first two objects, ids and manifests, so that only their order is wrong."""
    ids = files.object_ids(0)
    ids[:2] = ids[1::-1]
    files.put_dense("0/object_index/object_ids", ids, {})
    files.put_manifests(0, lambda lists: lists.insert(0, lists.pop(1)))


def fewer_object_rows(files: Files) -> None:
    path = "0/object_attributes/volume"
    if files.keyed:
        files.attributes(path, shape=[19])
        files.edit(f"{path}/data", lambda d: d.update(shape=[19 * 8]))
        (files.root / path / "data/c/0").write_bytes(np.arange(19.0).tobytes())
        files.edit(f"{path}/data", lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[19 * 8]))
        return
    document = {"zv_array": "object_attribute", "name": "volume", "dtype": "float64"}
    files.put_dense(path, np.arange(19.0), document)


def fewer_group_rows(files: Files) -> None:
    document = {"zv_array": "groupings_attribute", "name": "region", "dtype": "int64"}
    files.put_dense("0/group_attributes/region", np.array([5]), document)


def stranger_in_group(files: Files) -> None:
    file = files.root / ("0/groups/data/c/0" if files.keyed else "0/groups/c/0")
    data = file.read_bytes()
    known = np.array([1], "<i8").tobytes()
    assert data.count(known) == 1
    file.write_bytes(data.replace(known, np.array([2], "<i8").tobytes()))


def wild_link(files: Files) -> None:
    path = next((files.root / "0/links/+1").glob("*/c/0" if files.keyed else "*/c/*/*"))
    data = bytearray(path.read_bytes())
    wild = encode_link_rows(np.array([[10**6, 0]]))
    data[-16:] = bytes(wild)
    path.write_bytes(bytes(data))


def drop_cell(array: str) -> Damage:
    return lambda files: files.cell_file(array, KEY).unlink()


def swap_endpoints(files: Files) -> None:
    """Let every link of a chunk lead from its first endpoint to row 0 of the chunk."""
    array = "1/links/0" if files.keyed else "1/links/0/0.0"
    files.change_rows(array, KEY, "<i8", lambda values: values.reshape(-1, 2) * [1, 0])


def link_to_nowhere(files: Files) -> None:
    (files.root / "2/links/-1").rename(files.root / "2/links/+1")
    files.level_block(2, nodes=["vertices", "vertex_fragments"])


def smaller_ratio(files: Files) -> None:
    transforms = [{"type": "scale", "scale": [1.0, 1.0]}, {"type": "translation", "translation": [12.5, 12.5]}]
    files.entry(2, bin_ratio=[1, 1], bin_shape=[25.0, 25.0], coordinateTransformations=transforms)
    files.level_block(2, bin_ratio=[1, 1], bin_shape=[25.0, 25.0])


def sparser(files: Files) -> None:
    files.entry(2, object_sparsity=0.3)
    files.level_block(2, object_sparsity=0.3)


def odd_chunks(files: Files) -> None:
    """Give level 1 the bins of level 0 in chunks of three: every vertex is in the first chunk anyway."""
    transforms = [{"type": "scale", "scale": [1.0, 1.0]}, {"type": "translation", "translation": [12.5, 12.5]}]
    files.entry(1, bin_ratio=[1, 1], bin_shape=[25.0, 25.0], coordinateTransformations=transforms)
    files.level_block(1, bin_ratio=[1, 1], bin_shape=[25.0, 25.0], chunk_shape=[75.0, 75.0])


def take_level(level: int, other: str) -> Damage:
    """Put a level of another store in place of the store's own."""

    def damage(files: Files) -> None:
        revision = files.root.name.rsplit("-", 1)[1]
        shutil.rmtree(files.root / str(level))
        source = OTHERS["folder"] / f"{other}-{revision}" / str(level)
        shutil.copytree(source, files.root / str(level))

    return damage


OTHERS: dict[str, Path] = {}


@pytest.fixture(autouse=True)
def other_stores(good_stores: Path) -> None:
    OTHERS["folder"] = good_stores


BOTH, LATE, EARLY = REVISIONS, ("0.9",), ("0.7",)
CASES: list[tuple[str, str, str, Damage, tuple[str, ...]]] = [
    ("root-group", "text", "points", garble(""), BOTH),
    ("root-group", "array", "points", retype(""), BOTH),
    ("root-group", "foreign", "points", lambda f: f.edit("", lambda d: d.update(attributes={})), BOTH),
    ("levels-present", "none", "points", lambda f: shutil.rmtree(f.root / "0"), BOTH),
    ("level-group", "missing", "points", drop("1"), BOTH),
    ("level-group", "text", "points", garble("1"), BOTH),
    ("level-group", "array", "points", retype("1"), BOTH),
    ("documents-readable", "text", "points", garble("0/vertex_attributes/label"), BOTH),
    ("documents-readable", "untyped", "points",
     lambda f: f.edit("0/vertex_attributes/label", lambda d: d.pop("node_type")), BOTH),
    ("arrays-present", "vertices", "points", lambda f: shutil.rmtree(f.root / "1/vertices"), BOTH),
    ("arrays-present", "fragments", "points", lambda f: shutil.rmtree(f.root / "1/vertex_fragments"), BOTH),
    ("nodes-complete", "attribute", "points", drop("0/vertex_attributes/label"), BOTH),
    ("nodes-complete", "objects", "objects", drop("0/object_index"), BOTH),
    ("node-types", "attribute", "points", retype("0/vertex_attributes/label"), BOTH),
    ("node-types", "manifests", "objects", retype("0/object_index/manifests"), BOTH),
    ("root-metadata", "shape", "points", lambda f: f.root_block(chunk_shape=None), BOTH),
    ("root-metadata", "revision", "points", lambda f: f.root_block(zv_version="9.1"), BOTH),
    ("root-metadata", "convention", "points", lambda f: f.root_block(links_convention="telepathy"), BOTH),
    ("multiscales-listed", "empty", "points",
     lambda f: f.edit("", lambda d: d["attributes"].update(multiscales=[])), BOTH),
    ("multiscales-listed", "levels", "points", on_multiscale(lambda m: m.update(datasets=[])), BOTH),
    ("axes", "repeated", "points", on_multiscale(lambda m: m["axes"][0].update(name="y")), BOTH),
    ("axes", "type", "points", on_multiscale(lambda m: m["axes"][0].update(type="smell")), BOTH),
    ("axes", "unit", "points", on_multiscale(lambda m: m["axes"][0].update(unit=3)), BOTH),
    ("axes", "few", "points", on_multiscale(lambda m: m["axes"].pop()), BOTH),
    ("axes", "none", "points", on_multiscale(lambda m: m.pop("axes")), BOTH),
    ("multiscales-base", "two", "points",
     on_multiscale(lambda m: m["datasets"].insert(0, dict(m["datasets"][0]))), BOTH),
    ("multiscales-ascending", "reversed", "points", on_multiscale(lambda m: m["datasets"].reverse()), BOTH),
    ("multiscales-transforms", "order", "points",
     on_multiscale(lambda m: m["datasets"][1]["coordinateTransformations"].reverse()), BOTH),
    ("multiscales-transforms", "scale", "points", lambda f: f.entry(1, bin_ratio=[3, 3]), BOTH),
    ("multiscales-transforms", "translation", "points", lambda f: f.entry(1, bin_shape=[51.0, 50.0]), BOTH),
    ("multiscales-paths", "unlisted", "points", on_multiscale(lambda m: m["datasets"].pop()), BOTH),
    ("multiscales-paths", "missing", "points", lambda f: shutil.rmtree(f.root / "2"), BOTH),
    ("multiscales-paths", "path", "points", lambda f: f.entry(2, path="two"), BOTH),
    ("capabilities", "token", "points", lambda f: f.root_block(format_capabilities=["flying"]), BOTH),
    ("level-metadata", "absent", "points",
     lambda f: f.edit("1", lambda d: d["attributes"].pop("zarr_vectors_level")), BOTH),
    ("level-metadata", "value", "points", lambda f: f.level_block(1, object_sparsity=7), BOTH),
    ("level-metadata", "number", "points", lambda f: f.level_block(1, level=2), BOTH),
    ("level-readable", "dtype", "points", lambda f: f.attributes("0/vertex_attributes/intensity", dtype="soup"), BOTH),
    ("level-readable", "shape", "points", lambda f: f.level_block(1, bin_shape=[50.0]), BOTH),
    ("level-shapes", "ratio", "points", lambda f: f.level_block(1, bin_ratio=[2, 3]), BOTH),
    ("level-shapes", "axes", "points", lambda f: f.level_block(1, bin_ratio=[2]), BOTH),
    ("level-shapes", "sparsity", "points", lambda f: f.level_block(1, object_sparsity=0.5), BOTH),
    ("arrays-stated", "name", "points", lambda f: f.level_block(1, arrays_present=["vertices", "wings"]), BOTH),
    ("zv-array", "wrong", "points", lambda f: f.attributes("0/vertices", zv_array="links"), BOTH),
    ("zv-array", "missing", "points", lambda f: f.attributes("0/vertices", zv_array=None), BOTH),
    ("zv-array", "name", "points", lambda f: f.attributes("0/vertex_attributes/label", name="other"), BOTH),
    ("grids", "shape", "points",
     lambda f: f.edit("0/vertex_attributes/label", lambda d: d.update(shape=[4, 4])), LATE),
    ("grids", "origin", "points",
     lambda f: (f.attributes("0/vertex_attributes/label", chunk_grid_origin=[-1, 0]),
                f.edit("0/vertex_attributes/label", lambda d: d.update(shape=[4, 3]))), LATE),
    ("chunks-stated", "absent", "points",
     lambda f: f.attributes("0/vertex_attributes/label", nonempty_chunks=None), LATE),
    ("chunk-sets", "fewer", "points",
     lambda f: f.attributes("0/vertex_fragments", nonempty_chunks=["0.0"]), LATE),
    ("chunk-sets", "more", "points",
     lambda f: f.attributes("0/vertices", nonempty_chunks=["0.0", "0.1", "1.0"]), LATE),
    ("chunk-sets", "folder", "points",
     lambda f: shutil.copytree(f.root / "0/vertex_fragments/0.0", f.root / "0/vertex_fragments/0.7"), EARLY),
    ("object-index", "count", "objects", lambda f: f.attributes("0/object_index", num_objects=3), BOTH),
    ("attribute-specs", "absent", "points",
     lambda f: f.root_block(attribute_specs={"vertex": {"taste": {"dtype": "int8"}}}), BOTH),
    ("attribute-specs", "dtype", "points",
     lambda f: f.root_block(attribute_specs={"vertex": {"intensity": {"dtype": "int8"}}}), BOTH),
    ("cells-readable", "truncated", "points",
     lambda f: f.cell_file("0/vertices", KEY).write_bytes(f.cell_file("0/vertices", KEY).read_bytes()[:-3]), BOTH),
    ("cells-readable", "index", "points",
     lambda f: f.put_cell("0/vertex_fragments", KEY, b"nonsense" + f.cell("0/vertex_fragments", KEY)[8:]), BOTH),
    ("cells-readable", "groups", "objects",
     lambda f: (f.root / ("0/groups/data/c/0" if f.keyed else "0/groups/c/0")).write_bytes(b"12345"), BOTH),
    ("attribute-rows", "fewer", "points", rows("0/vertex_attributes/intensity", "<f8", lambda v: v[:-1]), BOTH),
    ("fragment-attribute-rows", "fewer", "objects", rows("0/fragment_attributes/object_id", "<i8", lambda v: v[1:]),
     BOTH),
    ("fragments-present", "empty", "points", lambda f: f.put_cell("0/vertex_fragments", KEY, b""), BOTH),
    ("fragment-rows", "beyond", "points", fragment_table(add((3, 1), 1)), BOTH),
    ("fragments-tile", "order", "points", fragment_table(assign((slice(0, 2), 0), [5, 0])), BOTH),
    ("fragments-cover", "short", "points",
     lambda f: (fragment_table(add((3, 1), -1))(f), f.level_block(0, fragments_tile=False)), BOTH),
    ("object-counts", "present", "objects", lambda f: f.attributes("0/object_index", num_present=3), LATE),
    ("object-attribute-rows", "fewer", "objects", fewer_object_rows, BOTH),
    ("group-attribute-rows", "fewer", "objects", fewer_group_rows, LATE),
    ("group-members", "stranger", "objects", stranger_in_group, BOTH),
    ("manifest-chunks", "stray", "objects", manifests(lambda m: m[0].append(((7, 7), 0))), BOTH),
    ("manifest-fragments", "beyond", "objects", manifests(lambda m: m[0].append(((0, 0), 99))), BOTH),
    ("fragments-owned", "orphan", "objects", manifests(lambda m: m[0].pop()), BOTH),
    ("fragments-shared", "twice", "objects", manifests(lambda m: m[0].append(m[1][0])), BOTH),
    ("fragment-owners", "other", "objects", rows("0/fragment_attributes/object_id", "<i8", add(0, 3)), BOTH),
    ("vertex-count", "more", "points", lambda f: f.level_block(1, vertex_count=17), BOTH),
    ("link-endpoints", "row", "points", wild_link, BOTH),
    ("link-endpoints", "cell", "network", drop_cell("0/links/0/0.0"), ("0.9",)),
    ("link-endpoints", "blob", "network", lambda f: shutil.rmtree(f.root / "0/cross_chunk_links/0/data"), ("0.7",)),
    ("link-counts", "stated", "network", lambda f: f.attributes("0/links/0", num_links=7), ("0.9",)),
    ("link-fragments", "gone", "network", drop_cell("0/link_fragments"), BOTH),
    ("link-levels", "level", "points", link_to_nowhere, BOTH),
    ("vertices-finite", "nan", "points", rows("0/vertices", "<f4", assign(4, np.nan)), BOTH),
    ("vertices-in-chunk", "moved", "points", rows("0/vertices", "<f4", add(4, 50)), BOTH),
    ("inside-bounds", "smaller", "points", lambda f: f.root_block(bounds=[[0, 0], [100, 90]]), BOTH),
    ("bin-fragments", "moved", "points", rows("0/vertices", "<f4", add(0, 25)), BOTH),
    ("category-codes", "code", "points",
     rows("0/vertex_attributes/label", "u1", assign(0, 9)), BOTH),
    ("texts-used", "older", "points", older_texts, BOTH),
    ("conventions", "links", "points", lambda f: f.root_block(links_convention="explicit"), BOTH),
    ("object-ids-sorted", "swapped", "objects", swap_ids, BOTH),
    ("levels-ascending", "smaller", "objects", smaller_ratio, BOTH),
    ("chunk-multiples", "thrice", "corner", odd_chunks, BOTH),
    ("bins-nest", "wide", "corner", lambda f: f.level_block(2, chunk_shape=None), BOTH),
    ("parent-level", "none", "points", lambda f: f.level_block(2, parent_level=7), BOTH),
    ("fresh", "stale", "points", lambda f: f.level_block(2, stale=True), BOTH),
    ("object-sparsity", "fewer", "objects", sparser, BOTH),
    ("metavertices", "other", "bare", take_level(1, "diagonal"), BOTH),
    ("centroids", "moved", "points", rows("1/vertices", "<f4", add(0, 0.5)), BOTH),
    ("aggregates", "mean", "points", rows("1/vertex_attributes/intensity", "<f8", add(0, 0.01)), BOTH),
    ("aggregates", "count", "points", rows("1/vertex_attributes/merged", "<u4", add(0, 1)), BOTH),
    ("remade", "moved", "tracks", rows("1/vertices", "<f4", add(0, 0.01)), BOTH),
    ("remade", "mean", "tracks", rows("1/vertex_attributes/fa", "<f8", add(0, 0.01)), BOTH),
    ("remade", "node", "network", rows("1/vertices", "<f4", add(0, 0.01)), BOTH),
    ("remade", "edges", "network", swap_endpoints, BOTH),
]  # fmt: skip
APART = {"objects-kept", "counts-shrink", "identity-convention", "objects-used", "recomputed", "line-ends"}
APART |= {"chunk-keys", "object-bins", "vertex-bins", "parametric-readable", "refinement"}
"""Rules with a test of their own: below, in test_binning.py, beside the lines, and beside the additive levels."""


@pytest.mark.parametrize(
    ("check", "kind", "damage", "revision"),
    [
        pytest.param(check, kind, damage, revision, id=f"{check}-{what}-{revision}")
        for check, what, kind, damage, revisions in CASES
        for revision in revisions
    ],
)
def test_damage_is_found_by_its_rule_alone(
    check: str, kind: str, damage: Damage, revision: str, copied: Callable[[str], Files]
) -> None:
    files = copied(f"{kind}-{revision}")
    damage(files)
    report = validate(files.root, level=RULES[check].level)
    found = [*report.errors, *report.warnings]
    assert {finding.check for finding in found} == {check}, report.summary()
    assert all(finding.level == RULES[check].level and finding.message for finding in found)
    assert report.is_valid is not bool(report.errors)


def test_every_rule_is_tested() -> None:
    assert {check for check, *_ in CASES} | APART == set(RULES)


def test_objects_of_another_choice(copied: Callable[[str], Files]) -> None:
    files = copied("objects-0.9")
    ids = files.object_ids(1)
    files.put_manifests(1, lambda lists: lists[3].clear())
    report = validate(files.root)
    kept = validate(files.root, level=3)
    assert {f.check for f in kept.errors} == {"object-counts", "fragments-owned"}
    found = [f for f in report.errors if f.check == "objects-kept"]
    present = read_present(files, 2)
    assert bool(found) == (int(ids[3]) in present)


def read_present(files: Files, level: int) -> set[int]:
    """Return the ids of the objects that have vertices at a level."""
    ids: list[int] = []
    files.put_manifests(
        level, lambda lists: ids.extend(int(i) for i, one in zip(files.object_ids(level), lists, strict=True) if one)
    )
    return set(ids)


@pytest.mark.parametrize("revision", REVISIONS)
def test_coarse_level_with_more_vertices(revision: str, copied: Callable[[str], Files]) -> None:
    files = copied(f"points-{revision}")
    files.level_block(1, vertex_count=10**6)
    report = validate(files.root, sample_fraction=0.5, seed=0)  # a sample does not count vertices
    assert {f.check for f in report.errors} == {"counts-shrink"}


def test_identity_convention_needs_one_chunk(copied: Callable[[str], Files]) -> None:
    files = copied("points-0.9")
    files.root_block(object_index_convention="identity")
    report = validate(files.root, level=4)
    assert {f.check for f in report.errors} == {"identity-convention"}


def test_objects_without_vertices_are_noted(copied: Callable[[str], Files]) -> None:
    files = copied("objects-0.9")
    files.put_manifests(0, lambda lists: lists[0].clear())
    assert "objects-used" in {f.check for f in validate(files.root, level=3).notes}
