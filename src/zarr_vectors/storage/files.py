"""Reading and writing open files with as few system calls as possible."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from zarr_vectors.storage.port import Blob

_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _PLAIN
"""Neither follows a symbolic link nor waits for the other end of a pipe."""
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _PLAIN

_SMALL = 1 << 20
_SLICE = 16 << 20
_BUFFERS_A_CALL = 512
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


def size(handle: int) -> int | None:
    """Give the size of an open file in bytes; ``None`` if it is a folder, a pipe or a device."""
    status = os.fstat(handle)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read(handle: int, start: int, count: int) -> Blob:
    """Read `count` bytes from `start` on; fewer where the file ends before.

    Large reads go into an array that NumPy allocates (it asks for large pages, which halves the time), in
    slices read on two threads.
    """
    if count <= _SMALL and hasattr(os, "pread"):
        blob = os.pread(handle, count, start)
        return blob if len(blob) == count else blob + _rest(handle, start + len(blob), count - len(blob))
    target = memoryview(np.empty(count, dtype=np.uint8).data)
    if not hasattr(os, "preadv"):
        os.lseek(handle, start, os.SEEK_SET)
        return _rest(handle, None, count)
    if count <= _SLICE:
        return target[: _fill(handle, target, start)].toreadonly()
    firsts = range(0, count, _SLICE)
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda first: _fill(handle, target[first : first + _SLICE], start + first), firsts))
    return target[: sum(counts)].toreadonly()


def _fill(handle: int, target: memoryview, start: int) -> int:
    done = 0
    while done < len(target):
        count = os.preadv(handle, [target[done:]], start + done)
        if count == 0:
            break
        done += count
    return done


def _rest(handle: int, start: int | None, count: int) -> bytes:
    """Read until `count` bytes are there or the file ends."""
    pieces = []
    while count > 0:
        wanted = min(count, _SLICE)
        piece = os.read(handle, wanted) if start is None else os.pread(handle, wanted, start)
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
        start = None if start is None else start + len(piece)
    return b"".join(pieces)


def write(handle: int, parts: list[memoryview]) -> int:
    """Write buffers one after another; give the number of bytes written."""
    if len(parts) == 1 or not hasattr(os, "writev"):
        return sum(_write_all(handle, part) for part in parts)
    total = 0
    for first in range(0, len(parts), _BUFFERS_A_CALL):
        batch = parts[first : first + _BUFFERS_A_CALL]
        wanted = sum(map(len, batch))
        done = os.writev(handle, batch)
        if done < wanted:
            _write_all(handle, memoryview(b"".join(batch))[done:])
        total += wanted
    return total


def _write_all(handle: int, part: memoryview) -> int:
    done = os.write(handle, part)
    while done < len(part):
        done += os.write(handle, part[done:])
    return len(part)


def link_if_absent(temporary: str, path: str) -> bool:
    """Give a complete file its final name unless that is taken; say whether it got it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _copy_if_absent(temporary, path)
    return True


def _copy_if_absent(temporary: str, path: str) -> bool:
    """As `link_if_absent`, for file systems without hard links."""
    with open(temporary, "rb") as source:
        data = source.read()
    try:
        handle = os.open(path, (WRITE & ~os.O_TRUNC) | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        _write_all(handle, memoryview(data))
    finally:
        os.close(handle)
    return True
