"""Telling whether the process that left something behind still runs.

A number of a process says little: containers and cloned machines count alike, and numbers are used again. So a
process is described by the run of the computer that it belongs to, by where its number counts, and by when it
started; only where all of these are known and the same is anything concluded from its number.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import sys
import uuid
import zlib

from zarr_vectors.typing import Document

_SIGNED = re.compile(r"([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-")
_STARTED = 19
"""Place of the start time among what ``/proc/<pid>/stat`` says behind the name of the program (proc(5), field 22)."""


def describe_process() -> Document:
    """Return what tells this process from all others.

    Returns
    -------
    dict
        ``host`` and ``pid``; ``boot``, the run of the computer that this is; ``pid_space``, the Linux namespace of
        process numbers, so that containers of one host are told apart; ``started``, when the process did, in the
        units of the system. What cannot be known is None.
    """
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": pid,
        "pid_space": _pid_space(),
        "started": _started(pid),
    }


def is_dead(described: Document) -> bool:
    """Say whether a described process is known not to run any more; never of one that cannot be seen from here."""
    pid, started = described.get("pid"), described.get("started")
    if described.get("boot") is None or place_of(described) != place_of(describe_process()):
        return False
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    return not runs(pid) or (started is not None and _started(pid) not in (None, started))


def place_of(described: Document) -> int:
    """Return a number for where a process counts: the same where the numbers of two processes can be compared."""
    parts = [str(described.get(key)) for key in ("host", "boot", "pid_space")]
    return zlib.crc32("\n".join(parts).encode())


def signature() -> str:
    """Return what begins a name and tells which process made what it names: ``<place>-<process>-<start>-``."""
    me = describe_process()
    return f"{place_of(me):08x}-{me['pid']}-{me['started'] or 0}-"


def is_abandoned(name: str) -> bool:
    """Say whether a name begins with the signature of a process of this computer that is known not to run any more."""
    signed = _SIGNED.match(name)
    me = describe_process()
    if signed is None or int(signed[1], 16) != place_of(me):
        return False
    return is_dead({**me, "pid": int(signed[2]), "started": int(signed[3]) or None})


def runs(process: int) -> bool:
    """Say whether a process of this computer runs; always true where that cannot be asked without harm (Windows)."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@functools.cache
def _boot() -> str | None:
    """Return what tells this run of this computer from others: on Linux its own id, elsewhere the computer's."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return f"{uuid.getnode():012x}" if sys.platform in ("darwin", "win32") else None


def _pid_space() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(process: int) -> int | None:
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None  # another namespace's view of the processes
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return None
