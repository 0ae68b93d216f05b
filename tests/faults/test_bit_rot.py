"""Single bits of cells, shards and dense arrays that have turned over: each is noticed, and its chunk named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zarr_vectors.storage.documents import parse_document
from zarr_vectors.testing.fuzz.rot import Rot, is_data
from zarr_vectors.testing.fuzz.stores import small_stores

STORES = small_stores()
POSITIONS = np.random.default_rng(0).uniform(0, 40, (300, 3))


def unchecked(objects: dict[str, bytes]) -> set[str]:
    """Return the arrays of a store whose cells have no checksum."""
    documents = {name: parse_document(data, name) for name, data in objects.items() if name.endswith("zarr.json")}
    return {name for name, one in documents.items() if one["node_type"] == "array" and not is_checked(one)}


def is_checked(document: dict[str, Any]) -> bool:
    codecs = document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        assert codecs[0]["configuration"]["index_codecs"][-1]["name"] == "crc32c"
        codecs = codecs[0]["configuration"]["codecs"]
    return codecs[-1] == {"name": "crc32c"}


@pytest.mark.parametrize("name", sorted(STORES))
def test_everything_that_is_stored_has_a_checksum(name: str) -> None:
    assert any(map(is_data, STORES[name]))
    assert unchecked(STORES[name]) == set()


def test_no_turned_bit_is_silent() -> None:
    rot = Rot(seed=9).run(2 * len(STORES), STORES)
    assert len(rot.bits) == len(STORES)
    assert rot.silent == []
