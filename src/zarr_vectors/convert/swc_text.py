"""The text of SWC files: its dialects to columns, and columns to text.

A line is ``id label x y z radius parent`` (Cannon et al. 1998). In use are also: commas or tabs between the columns, a
first line with their names, further columns, whole numbers written as ``1.0``, a byte order mark, comments behind
numbers, and radii that are missing (``nan``, ``NA``).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from zarr_vectors.exceptions import ArrayError
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

ROLES: dict[str, frozenset[str]] = {
    "id": frozenset(["id", "n", "index", "node", "node_id", "nodeid", "pointno", "point", "sample", "sample_number"]),
    "label": frozenset(["label", "type", "t", "tag", "structure", "structure_id", "structure_identifier"]),
    "x": frozenset(["x", "x_position"]),
    "y": frozenset(["y", "y_position"]),
    "z": frozenset(["z", "z_position"]),
    "radius": frozenset(["radius", "r", "rad", "w"]),
    "parent": frozenset(["parent", "parent_id", "parentid", "parent_node", "parent_sample", "pid", "p", "pn"]),
}
"""Columns in the order of the format, with the names that a first line may give them."""
_MISSING = (b"NA", b"N/A", b"None", b"null", b"")
_TOKEN_BYTES = 48
_BEYOND = 2**63
_WHOLE_FLOATS = 2.0**53


@dataclass(frozen=True, slots=True)
class SwcTable:
    """The columns of a file.

    Parameters
    ----------
    ids, label, parents : (N,) int64
        As written.
    positions : (N, 3) float64
        Finite.
    radius : (N,) float64
        NaN where it is missing.
    extra : dict of str to (N,) array
        Further columns: int64 where all are whole numbers, else float64.
    comments : tuple of str
        Without their mark, in the order of the file; those behind numbers as well.
    lines : SwcLines
        Where the nodes are, for messages.
    """

    ids: IntArray
    label: IntArray
    positions: FloatArray
    radius: FloatArray
    parents: IntArray
    extra: dict[str, AnyArray]
    comments: tuple[str, ...]
    lines: SwcLines


@dataclass(frozen=True, slots=True)
class SwcLines:
    """The lines of a file.

    Parameters
    ----------
    name : str
        Of the file.
    lines : list of str
        All of them; blank where one names the columns.
    commas : bool
        Whether commas are between the columns.
    """

    name: str
    lines: list[str]
    commas: bool = False

    def first(self) -> int | None:
        """Return the number, from 0, of the first line that is more than comment."""
        return next((number for number, line in enumerate(self.lines) if _data(line)), None)

    def fields(self, number: int) -> list[str]:
        """Return what is between the commas or blanks of a line."""
        data = _data(self.lines[number])
        return [field.strip() for field in data.split(",")] if self.commas else data.split()

    def refusal(self, row: int, why: str) -> ArrayError:
        """Return the error that names the line of a node."""
        number = [number for number, line in enumerate(self.lines) if _data(line)][row]
        return ArrayError(f"{self.name}, line {number + 1}: {why}: {self.lines[number].strip()[:80]!r}")

    def first_bad(self, width: int) -> ArrayError:
        """Return the error that names the first line that is no node of ``width`` columns."""
        needed = "seven numbers a line" if width == len(ROLES) else f"{width} numbers a line, as in the first"
        data = [number for number, line in enumerate(self.lines) if _data(line)]
        for row, number in enumerate(data):
            fields = self.fields(number)
            if len(fields) != width or not all(map(_is_number, fields[2:5])):
                return self.refusal(row, f"cannot be read as SWC, {needed}")
        return ArrayError(f"{self.name}: cannot be read as SWC, {needed}")


def decode_text(data: bytes) -> str:
    r"""Return the text of a file: UTF-8, UTF-16 with its mark, else Latin-1; every end of a line is ``\n``."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def parse_text(text: str, name: str) -> SwcTable:
    """Read the columns of a text.

    Parameters
    ----------
    text : str
        As :func:`decode_text` gives it.
    name : str
        Of the file, for messages.

    Raises
    ------
    ArrayError
        When a line is no node; names it by its number.
    """
    comments = tuple(found.rstrip().removeprefix(" ") for found in re.findall(r"#([^\n]*)", text))
    lines, names = _layout(SwcLines(name, text.split("\n")))
    table = _read_plain(lines, names)
    if table is None:
        table = _read_tokens(lines, names)
    positions = np.stack([table[axis] for axis in "xyz"], axis=1)
    _require(lines, np.isfinite(positions).all(axis=1), "a position is not finite")
    _require(lines, ~np.isinf(table["radius"]), "the radius is not finite")
    extra = {role: column for role, column in table.items() if role not in ROLES}
    columns = (table["id"], table["label"], positions, table["radius"], table["parent"])
    return SwcTable(*columns, extra, comments, lines)


def _read_plain(lines: SwcLines, names: list[str]) -> dict[str, AnyArray] | None:
    """Read the columns of a file that has the seven, and whole numbers written as such; None for any other."""
    whole = ("id", "label", "parent")
    kinds = np.dtype([(role, np.int64 if role in whole else np.float64) for role in ROLES])
    if names != list(ROLES) or lines.commas or lines.first() is None:
        return None
    try:
        with warnings.catch_warnings():
            # NumPy reads "2e18" as a whole number by way of a float, and says that it will not for long.
            warnings.simplefilter("error", DeprecationWarning)
            table = np.loadtxt(lines.lines, kinds, comments="#", ndmin=1)
    except (ValueError, DeprecationWarning):
        return None
    return {role: table[role].copy() for role in names}


