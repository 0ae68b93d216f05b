"""What a rule is: a small function that yields the problems of one part of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from zarr_vectors.validate.report import Severity

Subject = TypeVar("Subject")


class Problem(NamedTuple):
    """What a rule found.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
        How bad it is.
    path : str
        Where, below the root of the store.
    message : str
        What was found and what was expected.
    """

    severity: Severity
    path: str
    message: str


def error(path: str, message: str) -> Problem:
    """Return a breach of the format."""
    return Problem("error", path, message)


def warning(path: str, message: str) -> Problem:
    """Return something legal that is likely to hurt."""
    return Problem("warning", path, message)


def note(path: str, message: str) -> Problem:
    """Return something that is merely odd."""
    return Problem("note", path, message)


def always(subject: object) -> bool:
    """Return True: a rule without conditions applies everywhere."""
    return True


@dataclass(frozen=True, slots=True)
class Rule(Generic[Subject]):
    """A rule of the format.

    Parameters
    ----------
    level : int
        Level of validation that it belongs to, 1 to 5.
    name : str
        Name of the check.
    description : str
        What it asks for.
    check : callable
        Yields the problems of a subject (the store, one level, or one block of chunks).
    applies : callable
        Whether there is anything to check on a subject; where not, the check is not counted.
    """

    level: int
    name: str
    description: str
    check: Callable[[Subject], Iterable[Problem]]
    applies: Callable[[Subject], bool] = always
