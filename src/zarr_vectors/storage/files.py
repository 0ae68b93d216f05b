"""Reading and writing open files with as few system calls as possible."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from zarr_vectors.storage.port import Blob, Range

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


def fill(wanted: Sequence[tuple[int, Sequence[Range], Sequence[int]]], targets: Sequence[memoryview]) -> bool:
    """Read ranges of open files into buffers, on two threads; say whether all of every range was there.

    Parameters
    ----------
    wanted : sequence of (int, sequence of Range, sequence of int)
        Files, and which of the ranges are to be read from each.
    targets : sequence of memoryview
        A flat writable buffer for each range, of its length.
    """
    if not hasattr(os, "preadv"):
        return False
    pieces = [(handle, *piece) for handle, ranges, places in wanted for piece in _pieces(ranges, places)]

    def read_piece(piece: tuple[int, int, list[int]]) -> bool:
        handle, start, places = piece
        return _fill_several(handle, [targets[place] for place in places], start)

    with ThreadPoolExecutor(2) as pool:
        return all(list(pool.map(read_piece, pieces)))


def _pieces(ranges: Sequence[Range], places: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Cut ranges of one file into runs without gaps, of few buffers and bytes: the start and the places of each."""
    start, end, run = 0, -1, list[int]()
    for place in sorted(places, key=lambda place: ranges[place].start or 0):
        _, first, last = ranges[place]
        if first != end or len(run) == _BUFFERS_A_CALL or end - start > _SLICE:
            if run:
                yield start, run
            start, run = first or 0, []
        run.append(place)
        end = last or 0
    if run:
        yield start, run


def _fill_several(handle: int, buffers: list[memoryview], start: int) -> bool:
    """Read what follows a place in a file into buffers, one after another."""
    wanted = sum(map(len, buffers))
    done = os.preadv(handle, buffers, start)
    if done == wanted or done == 0:
        return done == wanted
    for buffer in buffers:
        skipped = min(done, len(buffer))
        done -= skipped
        if skipped < len(buffer) and _fill(handle, buffer[skipped:], start + skipped) < len(buffer) - skipped:
            return False
        start += len(buffer)
    return True


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
