"""A campaign: damaged inputs one after another, with a deadline and a limit of memory for each."""

from __future__ import annotations

import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr_vectors.storage.documents import parse_document
from zarr_vectors.testing.fuzz.decoders import DECODERS
from zarr_vectors.testing.fuzz.doors import try_all, undocumented
from zarr_vectors.testing.fuzz.mutation import dump, mutate_bytes, mutate_document, mutate_objects
from zarr_vectors.testing.fuzz.stores import small_stores

DEADLINE = 20.0
"""Seconds in which an input must be answered or refused."""

MEMORY = 1 << 30
"""Bytes of address space that an input may take beyond what the process has: inputs are of some kilobytes."""


class OvertimeError(BaseException):
    """An input took longer than its deadline; not an ``Exception``, so that nothing takes it for an answer."""


@dataclass(slots=True)
class Campaign:
    """What was tried, and what went wrong.

    Attributes
    ----------
    seed : int
        Every input follows from it and its number.
    inputs, bytes_read : int
        How many were tried, and their sizes together.
    faults : dict of str to list of str
        By kind and place of an error what was done to get there.
    """

    seed: int = 0
    inputs: int = 0
    bytes_read: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    slowest: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float) -> Campaign:
        """Try stores and single payloads for a time."""
        stores = small_stores()
        end = time.monotonic() + seconds
        with _limited_memory():
            while time.monotonic() < end:
                rng = random.Random(f"{self.seed}-{self.inputs}")
                self.one_store(stores, rng)
                for _ in range(50):
                    self.one_payload(rng)
        return self

    def one_store(self, stores: dict[str, dict[str, bytes]], rng: random.Random) -> None:
        """Damage a store and put it through every public door."""
        name = rng.choice(sorted(stores))
        changed, done = mutate_objects(stores[name], rng)
        kind = name.rsplit(" ", 2)[0]
        repairing = rng.random() < 0.25
        self._count(sum(map(len, changed.values())), f"{name}: {done}", "stores")
        self._judge(f"{name}: {done}", lambda: try_all(kind, changed, repairing=repairing))

    def one_payload(self, rng: random.Random) -> None:
        """Damage a payload and decode it."""
        name = rng.choice(sorted(DECODERS))
        decode, valid = DECODERS[name]
        data = rng.choice(valid)
        changed = mutate_bytes(data, rng)
        if data.startswith(b"{") and rng.random() < 0.8:
            changed = dump(mutate_document(parse_document(data, name), rng))
        self.payload(name, changed, decode)

    def payload(self, name: str, data: bytes, decode: Callable[[bytes], Any]) -> None:
        """Decode one payload."""
        self._count(len(data), name, "payloads")
        self._judge(f"{name}: {data[:200]!r}", lambda: undocumented({name: lambda: decode(data)}))

    def _count(self, size: int, what: str, kind: str) -> None:
        self.inputs += 1
        self.bytes_read += size
        self.counts[kind] += 1

    def _judge(self, what: str, action: Callable[[], list[tuple[str, Exception]]]) -> None:
        begun = time.monotonic()
        try:
            with deadline(DEADLINE):
                wrong = action()
        except OvertimeError:
            self.faults.setdefault("no answer in time", []).append(what)
        else:
            for door, error in wrong:
                self.faults.setdefault(_place(error), []).append(f"{door}: {what}: {error}")
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def summary(self) -> str:
        """Say what was tried and found."""
        lines = [
            f"{self.counts['stores']} damaged stores and {self.counts['payloads']} damaged payloads, "
            f"{self.bytes_read} bytes; slowest {self.slowest:.2f} s; {len(self.faults)} faults (seed {self.seed})"
        ]
        lines += [f"  {len(done)} × {place}\n    {done[0][:500]}" for place, done in sorted(self.faults.items())]
        return "\n".join(lines)


def _place(error: Exception) -> str:
    """Say where an error comes from: its kind and the innermost line of the package."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "zarr_vectors" in frame.filename and "testing" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno} ({frame.name})"


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `OvertimeError` in the main thread when a block takes longer; no limit where there are no signals."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise OvertimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Let the process take `MEMORY` more bytes than it has, where that can be set (Linux)."""
    try:
        import resource  # noqa: PLC0415 - Unix only

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
