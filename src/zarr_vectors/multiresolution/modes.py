"""Which aggregation an attribute gets: as asked, as its metadata says, else by what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from zarr_vectors.constants import AGGREGATIONS
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.columns import aggregation_hindrance
from zarr_vectors.model.attributes import AttributeSpec

COUNT = "count"
"""The mode of attributes that hold the number of merged vertices, which level 0 need not have."""

_LABELS = frozenset(
    """annotation atlas barcode batch category cell channel class classification cluster code community compartment
    component experiment flag gene group guid id identifier index instance key kind label layer mask neuron node
    number object organ parcel parcellation parent partition region root sample segment segmentation source species
    state status structure supervoxel tag taxon tile tissue type uid uuid zone""".split()  # noqa: SIM905 - one of many
)
"""Heads of the names of integers that are names themselves; their plurals are, too."""

_COUNTS = frozenset(["count", "counts", "multiplicity"])
_COLOURS = frozenset(["color", "colors", "colour", "colours", "rgb", "rgba"])
_COLOUR_CHANNELS = (("red", "green", "blue"), ("r", "g", "b"))
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def chosen_mode(name: str, spec: AttributeSpec, everywhere: str | None, named: Mapping[str, str]) -> str:
    """Return the mode by which an attribute is aggregated.

    One that is named for it comes first, then one for all attributes, then what the attribute's own metadata say
    (``aggregation``), then what suits what it holds. A mode for all attributes leaves those that have no such mode,
    and those whose metadata say that they hold labels, as they are without it.

    Raises
    ------
    ArgumentError
        When a mode is named that the attribute's values do not have.
    """
    if name in named:
        reason = aggregation_hindrance(spec, named[name])
        if reason:
            raise ArgumentError(f"agg_mode: {name!r} holds {reason}, no {named[name]!r}")
        return named[name]
    stated = spec.aggregation if spec.aggregation in AGGREGATIONS and has_mode(spec, spec.aggregation) else None
    if everywhere is not None and has_mode(spec, everywhere) and (stated != "mode" or everywhere == COUNT):
        return everywhere
    return stated or default_mode(name, spec)


def has_mode(spec: AttributeSpec, mode: str) -> bool:
    """Return whether values can be aggregated by a mode."""
    return not aggregation_hindrance(spec, mode)


def _is_categorical(spec: AttributeSpec) -> bool:
    return spec.categories is not None or spec.encoding == "dictionary"


def default_mode(name: str, spec: AttributeSpec) -> str:
    """Return the mode that suits what an attribute holds.

    Categories, texts and booleans have the most frequent value. Floats, dates and times are measured, and so are
    integers, unless the head of their name (``segment_id``, ``number_of_returns``) says that they are labels, which
    have the most frequent value, or counts, which add up.
    """
    kind = np.dtype(spec.dtype).kind
    if _is_categorical(spec) or kind not in "iuf":
        return "mode"
    if kind == "f" or spec.encoding is not None or is_colour(name, spec):
        return "mean"
    head = _head(name)
    if head in _COUNTS:
        return "sum"
    return "mode" if _singulars(head) & _LABELS else "mean"


def _head(name: str) -> str:
    """Return the word of a name that says what it is: the last, or the last before "of"."""
    words = [word.lower() for word in _WORDS.findall(name)]
    of = words.index("of") if "of" in words[1:] else len(words)
    return words[of - 1] if words else ""


def _singulars(word: str) -> set[str]:
    return {
        word,
        word.removesuffix("s"),
        word.removesuffix("es"),
        re.sub("ies$", "y", word),
        re.sub("ices$", "ex", word),
    }


def is_colour(name: str, spec: AttributeSpec) -> bool:
    """Return whether the channels of an attribute are those of a colour, which belong together."""
    if spec.channels not in (3, 4):
        return False
    channels = tuple(channel.lower() for channel in (spec.channel_names or ())[:3])
    return channels in _COLOUR_CHANNELS or _head(name) in _COLOURS
