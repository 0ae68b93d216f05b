"""Merging the byte ranges that are asked of one object into few reads, and cutting the answers again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.storage.port import Blob, Range

_FEW = 16


class Read(NamedTuple):
    """One read that answers one or several requests of one address.

    Attributes
    ----------
    address : str
        What to read from.
    start, stop : int, optional
        The bytes to read, with the meanings of `Range`.
    members : list of (int, int, int or None)
        For each request answered: its place in the sequence of requests, and its first byte and one past
        its last, counted from `start`.
    """

    address: str
    start: int | None
    stop: int | None
    members: list[tuple[int, int, int | None]]


def by_address(requests: Sequence[Range]) -> dict[str, list[int]]:
    """Give the places of the requests of each address, in the order of first mention."""
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(request[0], []).append(place)
    return places


def check_range(request: Range) -> None:
    """Refuse a range that has no meaning.

    Raises
    ------
    ArgumentError
        A negative stop, a stop before the start, or a stop with a negative start.
    """
    _, start, stop = request
    if stop is None or 0 <= (start or 0) <= stop:
        return
    raise ArgumentError(
        f"the byte range [{start}, {stop}) of {request.address!r} has no meaning: give 0 <= start <= stop, "
        f"or a negative start without a stop for the last bytes"
    )


def merge(requests: Sequence[Range], places: Sequence[int], gap: int) -> list[Read]:
    """Merge bounded ranges of one address that lie at most `gap` bytes apart.

    Parameters
    ----------
    requests : sequence of Range
        All requests of the round.
    places : sequence of int
        Which of them to merge: at least one, all of one address, each with a stop.
    gap : int
        Largest number of unwanted bytes between two ranges that are read together.

    Returns
    -------
    list of Read
        Reads that do not overlap, in ascending order.
    """
    address = requests[places[0]].address
    if len(places) == 1:
        _, start, stop = requests[places[0]]
        first, last = start or 0, stop or 0
        return [Read(address, first, last, [(places[0], 0, last - first)])]
    if len(places) <= _FEW:
        return _merge_few(requests, places, gap)
    bounds = np.array([(requests[place].start or 0, requests[place].stop) for place in places], dtype=np.int64)
    order = np.argsort(bounds[:, 0], kind="stable")
    starts, stops = bounds[order, 0], bounds[order, 1]
    reach = np.maximum.accumulate(stops)
    cuts = np.flatnonzero(starts[1:] > reach[:-1] + gap) + 1
    firsts = np.concatenate(([0], cuts))
    lasts = np.concatenate((cuts, [len(places)]))
    origin = np.repeat(starts[firsts], lasts - firsts)
    sorted_places = np.asarray(places)[order]
    members = list(zip(sorted_places.tolist(), (starts - origin).tolist(), (stops - origin).tolist(), strict=True))
    spans = np.column_stack((firsts, lasts, starts[firsts], reach[lasts - 1])).tolist()
    return [Read(address, start, stop, members[first:last]) for first, last, start, stop in spans]


def _merge_few(requests: Sequence[Range], places: Sequence[int], gap: int) -> list[Read]:
    """As :func:`merge`, for so few ranges that arrays would take longer."""
    reads: list[Read] = []
    address = requests[places[0]].address
    for start, stop, place in sorted((requests[p].start or 0, requests[p].stop or 0, p) for p in places):
        last = reads[-1] if reads else None
        if last is None or start > (last.stop or 0) + gap:
            reads.append(Read(address, start, stop, [(place, 0, stop - start)]))
            continue
        first = last.start or 0
        last.members.append((place, start - first, stop - first))
        reads[-1] = last._replace(stop=max(last.stop or 0, stop))
    return reads


def plan_reads(requests: Sequence[Range], gap: int, places: Sequence[int] | None = None) -> list[Read]:
    """Turn requests into as few reads as answer them all.

    Parameters
    ----------
    requests : sequence of Range
        What is asked, in any order, of any number of addresses.
    gap : int
        As in :func:`merge`. Ranges without a stop are read as they are, each once.
    places : sequence of int, optional
        Only these requests, all of one address.

    Returns
    -------
    list of Read
        The reads, in the order in which their addresses are first mentioned.
    """
    reads: list[Read] = []
    for group in by_address(requests).values() if places is None else [places]:
        bounded = [place for place in group if requests[place].stop is not None]
        if bounded:
            reads += merge(requests, bounded, gap)
        if len(bounded) == len(group):
            continue
        address = requests[group[0]].address
        open_ended: dict[int | None, list[tuple[int, int, int | None]]] = {}
        for place in group:
            if requests[place].stop is None:
                open_ended.setdefault(requests[place].start, []).append((place, 0, None))
        reads += [Read(address, start, None, members) for start, members in open_ended.items()]
    return reads


def scatter(results: list[Blob | None], read: Read, blob: Blob | None) -> None:
    """Put the pieces of one read where its requests are in the list of results; short where it is short."""
    if blob is None:
        return
    if len(read.members) == 1:
        results[read.members[0][0]] = blob
        return
    view = memoryview(blob)
    for place, first, last in read.members:
        results[place] = view[first:last]
