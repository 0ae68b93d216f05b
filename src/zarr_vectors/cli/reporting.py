"""What the commands print: text for people, JSON for programs, errors as one line, exit codes."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zarr_vectors.exceptions import ArgumentError, OutOfBoundsError, ZarrVectorsError
from zarr_vectors.write.options import Progress as ProgressFunction

FAILED, MISUSED = 1, 2
WIDTH_OF_A_FILE = 200
"""Columns of what is printed into a file or a pipe."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

P = ParamSpec("P")


def output(*, errors: bool = False) -> Console:
    """Return the console for results, or for errors and progress."""
    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else WIDTH_OF_A_FILE
    return Console(stderr=errors, width=width, highlight=False)


def print_json(document: Any) -> None:
    """Print a document for programs."""
    typer.echo(json.dumps(plain(document), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dataclasses as objects, numbers that are not finite as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command print the package's errors as one line, its warnings likewise, and set the exit code.

    An argument that cannot be used as given is exit code 2, everything else 1. A command whose ``as_json`` is
    set prints its error as JSON too, on standard output.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _shown_warnings():
                command(*args, **kwargs)
        except (ZarrVectorsError, OSError) as error:
            misused = isinstance(error, ArgumentError) and not isinstance(error, OutOfBoundsError)
            fail(error, as_json=bool(kwargs.get("as_json")), code=MISUSED if misused else FAILED)

    return run


def fail(error: Exception, *, as_json: bool, code: int) -> None:
    """Print an error and leave."""
    if as_json:
        print_json({"error": {"type": type(error).__name__, "message": str(error)}})
    _print_line("error", "red", str(error))
    raise typer.Exit(code)


def _print_line(word: str, color: str, message: str) -> None:
    text = " ".join(message.split())
    output(errors=True).print(f"[{color}]{word}: {escape(text)}[/{color}]", soft_wrap=True)


@contextmanager
def _shown_warnings() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        _print_line("warning", "yellow", str(warning.message))


@contextmanager
def progress_bar(*titles: str) -> Iterator[list[ProgressFunction]]:
    """Show a bar per title while the body runs, and remove them in the end; nothing where nobody watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = output(errors=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield [_updater(bars, title) for title in titles]


def _updater(bars: Progress, title: str) -> ProgressFunction:
    task = bars.add_task(title, total=None)

    def update(done: int, total: int) -> None:
        bars.update(task, completed=done, total=total)

    return update


def readable_bytes(size: int | None) -> str:
    """Return a number of bytes as people read it, in decimal units; a dash where it is not known."""
    if size is None:
        return "–"
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < 4:
        amount, unit = amount / 1000, unit + 1
    name = ("B", "kB", "MB", "GB", "TB")[unit]
    return f"{size} B" if unit == 0 else f"{amount:.3g} {name}"


def readable_shape(shape: Any) -> str:
    """Return edge lengths as ``200 × 200 × 50``; a dash where there are none."""
    return "–" if shape is None else " × ".join(readable_number(length) for length in shape)


def readable_number(number: float) -> str:
    """Return a number without a needless fraction or exponent."""
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) < 1e15 else f"{number:,.10g}"