def _read_tokens(lines: SwcLines, names: list[str]) -> dict[str, AnyArray]:
    """Read the columns of a file in any dialect."""
    axes = ("x", "y", "z")
    table = np.empty(0, [(role, np.float64 if role in axes else f"S{_TOKEN_BYTES}") for role in names])
    if lines.first() is not None:
        try:
            delimiter = "," if lines.commas else None
            table = np.loadtxt(lines.lines, table.dtype, comments="#", delimiter=delimiter, ndmin=1)
        except ValueError as error:
            raise lines.first_bad(len(names)) from error
    columns: dict[str, AnyArray] = {axis: table[axis] for axis in axes}
    for role in (role for role in names if role not in axes):
        tokens = np.strings.strip(table[role], b" \t\"'")
        _require(lines, np.strings.str_len(tokens) < _TOKEN_BYTES, f"more than {_TOKEN_BYTES - 1} characters")
        read = _numbers if role == "radius" else _whole_numbers if role in ROLES else _further
        columns[role] = read(lines, tokens, role)
    return columns


def _layout(lines: SwcLines) -> tuple[SwcLines, list[str]]:
    """Return the lines without that which names the columns, and the roles of the columns in their order."""
    first = lines.first()
    named = None if first is None else _names(lines, first)
    if first is not None and named is not None:
        lines.lines[first] = ""
        first = lines.first()
    if first is None:
        return lines, named or list(ROLES)
    commas = _data(lines.lines[first]).count(",") >= len(ROLES) - 1
    lines = SwcLines(lines.name, lines.lines, commas)
    width = max(len(ROLES), len(lines.fields(first)))
    if named is not None and len(named) != width:
        raise lines.refusal(0, f"{width} columns where the line before names {len(named)}")
    return lines, named or [*ROLES, *(f"column_{number + 1}" for number in range(len(ROLES), width))]


def _names(lines: SwcLines, first: int) -> list[str] | None:
    """Return the names of the columns where the first line gives them, those of the format by their role."""
    fields = [field.strip("\"' ") for field in re.split(r"[\s,]+", _data(lines.lines[first]).strip(" ,"))]
    if _is_number(fields[0]):
        return None
    roles = [next((role for role, known in ROLES.items() if field.lower() in known), field) for field in fields]
    if len(set(roles)) == len(roles) and set(ROLES) <= set(roles):
        return roles
    raise lines.refusal(
        0, f"cannot be read as SWC, seven numbers a line; a first line may name the columns, as {', '.join(ROLES)}"
    )


def _data(line: str) -> str:
    return line.partition("#")[0].strip()


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _require(lines: SwcLines, right: AnyArray, why: str) -> None:
    if not right.all():
        raise lines.refusal(int(np.flatnonzero(~right)[0]), why)


def _whole_numbers(lines: SwcLines, tokens: AnyArray, role: str) -> IntArray:
    """Return whole numbers exactly; ``7.0`` and ``7e0`` are 7."""
    try:
        return tokens.astype(np.int64)
    except (ValueError, OverflowError):
        head, _, tail = np.strings.partition(tokens, b".")
        whole = np.where(np.strings.strip(tail, b"0") == b"", head, tokens)
    digits = np.strings.isdigit(np.strings.lstrip(whole, b"+-"))
    for row in np.flatnonzero(~digits | (np.strings.str_len(whole) > len(str(_BEYOND)) - 1)).tolist():
        try:
            value = Decimal(whole[row].decode("latin-1"))
            number = int(value)
        except (InvalidOperation, ValueError, OverflowError):
            raise lines.refusal(row, f"the {role} is no whole number") from None
        if number != value or not -_BEYOND <= number < _BEYOND:
            raise lines.refusal(row, f"the {role} is no whole number of 64 bits")
        whole[row] = str(number).encode()
    return whole.astype(np.int64)


def _numbers(lines: SwcLines, tokens: AnyArray, role: str) -> FloatArray:
    """Return numbers, NaN where they are missing."""
    tokens = np.where(np.isin(tokens, _MISSING), b"nan", tokens)
    try:
        values = tokens.astype(np.float64)
    except ValueError:
        right = np.array([_is_number(token) for token in tokens.astype(np.str_).tolist()])
        _require(lines, right, f"cannot be read as SWC, seven numbers a line; the {role} is no number")
        raise
    _require(lines, ~np.isinf(values), f"the {role} is not finite")
    return values


def _further(lines: SwcLines, tokens: AnyArray, role: str) -> AnyArray:
    """Return a column that the format does not have: whole numbers, or others."""
    try:
        return tokens.astype(np.int64)
    except (ValueError, OverflowError):
        values = _numbers(lines, tokens, role)
    _require(lines, ~(np.abs(values) >= _WHOLE_FLOATS), f"{role} does not fit into the 64-bit floats of its column")
    return values


def format_floats(values: FloatArray) -> AnyArray:
    """Return numbers as the shortest decimals that give them back; whole ones without a point."""
    text = values.astype(np.str_)
    whole = (np.abs(values) < _WHOLE_FLOATS) & (values == np.rint(values)) & ~((values == 0) & np.signbit(values))
    text[whole] = values[whole].astype(np.int64).astype(np.str_)
    return text


def format_text(columns: Sequence[AnyArray], comments: Sequence[str]) -> str:
    """Return the text of a file from its comments and columns of text."""
    head = [f"# {line}" if line else "#" for comment in comments for line in comment.split("\n")]
    rows = map(" ".join, zip(*(column.tolist() for column in columns), strict=True))
    return "\n".join([*head, *rows, ""])
