"""Damaged stores of every kind and revision through every public door."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zarr_vectors.exceptions import MetadataError, ZarrVectorsError
from zarr_vectors.lazy import open_zv
from zarr_vectors.repair import repair
from zarr_vectors.storage.documents import parse_document
from zarr_vectors.testing.fuzz.doors import READERS, attempts, try_all, undocumented
from zarr_vectors.testing.fuzz.mutation import HOSTILE_NAMES, dump, mutate_objects
from zarr_vectors.testing.fuzz.running import deadline
from zarr_vectors.testing.fuzz.stores import Objects, small_stores
from zarr_vectors.validate import validate

STORES = small_stores()
NAMES = sorted(STORES)
PLAIN = [name for name in NAMES if name.endswith("plain")]
ALLOWANCE = 320 << 20
"""Bytes that a small store may take, whatever its metadata say: `FILL_ALLOWANCE` and what reading itself needs."""


def kind_of(name: str) -> str:
    return name.rsplit(" ", 2)[0]


@pytest.mark.parametrize("name", NAMES)
def test_sound_stores_pass(name: str) -> None:
    place = Objects(dict(STORES[name]))
    READERS[kind_of(name)](place)
    assert validate(place).is_valid
    assert try_all(kind_of(name), STORES[name], repairing=True) == []


@given(st.sampled_from(NAMES), st.integers(0, 2**32))
@settings(max_examples=110, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_damaged_stores(name: str, seed: int) -> None:
    rng = random.Random(seed)
    changed, done = mutate_objects(STORES[name], rng)
    with deadline(30):
        assert try_all(kind_of(name), changed, repairing=rng.random() < 0.25) == [], done


def counts_that_lie(document: Any) -> list[Any]:
    """Return documents in which one count is far beyond what is stored."""
    found = []
    for number in (10**12, 2**60):
        for key in ("shape", "chunk_shape", "row_shape", "num_objects", "num_groups", "link_width", "vertex_count"):
            changed = replaced(document, key, number)
            if changed != document:
                found.append(changed)
    return found


def replaced(value: Any, key: str, number: int) -> Any:
    if not isinstance(value, dict):
        return value
    wrong = {name: [number] * len(one) if isinstance(one, list) else number for name, one in value.items()}
    return {name: wrong[name] if name == key else replaced(one, key, number) for name, one in value.items()}


@pytest.mark.parametrize("name", PLAIN)
def test_counts_in_documents_take_no_memory(name: str) -> None:
    rng = random.Random(name)
    documents = sorted(address for address in STORES[name] if address.endswith("zarr.json"))
    cases = [(a, one) for a in documents for one in counts_that_lie(parse_document(STORES[name][a], a))]
    for address, changed in rng.sample(cases, min(6, len(cases))):
        tried = attempts(kind_of(name), Objects({**STORES[name], address: dump(changed)}))
        tracemalloc.start()
        try:
            with deadline(30):
                assert undocumented({door: tried[door] for door in ("read", "open_zv")}) == [], address
            assert tracemalloc.get_traced_memory()[1] < ALLOWANCE, address
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("hostile", HOSTILE_NAMES)
@pytest.mark.parametrize("name", ["graph 0.9 plain", "objects 0.7 plain", "parametric 0.9 plain"])
def test_names_in_metadata_lead_nowhere(name: str, hostile: str) -> None:
    objects = dict(STORES[name])
    for address in [a for a in objects if a.count("/") <= 1 and a.endswith("zarr.json")]:
        document = parse_document(objects[address], address)
        attributes = document.get("attributes", {})
        block = attributes.get("zarr_vectors_level", attributes)
        block["nodes"] = [hostile, f"vertex_attributes/{hostile}", *block.get("nodes", [])]
        block["chunk_attribute_name"] = hostile
        block["arrays_present"] = [hostile]
        if address == "zarr.json":
            node = {"zarr_format": 3, "node_type": "group", "attributes": {}}
            copies = {f"0/{hostile}": node, hostile: node, "0": node}
            document["consolidated_metadata"] = {"kind": "inline", "metadata": copies}
        objects[address] = dump(document)
    place = Objects(objects)
    assert undocumented(attempts(kind_of(name), place)) == []
    for address in place.asked:
        parts = address.split("/")
        assert not {"", ".", ".."} & set(parts), address
        assert "\\" not in address, address
        assert "\0" not in address, address


@pytest.mark.parametrize("hostile", ["../outside", "/outside", "", ".zv-lock/store.json", "a/../../b", None, 3])
@pytest.mark.parametrize("key", ["moves", "deletions"])
def test_commit_markers_lead_nowhere(hostile: Any, key: str) -> None:
    objects = dict(STORES["points 0.9 plain"])
    staged = {".zv-journal/1-a/data/0/zarr.json": objects["0/zarr.json"], ".zv-lock/store.json": b"{}"}
    marker = {"version": 1, "moves": ["0/zarr.json"], "deletions": [], key: ["0/zarr.json", hostile]}
    place = Objects({**objects, **staged, ".zv-journal/1-a/commit.json": dump(marker)})
    before = dict(place.kept)
    with pytest.raises(MetadataError, match=r"commit marker is damaged.*drop_damaged=True"):
        open_zv(place)
    with pytest.raises(ZarrVectorsError):
        open_zv(place, mode="r+")
    assert {a: place.kept[a] for a in before if not a.startswith(".zv-lock")} == {
        a: data for a, data in before.items() if not a.startswith(".zv-lock")
    }
    assert not repair(place).is_sound
    assert repair(place, drop_damaged=True).is_sound
    assert {a: data for a, data in place.kept.items() if not a.startswith(".zv-")} == objects


@pytest.mark.parametrize(
    "lock",
    [
        b"",
        b"[]",
        b'{"expires": "never", "token": "a"}',
        b'{"expires": 1e300, "token": "a"}',
        b'{"expires": NaN, "token": "a"}',
        b'{"expires": -1, "token": "../../outside"}',
        b'{"expires": 1, "token": ["a"]}',
        b'{"expires": 1, "token": "a", "pid": 1e300, "host": 5}',
    ],
)
def test_locks_that_cannot_be_meant_hold_nobody_back(lock: bytes) -> None:
    place = Objects({**STORES["points 0.9 plain"], ".zv-lock/store.json": lock})
    assert repair(place).is_sound
    assert all(".." not in address for address in place.asked)
