"""Turns: what writers of partitions do one after another, while each holds its partition.

A partition is held for as long as it is being prepared; under a turn its holder makes the change final, together with
what concerns the store as a whole. A journal carries the name of the partition and the holder's token, so that what a
dead holder had staged can be told from what others are staging at the moment.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from zarr_vectors.exceptions import StoreLockedError
from zarr_vectors.storage.journal import is_final
from zarr_vectors.storage.lock import JOURNAL_FOLDER, Lock, acquire_turn, is_held, kept
from zarr_vectors.storage.port import Storage, list_folder
from zarr_vectors.storage.replace import recover

_FIRST_PAUSE: Final = 0.004
_LONGEST_PAUSE: Final = 0.25
_TOKEN: Final = 32
_HELD: Final = re.compile(rf"-([0-9a-f]{{{_TOKEN}}})-(.+)$")


@contextmanager
def turn(storage: Storage, wait: float, journal: str) -> Iterator[Lock]:
    """Hold the turn during a block; what was final when another holder died is completed before.

    Parameters
    ----------
    storage : Storage
        The store, of which the caller holds a partition.
    wait : float
        Seconds for which others are waited for.
    journal : str
        What the caller may make final.

    Yields
    ------
    Lock
        Released at the end of the block.

    Raises
    ------
    StoreLockedError
        Somebody else had the turn all the time.
    """
    held = _wait_for_turn(storage, wait, journal)
    try:
        with kept(held):
            recover(storage, discard_unmarked=False)
            discard_abandoned(storage)
            yield held
    finally:
        held.release()


def _wait_for_turn(storage: Storage, wait: float, journal: str) -> Lock:
    deadline, pause = time.monotonic() + wait, _FIRST_PAUSE
    while True:
        try:
            return acquire_turn(storage, journal)
        except StoreLockedError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, _LONGEST_PAUSE)


def discard_abandoned(storage: Storage) -> None:
    """Remove what former holders of partitions had staged; the caller has the turn.

    A holder is a former one when its lock is gone, or names a process that is dead. Nothing is concluded from listings:
    a lock is looked for where the name of the journal says that it is. One that is final stays.
    """
    for identifier in list_folder(storage, JOURNAL_FOLDER).folders:
        named = _HELD.search(identifier)
        if named is not None and not is_held(storage, named[2], named[1]) and not is_final(storage, identifier):
            storage.delete_prefix(f"{JOURNAL_FOLDER}/{identifier}")
