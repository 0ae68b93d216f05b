"""What users say of an attribute: unit, description, names of channels, mode of coarse levels, keys of their own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from zarr_vectors.constants import AGGREGATIONS
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.unknown_keys import NODE_KEYS
from zarr_vectors.model.attributes import CHANNEL_BINS, AttributeSpec
from zarr_vectors.typing import Document

SpecLike = AttributeSpec | Mapping[str, Any] | None

DESCRIBED = ("unit", "description", "channel_names", "aggregation", "extra")


def parse_spec(name: str, given: SpecLike) -> AttributeSpec:
    """Check what is said of an attribute; a spec that was read from a store may be given as it is.

    Raises
    ------
    ArgumentError
        When it is no spec, a key cannot be set, or a value is not of its type; names the attribute and the key.
    """
    if given is None:
        return AttributeSpec()
    if not isinstance(given, AttributeSpec | Mapping):
        raise ArgumentError(f"attribute_specs: expected a mapping for {name!r}, got {type(given).__name__}")
    if isinstance(given, AttributeSpec):
        said: Mapping[str, Any] = {key: getattr(given, key) for key in DESCRIBED}
    else:
        said = given
    unknown = [key for key in said if key not in DESCRIBED]
    if unknown:
        raise ArgumentError(
            f"attribute_specs: {unknown} of {name!r} cannot be set; {', '.join(DESCRIBED)} can (the data type is that "
            "of the array)"
        )
    for key in ("unit", "description"):
        if not isinstance(said.get(key), str | None):
            raise ArgumentError(f"attribute_specs: {key} of {name!r}: expected a string, got {said[key]!r:.100}")
    mode = said.get("aggregation")
    if not isinstance(mode, str | None) or (mode is not None and mode not in AGGREGATIONS):
        raise ArgumentError(
            f"attribute_specs: aggregation of {name!r}: expected one of {', '.join(AGGREGATIONS)}, got {mode!r:.100}"
        )
    parsed = {"channel_names": _channel_names(name, said.get("channel_names")), "extra": _extra(name, given, said)}
    return AttributeSpec(**{**said, **parsed})


def _channel_names(name: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    listed = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping | set | frozenset)
    names = list(given) if listed else [given]
    if not listed or not all(isinstance(each, str) for each in names):
        raise ArgumentError(f"attribute_specs: channel_names of {name!r}: expected strings, got {given!r:.100}")
    twice = next((each for each, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise ArgumentError(f"attribute_specs: channel_names of {name!r}: {str(twice)!r} names two channels")
    return tuple(map(str, names))


def _extra(name: str, given: SpecLike, said: Mapping[str, Any]) -> Document:
    """Return keys that the format does not know; only a spec of a store tells how its channels lie apart."""
    extra = said.get("extra", {})
    if not isinstance(extra, Mapping):
        raise ArgumentError(f"attribute_specs: extra of {name!r}: expected a mapping, got {type(extra).__name__}")
    allowed = {CHANNEL_BINS} if isinstance(given, AttributeSpec) else set()
    reserved = sorted(key for key in extra if key in NODE_KEYS - allowed)
    if reserved:
        raise ArgumentError(
            f"attribute_specs: extra of {name!r}: {', '.join(reserved)} are keys of the format itself; choose others"
        )
    try:
        json.dumps(dict(extra), allow_nan=False)
        wrong = not _has_text_keys(extra)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"attribute_specs: extra of {name!r} is not JSON: {error}") from error
    if wrong:
        raise ArgumentError(f"attribute_specs: extra of {name!r} is not JSON: its keys must be strings")
    return dict(extra)


def _has_text_keys(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _has_text_keys(each) for key, each in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_text_keys, value))
