"""Bit rot: single bits of what a store keeps beside its metadata, turned over, must be noticed by name.

``python -m zarr_vectors.testing.fuzz --bits 10000`` turns so many, one after another, over stores of every kind.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from zarr_vectors.exceptions import ArrayError, ZarrVectorsError
from zarr_vectors.model.cells import Cells
from zarr_vectors.read.compare import differences, read_level
from zarr_vectors.read.parametric import read_parametric_table
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.fuzz.stores import Objects, small_stores
from zarr_vectors.validate import validate


@dataclass(slots=True)
class Rot:
    """What was turned over, and what went unnoticed.

    Attributes
    ----------
    seed : int
        Every bit follows from it and its number.
    bits : Counter of str
        How many bits were turned, by kind of store.
    silent : list of str
        Those that reading returned as data, that validation passed, or that were noticed without a name.
    """

    seed: int = 0
    bits: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)

    def run(self, count: int, stores: dict[str, dict[str, bytes]] | None = None) -> Rot:
        """Turn bits of the stores, by default of every kind, revision and layout, in turn."""
        stores = small_stores() if stores is None else stores
        sound = {name: contents(Objects(objects)) for name, objects in stores.items()}
        names = sorted(stores)
        for number in range(count):
            name = names[number % len(names)]
            changed, address, bit = turn_bit(stores[name], random.Random(f"{self.seed}-{number}"))
            self.bits[name] += 1
            self.silent += [
                f"{name}: bit {bit} of {address}: {what}"
                for what in _unnoticed(Objects(changed), address.split("/c/")[0], sound[name])
            ]
        return self

    def summary(self) -> str:
        """Say what was tried and found."""
        lines = [f"{self.bits.total()} bits of {len(self.bits)} stores; {len(self.silent)} silent (seed {self.seed})"]
        return "\n".join(lines + [f"  {one}" for one in self.silent])


def turn_bit(objects: dict[str, bytes], rng: random.Random) -> tuple[dict[str, bytes], str, int]:
    """Return the objects of a store with one bit turned over that is no metadata, its address, and which it is."""
    address = rng.choice(sorted(name for name, data in objects.items() if data and is_data(name)))
    bit = rng.randrange(8 * len(objects[address]))
    data = bytearray(objects[address])
    data[bit // 8] ^= 1 << bit % 8
    return {**objects, address: bytes(data)}, address, bit


def is_data(address: str) -> bool:
    """Return whether an address is that of cells, of a shard or of a part of a dense array."""
    return not address.endswith("zarr.json") and not address.startswith(".zv-")


def contents(place: Any) -> tuple[Any, dict[int, Cells]]:
    """Read the parametric objects and all levels of a store."""
    storage = resolve_storage(place, mode="r")
    store = StoreReader.open(storage)
    return read_parametric_table(storage), {n: read_level(store, n) for n in store.level_numbers()}


def _unnoticed(place: Any, array: str, sound: tuple[Any, dict[int, Cells]]) -> list[str]:
    """Return how one turned bit of an array went unnoticed."""
    missed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parametric, levels = contents(place)
        except ArrayError as error:
            if array not in str(error):
                missed.append(f"read as {error}")
        except ZarrVectorsError as error:
            missed.append(f"read as {type(error).__name__}: {error}")
        else:
            if repr(parametric) != repr(sound[0]) or any(differences(sound[1][n], levels[n]) for n in levels):
                missed.append("read as data")
        found = validate(place).errors
    if not any(array in problem.path or array in problem.message for problem in found):
        missed.append(f"validated as {[problem.message for problem in found] or 'sound'}")
    return missed
