"""The port over an Icechunk session: any order of documents and payloads gives what a plain place gives."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_vectors.exceptions import ReadOnlyStoreError, StoreError
from zarr_vectors.storage import Range, Storage, Transaction, begin_replacement, lock, recover, resolve_storage
from zarr_vectors.storage.documents import group_document
from zarr_vectors.storage.icechunk.sessions import IcechunkStorage

pytest.importorskip("icechunk", reason="install zarr-vectors[icechunk]")

GROUP = json.dumps(group_document({"a": 1})).encode()


def array(*shape: int, edge: int = 1, **attributes: Any) -> bytes:
    return json.dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [edge] * len(shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes"}],
            "attributes": attributes,
        }
    ).encode()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def opened(place: Path, mode: Any = "a", **options: Any) -> IcechunkStorage:
    storage = resolve_storage(place, mode=mode, backend="icechunk", **options)
    assert isinstance(storage, IcechunkStorage)
    return storage


def test_a_place_without_repository_is_empty_and_stays_so(place: Path) -> None:
    storage = opened(place)
    assert storage.get_many([Range("zarr.json"), Range("a/c/0", 2, 5)]) == [None, None]
    assert storage.list_all() == []
    assert storage.list_folders(["", "a"]) == [([], []), ([], [])]
    assert not storage.exists("zarr.json")
    storage.delete_prefix("")
    assert not place.exists()


def test_payloads_may_come_before_their_documents(place: Path) -> None:
    storage = opened(place)
    storage.put_many([("0/a/c/1/2", b"payload")])
    assert not storage.exists("0/a/zarr.json")
    assert storage.get_many([Range("0/a/zarr.json"), Range("0/a/c/1/2")]) == [None, b"payload"]
    assert storage.list_all("0") == ["0/a/c/1/2"]
    assert storage.list_folders([""])[0].folders == ["0"]
    storage.put_many([("0/a/zarr.json", array(3, 3)), ("0/zarr.json", GROUP), ("zarr.json", GROUP)])
    assert storage.list_all() == ["0/a/c/1/2", "0/a/zarr.json", "0/zarr.json", "zarr.json"]
    storage.commit("all of it")
    assert opened(place, "r").list_all() == ["0/a/c/1/2", "0/a/zarr.json", "0/zarr.json", "zarr.json"]


def test_payloads_may_come_before_their_grid_grows(place: Path) -> None:
    storage = opened(place)
    storage.put_many([("a/zarr.json", array(4, 4, edge=2)), ("a/c/1/1", b"x")])
    storage.commit("small")
    storage.put_many([("a/c/5/0", b"far")])
    assert storage.get_many([Range("a/zarr.json"), Range("a/c/5/0")]) == [array(4, 4, edge=2), b"far"]
    storage.put_many([("a/zarr.json", array(12, 4, edge=2))])
    storage.commit("grown")
    assert opened(place, "r").list_all() == ["a/c/1/1", "a/c/5/0", "a/zarr.json"]


def test_what_stood_in_for_a_document_is_gone_after_a_commit(place: Path) -> None:
    storage = opened(place)
    storage.put_many([("a/zarr.json", array(2)), ("a/c/7", b"beyond"), ("b/c/0", b"no document")])
    storage.commit("incomplete")
    reader = opened(place, "r")
    assert reader.list_all() == ["a/zarr.json"]
    assert reader.get_many([Range("a/zarr.json")]) == [array(2)]


@pytest.mark.parametrize("size", [4, 3000])
def test_ranges_end_where_the_object_ends(place: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    storage = opened(place)
    storage.put_many([("zarr.json", GROUP), ("a/zarr.json", array(2)), ("a/c/0", data)])
    cases = [
        (0, 3),
        (1, 10**6),
        (size, size + 5),
        (size + 7, size + 9),
        (2, 2),
        (1, None),
        (size + 3, None),
        (-2, None),
    ]
    cases += [(-(10**6), None), (None, None)]
    for address, whole in (("a/c/0", data), ("zarr.json", GROUP)):
        for start, stop in cases:
            assert storage.get_many([Range(address, start, stop)]) == [whole[slice(start, stop)]], (
                address,
                start,
                stop,
            )


def test_a_node_may_become_one_of_another_kind(place: Path) -> None:
    storage = opened(place)
    storage.put_many([("zarr.json", GROUP), ("a/zarr.json", array(2, 2)), ("a/c/0/0", b"x")])
    storage.put_many([("a/zarr.json", GROUP)])
    assert storage.list_all() == ["a/zarr.json", "zarr.json"]
    storage.put_many([("a/zarr.json", array(3)), ("a/c/2", b"y")])
    assert storage.list_all() == ["a/c/2", "a/zarr.json", "zarr.json"]


def test_what_icechunk_cannot_keep_is_refused_by_name(place: Path) -> None:
    storage = opened(place)
    storage.put_many([("zarr.json", GROUP)])
    with pytest.raises(StoreError, match=r"'notes\.txt'.*neither"):
        storage.put_many([("notes.txt", b"x")])
    with pytest.raises(StoreError, match="is a group"):
        storage.put_many([("c/0", b"x")])
    with pytest.raises(ReadOnlyStoreError):
        opened(place, "r").put_many([("zarr.json", GROUP)])


def test_a_transaction_and_a_replacement_are_seen_when_they_are_final(place: Path) -> None:
    storage = opened(place)
    with begin_replacement(storage) as replacement:
        replacement.staging.put_many([("zarr.json", GROUP), ("old/zarr.json", GROUP)])
        assert storage.list_all() == []
    with pytest.raises(StoreError, match="neither"), Transaction(storage) as transaction:
        transaction.put_many([("new/zarr.json", GROUP), ("notes.txt", b"")])
    transaction = Transaction(storage)
    transaction.put_many([("new/zarr.json", GROUP)])
    assert transaction.exists("new/zarr.json")
    transaction.abort()
    assert storage.list_all() == ["old/zarr.json", "zarr.json"]
    with begin_replacement(storage) as replacement:
        replacement.staging.put_many([("zarr.json", array(3))])
        assert storage.list_all() == ["old/zarr.json", "zarr.json"]
    assert opened(place, "r").list_all() == storage.list_all() == ["zarr.json"]


def test_a_locked_block_is_one_version_or_none(place: Path) -> None:
    storage = opened(place, message="one step")
    with lock(storage) as held:
        held.renew()
        assert recover(storage) == []
        storage.put_many([("zarr.json", GROUP)])
        with Transaction(storage) as transaction:
            transaction.put_many([("a/zarr.json", GROUP)])
        assert not opened(place, "r").exists("a/zarr.json")
    assert messages(storage) == ["one step", "Repository initialized"]
    with pytest.raises(StoreError, match="neither"), lock(storage):
        storage.put_many([("b/zarr.json", GROUP), ("notes.txt", b"")])
    assert storage.list_all() == ["a/zarr.json", "zarr.json"]


def messages(storage: IcechunkStorage) -> list[str]:
    return [info.message for info in storage.state.repository.ancestry(branch="main")]


GROUPS = ("", "0", "0/a")
NODES = (*GROUPS, "0/a/b", "01", "0/+1.-1.0")
CHUNKS = ("c/0/0", "c/1/0", "c/11/3")


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, str, bytes]]:
    """Give steps that leave every array with a document that its chunks fit, and some deletions after them."""
    objects: dict[str, bytes] = {}
    for node in NODES:
        start = f"{node}/" if node else ""
        is_array = node not in GROUPS and draw(st.booleans())
        objects[f"{start}zarr.json"] = array(12, 4) if is_array else GROUP
        if is_array:
            objects |= {f"{start}{chunk}": draw(st.binary(min_size=1, max_size=3)) for chunk in CHUNKS}
    puts = [("put", address, objects[address]) for address in draw(st.permutations(list(objects)))]
    chunks = [address for address in objects if not address.endswith("zarr.json")]
    gone = draw(st.lists(st.sampled_from(chunks), max_size=3)) if chunks else []
    prefixes = draw(st.lists(st.sampled_from(["0", "0/a", "01", "0/a/b", "0/+1.-1.0", "nothing"]), max_size=2))
    return [*puts, *(("delete", one, b"") for one in gone), *(("prefix", one, b"") for one in prefixes)]


@settings(max_examples=20)
@given(steps())
def test_any_order_gives_what_a_plain_place_gives(steps: list[tuple[str, str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage = opened(Path(folder) / "repository")
        plain = resolve_storage(f"memory://{uuid.uuid4().hex}", mode="w")
        places: list[Storage] = [storage, plain]
        for what, address, data in steps:
            for one in places:
                if what == "put":
                    one.put_many([(address, data)])
                elif what == "delete":
                    one.delete_many([address])
                else:
                    one.delete_prefix(address)
        expected = plain.list_all()
        assert storage.list_all() == expected
        assert storage.get_many([Range(one) for one in expected]) == plain.get_many([Range(one) for one in expected])
        prefixes = ["", "0", "0/a", "0/a/b", "0/a/b/c", "0/a/b/c/1", "01", "nothing"]
        assert storage.list_folders(prefixes) == plain.list_folders(prefixes)
        assert [storage.list_all(one) for one in prefixes] == [plain.list_all(one) for one in prefixes]
        storage.commit("done")
        assert opened(Path(folder) / "repository", "r").list_all() == expected
