"""Changes to bytes, to JSON documents and to the objects of a store, drawn from a random generator."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from zarr_vectors.encoding.checksum import checksum_bytes
from zarr_vectors.typing import Document

HOSTILE_NAMES: Sequence[str] = (
    "",
    ".",
    "..",
    "../outside",
    "../../outside",
    "a/../../outside",
    "a/./b",
    "/outside",
    "//outside",
    "\\outside",
    "..\\outside",
    "C:\\outside",
    "C:outside",
    "nul\0byte",
    "con",
    "NUL",
    "aux.txt",
    "x" * 300,
    "é" * 200,
    "zarr.json",
    "c",
    ".zv-lock",
    "trailing.",
    "trailing ",
    "new\nline",
    "a//b",
    "-1.0.0",
    "\ud800",
)
"""Names that must not become addresses outside a store, or that some file system does not take."""

HOSTILE_NUMBERS: Sequence[float] = (
    -1,
    0,
    1,
    2**15,
    2**31 - 1,
    2**31,
    2**32,
    2**40,
    2**60,
    2**63 - 1,
    2**63,
    2**64,
    10**12,
    10**30,
    -(2**63),
    0.5,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
)
"""Numbers at the ends of what integers and floats of some width hold, and beyond."""

_HOSTILE_VALUES: Sequence[Any] = (
    None,
    True,
    [],
    {},
    [[]],
    [None],
    [1, 2, 3],
    {"name": None},
    "object",
    "|O",
    "O",
    "<U2147483647",
    "V1000000000",
    "f4,f4",
    "(1000000,1000000)f8",
    "datetime64",
    "datetime64[ns]",
    "complex128",
    "float16",
    "__import__('os')",
    "pickle",
    "vlen-utf8",
    "NaN",
    "Infinity",
    "1.1.1",
    "99999999999.0.0",
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return some bytes changed in one to four places: flipped, set, cut out, repeated, inserted or cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_WAYS)(changed, rng)
    return bytes(changed)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def _set_number(data: bytearray, rng: random.Random) -> None:
    width = rng.choice((2, 4, 8))
    if len(data) >= width:
        place = _place(data, rng) // width * width
        number = rng.choice(
            (0, 1, -1, 2 ** (8 * width - 1) - 1, -(2 ** (8 * width - 1)), len(data), rng.getrandbits(8 * width))
        )
        data[place : place + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")


def _cut_off(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _cut_out(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 4, 8, 16, 64))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.choice((1, 4, 8, 16, 64, 1024))]
    data[start:start] = part * rng.choice((1, 1, 2, 16))


def _insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice((1, 2, 4, 8)))


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a place, often near the beginning, where headers are."""
    return rng.randrange(min(len(data), rng.choice((16, 64, len(data)))))


_WAYS: Sequence[Callable[[bytearray, random.Random], None]] = (
    _flip,
    _set_byte,
    _set_byte,
    _set_number,
    _set_number,
    _cut_off,
    _cut_out,
    _repeat,
    _insert,
)


def mutate_document(document: Any, rng: random.Random) -> Any:
    """Return a JSON document with one to three of its values replaced, removed, repeated or moved."""
    changed = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(changed))
        if not places:
            return hostile_value(None, rng)
        holder, key = places[rng.randrange(len(places))]
        _change(holder, key, rng)
    return changed


def _places(value: Any) -> Any:
    """Yield every (container, key) inside a document."""
    keys: Any = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _change(holder: Any, key: Any, rng: random.Random) -> None:
    way = rng.choice(("replace", "replace", "replace", "remove", "rename", "repeat", "nest"))
    if way == "remove":
        del holder[key]
    elif way == "rename" and isinstance(holder, dict):
        holder[rng.choice([*HOSTILE_NAMES, *holder])] = holder.pop(key)
    elif way == "repeat" and isinstance(holder, list):
        holder[key:key] = [holder[key]] * rng.choice((1, 2, 100))
    elif way == "nest":
        holder[key] = rng.choice(([holder[key]], {"x": holder[key]}, [[[0]]]))
    else:
        holder[key] = hostile_value(holder[key], rng)


