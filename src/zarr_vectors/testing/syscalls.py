"""Faults of the file system: at the k-th call that changes something below a folder, the program dies or is refused.

The calls are seen by an audit hook of the interpreter, so that every one that this package, Zarr or the standard
library makes counts, whatever layer it comes from.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.testing.faults import Action, die
from zarr_vectors.testing.storage import SimulatedCrashError

_CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.symlink"})
_EXCHANGE = ("renameat2", "renamex_np")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(slots=True)
class FileFaults:
    """What happens to calls of the file system while :func:`file_faults` is on.

    Attributes
    ----------
    folder : str
        Calls that name paths below this folder count; those relative to an open folder count, too.
    at : int, optional
        The call, counted from 1; ``None`` lets all pass, to count them.
    action : {"fail", "kill"}
        Raise, or end the process.
    number : int, optional
        Raise an :class:`OSError` of this number, from the chosen call on for as long as ``full``; by default a
        :class:`SimulatedCrashError`, from then on always.
    only_writes : bool
        Count calls that need space (making files and folders) alone.
    calls : int
        How many have been counted.
    log : list of str
        What they were.
    before : function, optional
        Called before every call that counts is made; what it does with files must not change any.
    """

    folder: str
    at: int | None = None
    action: Action = "fail"
    number: int | None = None
    only_writes: bool = False
    calls: int = 0
    log: list[str] = field(default_factory=list)
    before: Callable[[], None] | None = None
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at an event of the interpreter."""
        what = self._change(event, arguments)
        if what is None:
            return
        with self._guard:
            self.calls += 1
            self.log.append(what)
            if self.before is not None:
                self.before()
            if self.at is None or self.calls < self.at:
                return
            if self.action == "kill":
                die()
        if self.number is not None:
            raise OSError(self.number, os.strerror(self.number), what)
        raise SimulatedCrashError(f"crash at call {self.at} ({what})")

    def _change(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        """Name the change that an event announces, if it is one that counts."""
        if event == "open":
            path, _, flags = arguments
            is_writing = isinstance(flags, int) and flags & _WRITING
            return f"open {path}" if is_writing and self._is_below(path) else None
        if event == "ctypes.dlsym" and not self.only_writes:
            return f"exchange {arguments[1]}" if arguments[1] in _EXCHANGE else None
        if event not in _CHANGES or (self.only_writes and event not in ("os.mkdir", "os.link")):
            return None
        return f"{event} {arguments[0]}" if self._is_below(arguments[0]) else None

    def _is_below(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        text = os.fsdecode(path)
        return not os.path.isabs(text) or text.startswith(self.folder)


_ACTIVE: list[FileFaults] = []
_INSTALLED: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for faults in _ACTIVE:
        faults.see(event, arguments)


@contextmanager
def file_faults(
    folder: str | os.PathLike[str],
    at: int | None = None,
    *,
    action: Action = "fail",
    number: int | None = None,
    only_writes: bool = False,
    before: Callable[[], None] | None = None,
) -> Iterator[FileFaults]:
    """Let something happen at the k-th call that changes files below a folder, during a block.

    Parameters
    ----------
    folder : path
        The folder.
    at : int, optional
        The call, counted from 1; ``None`` only counts.
    action : {"fail", "kill"}
        Raise, or end the process by SIGKILL.
    number : int, optional
        Raise an :class:`OSError` of this number, such as ``errno.ENOSPC``, instead of a crash.
    only_writes : bool
        Count only what takes space on the disk.
    before : function, optional
        Called before every call that counts.

    Yields
    ------
    FileFaults
        With the number of calls so far.
    """
    if action not in ("fail", "kill"):
        raise ArgumentError(f"action: the file system can 'fail' or 'kill', got {action!r}")
    if not _INSTALLED:
        sys.addaudithook(_hook)
        _INSTALLED.append(True)
    faults = FileFaults(str(Path(folder).resolve()), at, action, number, only_writes, before=before)
    _ACTIVE.append(faults)
    try:
        yield faults
    finally:
        _ACTIVE.remove(faults)


DISK_FULL = errno.ENOSPC
"""For `number`: no space is left on the device."""
