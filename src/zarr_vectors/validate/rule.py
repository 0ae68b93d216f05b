"""What a rule is: a check that yields the problems of one part of a store, and what a repair does about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from zarr_vectors.validate.report import Severity

Subject = TypeVar("Subject")
Check: TypeAlias = Callable[[Subject], Iterable["Problem"]]

REWRITE = "write the store anew from its source"
REBUILD = "build the pyramid again"
DROP = "what is lost can be dropped with drop_damaged=True, else restore it from a copy"
COPY_ROOT = "restore the root's zarr.json from a copy"
HARMLESS = "harmless"


class Problem(NamedTuple):
    """What a rule found: how bad it is, where below the root of the store, and what was found and expected."""

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


@dataclass(frozen=True, slots=True)
class Fix:
    """What a repair does about the damage that a rule finds.

    Parameters
    ----------
    source : str
        What is made anew, and what it follows from; empty where it can only be dropped.
    step : {"documents", "cells", "links"}
        Part of the repair: of ``zarr.json`` documents, of all that the arrays of a level hold, or of links, which
        are repaired once everything else of their level is sound.
    warnings : bool
        Whether what is only a warning is repaired too.
    """

    source: str = ""
    step: Literal["documents", "cells", "links"] = "documents"
    warnings: bool = False


def cells(source: str = "", *, warnings: bool = False) -> Fix:
    """Return a repair of what the arrays of a level hold."""
    return Fix(source, "cells", warnings)


def links(source: str = "") -> Fix:
    """Return a repair of links."""
    return Fix(source, "links")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Subject]):
    """A rule of the format.

    Parameters
    ----------
    level : int
        Level of validation that it belongs to, 1 to 5.
    name, description : str
        From the name of its check, and the first line of the check's docstring, "Check that …".
    check : callable
        Yields the problems of a subject (the store, a level, or some chunks).
    applies : callable
        Whether there is anything to check on a subject; where not, the check is not counted.
    otherwise : str
        What to do about damage that is not repaired.
    fix : Fix, optional
        How a repair goes about it; None where nothing can be done.
    """

    level: int
    name: str
    description: str
    check: Check[Subject]
    applies: Callable[[Subject], bool]
    otherwise: str
    fix: Fix | None


class Rules(Generic[Subject]):
    """The rules that look at the same kind of subject, in the order in which they are run."""

    def __init__(self) -> None:
        self._rules: list[Rule[Subject]] = []

    def __iter__(self) -> Iterator[Rule[Subject]]:
        return iter(self._rules)

    def rule(
        self,
        level: int,
        otherwise: str,
        fix: Fix | None = None,
        *,
        applies: Callable[[Subject], bool] = lambda subject: True,
    ) -> Callable[[Check[Subject]], Rule[Subject]]:
        """Make the check that this decorates a rule; see :class:`Rule` for the parameters."""

        def add(check: Check[Subject]) -> Rule[Subject]:
            name = check.__name__.replace("_", "-")
            description = (check.__doc__ or "").split("\n")[0].removeprefix("Check that ").rstrip(".")
            self._rules.append(Rule(level, name, description, check, applies, otherwise, fix))
            return self._rules[-1]

        return add
