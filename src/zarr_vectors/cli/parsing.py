"""What users type ⇄ what functions take."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def parse_numbers(text: str | None, option: str) -> float | list[float] | None:
    """Read ``"200"`` or ``"200,200,50"``.

    Raises
    ------
    typer.BadParameter
        When it is not numbers.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a number, or one per axis as in 200,200,50; got {text!r}", param_hint=option
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers


def parse_box(text: str | None) -> tuple[list[float], list[float]] | None:
    """Read ``"0,0,0:100,100,50"``, the lower and the upper corner.

    Raises
    ------
    typer.BadParameter
        When it is not two corners.
    """
    if text is None:
        return None
    corners = [parse_numbers(part, "--bbox") for part in text.split(":")]
    if len(corners) != 2:
        raise typer.BadParameter(f"expected LOWER:UPPER as in 0,0,0:9,9,9; got {text!r}", param_hint="--bbox")
    low, high = ([corner] if isinstance(corner, float) else list(corner or []) for corner in corners)
    return low, high


def parse_factors(texts: Sequence[str]) -> list[tuple[float | tuple[float, ...], float]]:
    """Read ``"2"``, ``"2,2,1"`` or ``"4:2"``: the bin fold, and the object fold behind a colon.

    Raises
    ------
    typer.BadParameter
        When it is neither.
    """
    factors: list[tuple[float | tuple[float, ...], float]] = []
    for text in texts:
        bins, _, objects = text.partition(":")
        fold = parse_numbers(bins, "--factor")
        kept = parse_numbers(objects or "1", "--factor")
        if fold is None or not isinstance(kept, float):
            raise typer.BadParameter(f"expected BINS or BINS:OBJECTS, got {text!r}", param_hint="--factor")
        factors.append((tuple(fold) if isinstance(fold, list) else fold, kept))
    return factors


def parse_aggregation(texts: Sequence[str]) -> str | dict[str, str] | None:
    """Read ``"mean"``, or several of ``"intensity=max"``.

    Raises
    ------
    typer.BadParameter
        When the two are mixed, or several modes are for all attributes.
    """
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    pairs = [text.partition("=") for text in texts]
    if not all(name and mode for name, _, mode in pairs):
        raise typer.BadParameter(
            f"expected one mode for all attributes, or NAME=MODE for each; got {' '.join(texts)}",
            param_hint="--aggregate",
        )
    return {name: mode for name, _, mode in pairs}


def parse_names(text: str | None) -> list[str] | None:
    """Read ``"intensity,classification"``."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
