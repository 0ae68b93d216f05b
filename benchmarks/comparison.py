"""Comparisons of one work between implementations, and their tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.measuring import Measurement

Measured = Mapping[tuple[str, str], Measurement]
"""Measurements by implementation (``floor``, ``ours``, ``peer``, ``others``) and name of the work."""


@dataclass(frozen=True)
class Comparison:
    """One row of a table.

    Attributes
    ----------
    work : str
        What ``--only`` names it by.
    label : str
        First cell of the row.
    floor, ours, peer : str
        Names of the works of each implementation; empty where there is none.
    most_of_floor : float, optional
        Our time over the floor's must not be above this.
    faster_than_peer : float, optional
        The peer's time over ours must not be below this.
    against_write : float, optional
        Our time over our default write must not be above this.
    others : dict of str to str
        Names of the works of other formats, by what their columns are called.
    most_of_other : dict of str to float
        Our time over that of another format must not be above this.
    """

    work: str
    label: str
    floor: str
    ours: str
    peer: str
    most_of_floor: float = math.nan
    faster_than_peer: float = math.nan
    against_write: float = math.nan
    others: Mapping[str, str] = field(default_factory=dict)
    most_of_other: Mapping[str, float] = field(default_factory=dict)

    def works(self) -> list[tuple[str, str]]:
        """Return the measurements that the row needs."""
        named = (("floor", self.floor), ("ours", self.ours), ("peer", self.peer))
        return [(implementation, name) for implementation, name in named if name] + [
            ("others", name) for name in self.others.values()
        ]


def time_table(comparisons: Sequence[Comparison], measured: Measured) -> str:
    """Return the times and their ratios as a Markdown table."""
    formats = list(dict.fromkeys(name for row in comparisons for name in row.others))
    headings = ["work", "floor", "ours", "0.9.2", *formats, "ours / floor", "target", "0.9.2 / ours", "target", "note"]
    lines = ["| " + " | ".join(headings) + " |", "|---|" + "---:|" * (len(headings) - 2) + "---|"]
    lines += [_time_row(row, measured, formats) for row in comparisons]
    return "\n".join(lines)


def _time_row(row: Comparison, measured: Measured, formats: Sequence[str]) -> str:
    found = [measured.get(work) for work in row.works()]
    floor, ours, peer = (
        _median(measured.get((implementation, name)))
        for implementation, name in (("floor", row.floor), ("ours", row.ours), ("peer", row.peer))
    )
    others = {name: _median(measured.get(("others", row.others.get(name, "")))) for name in formats}
    notes = []
    if not math.isnan(row.against_write):
        written = measured.get(("ours", "write default"), Measurement()).median
        share = _ratio(ours / written, row.against_write, most=True)
        notes.append(f"{share} × our write (target ≤ {row.against_write:g})")
    for name, most in row.most_of_other.items():
        notes.append(f"{_ratio(ours / others[name], most, most=True)} × {name} (target ≤ {most:g})")
    notes += [f"{work[0]}: {m.failure}" for work, m in zip(row.works(), found, strict=True) if m and m.failure]
    cells = [
        row.label,
        *(_seconds(value) for value in (floor, ours, peer, *others.values())),
        _ratio(ours / floor, row.most_of_floor, most=True),
        _target("≤", row.most_of_floor),
        _ratio(peer / ours, row.faster_than_peer, most=False),
        _target("≥", row.faster_than_peer),
        "; ".join(notes),
    ]
    return "| " + " | ".join(cells) + " |"


def size_table(measured: Measured, input_bytes: int) -> str:
    """Return the files, bytes and memory of every work as a Markdown table."""
    lines = [
        "| work | files | MB stored | peak memory, MB | peak / input |",
        "|---|---:|---:|---:|---:|",
    ]
    for (implementation, name), result in measured.items():
        if result.failure or not result.seconds or not (result.files or "read" in name.split()):
            continue
        files = f"{result.files:,} | {result.stored / 1e6:,.1f}" if result.files else "– | –"
        ratio = result.peak / input_bytes
        lines.append(f"| {implementation}: {name} | {files} | {result.peak / 1e6:,.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def disagreements(comparisons: Sequence[Comparison], measured: Measured) -> list[str]:
    """Return where two implementations found different numbers of rows for one work."""
    wrong = []
    for row in comparisons:
        found = {work: measured[work].found for work in row.works() if work in measured and measured[work].found}
        if len(set(found.values())) > 1:
            wrong.append(f"{row.label}: {found}")
    return wrong


def _median(measurement: Measurement | None) -> float:
    return math.nan if measurement is None else measurement.median


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value * 1e3:,.1f} ms" if value < 1 else f"{value:,.2f} s"


def _ratio(value: float, target: float, *, most: bool) -> str:
    if math.isnan(value):
        return "–"
    missed = value > target if most else value < target
    return f"**{value:.2f}** (missed)" if missed else f"{value:.2f}"


def _target(sign: str, value: float) -> str:
    return "" if math.isnan(value) else f"{sign} {value:g}"