def hostile_value(old: Any, rng: random.Random) -> Any:
    """Return a value to stand where `old` was: mostly of its kind, at times of any other."""
    if rng.random() < 0.25:
        return copy.deepcopy(rng.choice(_HOSTILE_VALUES))
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | float):
        near = (old + 1, old - 1, -old, old * 2, old * 1000)
        return rng.choice([*HOSTILE_NUMBERS, *near, *near])
    if isinstance(old, str):
        cut = rng.randrange(len(old) + 1)
        return rng.choice([*HOSTILE_NAMES, old[:cut], old + old, old + "/..", "../" + old, old[cut:]])
    if isinstance(old, list):
        return rng.choice((old[:-1], old + old, old[::-1], [*old, None], [hostile_value(one, rng) for one in old]))
    return copy.deepcopy(rng.choice([*HOSTILE_NUMBERS, *_HOSTILE_VALUES]))


def dump(document: Any) -> bytes:
    """Return a document as JSON, with NaN, infinities and lone surrogates as Python spells them."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


def mutate_objects(objects: dict[str, bytes], rng: random.Random) -> tuple[dict[str, bytes], str]:
    """Return the objects of a store, by address, with one to three changed, and what was done."""
    changed, done = dict(objects), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not changed:
            break
        address = rng.choice(_candidates(changed, rng))
        done.append(_change_object(changed, address, rng))
    return changed, ", ".join(done)


def _candidates(objects: dict[str, bytes], rng: random.Random) -> list[str]:
    documents = rng.random() < 0.5
    chosen = sorted(address for address in objects if address.endswith(".json") == documents)
    return chosen or sorted(objects)


def _change_object(objects: dict[str, bytes], address: str, rng: random.Random) -> str:
    way = rng.choice(("change",) * 12 + ("delete", "swap", "copy", "empty"))
    other = rng.choice(sorted(objects))
    if way == "delete":
        del objects[address]
    elif way == "swap":
        objects[address], objects[other] = objects[other], objects[address]
    elif way == "copy":
        folder = address.rpartition("/")[0]
        name = rng.choice(("zarr.json", "9", "-1", "0.0.0", "c", "..0", "x y"))
        objects[f"{folder}/{name}".lstrip("/")] = objects[other]
    elif way == "empty":
        objects[address] = b""
    elif address.endswith(".json") and rng.random() < 0.85:
        objects[address] = _mutate_json(objects[address], rng)
    else:
        objects[address] = _mutate_payload(objects, address, rng)
    return f"{way} {address}"


def _mutate_json(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.02:
        depth = rng.choice((100, 900, 100_000))
        return b'{"zarr_format": 3, "node_type": "group", "attributes": {"deep": ' + b"[" * depth + b"]" * depth + b"}}"
    return dump(mutate_document(_parsed(data), rng))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return {}


def _mutate_payload(objects: dict[str, bytes], address: str, rng: random.Random) -> bytes:
    data = objects[address]
    length = _shard_index_of(objects, address)
    if length is None or not 4 < length <= len(data) or rng.random() < 0.3:
        return mutate_bytes(data, rng)
    index = bytearray(data[-length:-4])
    for _ in range(rng.choice((1, 2))):
        rng.choice((_flip, _set_byte, _set_number))(index, rng)
    return data[:-length] + bytes(index) + checksum_bytes(bytes(index))


def _shard_index_of(objects: dict[str, bytes], address: str) -> int | None:
    """Return the length of the index of a shard; None where an object is no shard."""
    path = address
    while "/" in path:
        path = path.rpartition("/")[0]
        document: Document = _parsed(objects.get(f"{path}/zarr.json", b"{}"))
        if isinstance(document, dict) and document.get("node_type") == "array":
            try:
                codec = document["codecs"][0]
                outer = document["chunk_grid"]["configuration"]["chunk_shape"]
                cells = 1
                for extent in outer:
                    cells *= int(extent)
                return 16 * cells + 4 if codec["name"] == "sharding_indexed" else None
            except (KeyError, IndexError, TypeError, ValueError):
                return None
    return None
