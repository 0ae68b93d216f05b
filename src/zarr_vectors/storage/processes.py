"""Telling whether the process that left something behind still runs."""

from __future__ import annotations

import os
import re
import socket
import zlib

from zarr_vectors.typing import Document

_SIGNED = re.compile(r"([0-9a-f]{8})-(\d{1,10})-")


def describe_process() -> Document:
    """Return what tells this process from all others: ``host``, ``pid``, and where its number counts.

    ``pid_space`` is the Linux namespace of process numbers, so that containers of one host are told apart;
    None where there is none.
    """
    return {"host": socket.gethostname(), "pid": os.getpid(), "pid_space": _pid_space()}


def is_dead(described: Document) -> bool:
    """Say whether a described process is known not to run any more; never of one that cannot be seen from here."""
    pid = described.get("pid")
    if described.get("host") != socket.gethostname() or described.get("pid_space", "unknown") != _pid_space():
        return False
    return isinstance(pid, int) and not isinstance(pid, bool) and pid > 0 and not runs(pid)


def signature() -> str:
    """Return a part of the name of a file or folder that tells which process made it: ``<place>-<process>-``."""
    return f"{_place()}-{os.getpid()}-"


def is_abandoned(name: str) -> bool:
    """Say whether a name begins with the signature of a process of this computer that is known not to run any more."""
    signed = _SIGNED.match(name)
    return signed is not None and signed[1] == _place() and not runs(int(signed[2]))


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


def _place() -> str:
    """Return a hash of where a process's number counts."""
    return f"{zlib.crc32(f'{socket.gethostname()} {_pid_space()}'.encode()):08x}"


def _pid_space() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
