"""The soak test: changes of all sorts, killed at random moments, until a number of kills is reached.

::

    python -m zarr_vectors.testing.soak                       # a thousand kills in a temporary folder
    python -m zarr_vectors.testing.soak --kills 200 --url s3://bucket/soak --option endpoint=http://localhost:9000
    python -m zarr_vectors.testing.soak --every               # a crash, not a kill, at every request and file call

Every kill is a SIGKILL of a process of its own. After each the store is opened, put right, by ``repair`` or by the
next writer in turn, validated at level 5 and compared with what was acknowledged, bit for bit.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.testing.crashes import (
    BrokenPromiseError,
    Trial,
    contents_of,
    crash_everywhere_in_folder,
    crash_everywhere_in_memory,
    crash_in_folder,
    crash_in_memory,
)
from zarr_vectors.testing.killing import KILLED, Killer
from zarr_vectors.testing.scenarios import Scenario, scenarios


@dataclass(slots=True)
class Figures:
    """What a soak test did.

    Attributes
    ----------
    kills : int
        Processes that were killed.
    outcomes : Counter of str
        Which state the stores were found in.
    scenarios : Counter of str
        Kills by scenario.
    broken : list of str
        Promises that did not hold.
    seconds : float
        How long it took.
    """

    kills: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    scenarios: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """Return the figures in a few lines."""
        found = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        lines = [
            f"{self.kills} kills or crashes in {len(self.scenarios)} scenarios, {self.seconds:.0f} s",
            f"found after the kill: {found}",
            f"promises broken: {len(self.broken)}",
        ]
        return "\n".join(lines + [f"  {one}" for one in self.broken])


def soak(
    kills: int,
    *,
    seed: int = 0,
    url: str | None = None,
    options: Mapping[str, Any] | None = None,
    chosen: Sequence[Scenario] | None = None,
    said: Callable[[str], None] | None = None,
) -> Figures:
    """Kill changes of all sorts at random requests and see what is left of their stores.

    Parameters
    ----------
    kills : int
        How many processes to kill.
    seed : int
        For the choice of moments.
    url : str, optional
        Where to put the stores, such as ``"s3://bucket/soak"``; a temporary folder by default.
    options : mapping, optional
        Options of the object store.
    chosen : sequence of Scenario, optional
        What to kill, in turn; everything by default.
    said : function, optional
        Called with every promise that does not hold.
    """
    figures, rng, begun = Figures(), random.Random(seed), time.monotonic()
    cases = list(chosen or scenarios())
    trials: dict[str, tuple[Trial, int]] = {}
    with tempfile.TemporaryDirectory(prefix="zarr-vectors-soak-") as name, Killer.start(name) as killer:
        folder = Path(name).resolve()
        while figures.kills < kills:
            scenario = cases[(figures.kills + len(figures.broken)) % len(cases)]
            if scenario.name not in trials:
                trials[scenario.name] = _counted(scenario, folder / uuid.uuid4().hex, url)
            trial, count = trials[scenario.name]
            place, shown = _filled(trial, folder, url, options or {})
            ended = killer.run(scenario.name, shown, trial.source, rng.randint(1, count), options)
            figures.kills += 1
            figures.scenarios[scenario.name] += 1
            try:
                if ended != KILLED:
                    raise BrokenPromiseError(f"{scenario.name}: was not killed but {ended}")
                figures.outcomes[_judged(trial, place, bool(figures.kills % 2))] += 1
            except BrokenPromiseError as error:
                figures.broken.append(str(error))
                if said is not None:
                    said(str(error))
            _remove(place)
    figures.seconds = time.monotonic() - begun
    return figures


def everywhere(chosen: Sequence[Scenario] | None = None, *, said: Callable[[str], None] | None = None) -> Figures:
    """Let changes crash once at every request of a storage in memory, and at every call of a file system.

    Parameters
    ----------
    chosen : sequence of Scenario, optional
        What to let crash; everything by default.
    said : function, optional
        Called with every promise that does not hold.

    Returns
    -------
    Figures
        Crashes count as kills.
    """
    figures, begun = Figures(), time.monotonic()
    for scenario in chosen or scenarios():
        with tempfile.TemporaryDirectory(prefix="zarr-vectors-soak-") as name:
            folder = Path(name).resolve()
            trial = Trial.of(scenario, folder)
            for at, place in itertools.chain(
                crash_everywhere_in_memory(trial), crash_everywhere_in_folder(trial, folder)
            ):
                figures.kills += 1
                figures.scenarios[scenario.name] += 1
                try:
                    figures.outcomes[trial.judge_opened(place)] += 1
                except BrokenPromiseError as error:
                    figures.broken.append(f"at {at}: {error}")
                    if said is not None:
                        said(figures.broken[-1])
    figures.seconds = time.monotonic() - begun
    return figures


def _counted(scenario: Scenario, folder: Path, url: str | None) -> tuple[Trial, int]:
    """Make the stores of a scenario and count the requests of its change."""
    folder.mkdir()
    trial = Trial.of(scenario, folder)
    if url is not None:
        return trial, crash_in_memory(trial, None)[0]
    return trial, crash_in_folder(trial, folder, None)[0]


def _filled(trial: Trial, folder: Path, url: str | None, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Put the old store of a trial in a new place; give it and its path or URL."""
    if url is not None:
        shown = f"{url.rstrip('/')}/{uuid.uuid4().hex}/template"
        storage = resolve_storage(shown, mode="w", **options)
        trial.fill(storage)
        return storage, shown
    place = folder / uuid.uuid4().hex / "template"
    place.parent.mkdir()
    trial.fill(resolve_storage(place, mode="w"))
    return place, os.fspath(place)


def _judged(trial: Trial, place: Path | Storage, by_repair: bool) -> str:
    """Hold what is left to the promise. A remote store is opened where it is, and put right in a copy in memory."""
    if isinstance(place, Path):
        return trial.judge(place, by_repair=by_repair)
    found = trial.find(place, "after the kill")
    copy = resolve_storage(f"memory://soak-{uuid.uuid4().hex}/template", mode="w")
    copy.put_many(contents_of(place).items())
    if trial.judge(copy, by_repair=by_repair) != found:
        raise BrokenPromiseError(f"{trial.scenario.name}: {found} in {place.url}, but not in a copy")
    return found


def _remove(place: Path | Storage) -> None:
    if isinstance(place, Path):
        shutil.rmtree(place.parent)
    else:
        place.delete_prefix("")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 where a promise did not hold."""
    parser = argparse.ArgumentParser(prog="python -m zarr_vectors.testing.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--every", action="store_true", help="a crash in this process at every request, once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", help="where to put the stores; a temporary folder by default")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the object store")
    parser.add_argument("--only", default="", help="part of the names of the scenarios")
    given = parser.parse_args(arguments)
    cases = [one for one in scenarios() if given.only in one.name]
    options = dict(one.split("=", 1) for one in given.option)
    if given.every:
        figures = everywhere(cases, said=print)
    else:
        figures = soak(given.kills, seed=given.seed, url=given.url, options=options, chosen=cases, said=print)
    print(figures.summary())
    return 1 if figures.broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
