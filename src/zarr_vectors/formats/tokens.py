"""Tokens of documents that change what the bytes mean: those that are read here; a store with others is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from zarr_vectors.constants import READ_CAPABILITIES, REFINEMENT_ADD, VALID_VERTEX_ENCODINGS
from zarr_vectors.exceptions import MetadataError, UnsupportedFeatureError
from zarr_vectors.typing import Document

REQUIRED_KEY: Final = "required_capabilities"
MANIFEST_LAYOUT_KEY: Final = "manifest_layout"
DENSE_LAYOUT: Final = "dense_manifests_v1"

_ROOT_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {MANIFEST_LAYOUT_KEY: ("vlen", "dense")}
_LEVEL_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {"refinement": ("replace", REFINEMENT_ADD)}
_FRAGMENTS: Final = {"encoding": ("fragment_index_v1",)}
_ARRAY_TOKENS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "vertices": {"zv_array": ("vertices",), "encoding": VALID_VERTEX_ENCODINGS},
    "vertex_fragments": {"zv_array": ("vertex_fragments",), **_FRAGMENTS},
    "link_fragments": {"zv_array": ("link_fragments",), **_FRAGMENTS},
    "links": {"encoding": ("raw",), "dtype": ("int64",), "store": ("canonical", "duplicate")},
    "object_index": {
        "zv_array": ("object_index",),
        "layout": ("vlen_manifests_v1", "vlen_manifests_v2", DENSE_LAYOUT),
    },
}
"""By family the tokens of its nodes that are read; a node that says nothing is of the only kind there was once."""

VERSION_REMEDY: Final = "use the program that wrote the store, or look for a newer release of zarr-vectors"


def require_capabilities(block: Mapping[str, Any], where: str) -> None:
    """Refuse a store whose root asks of its readers what is not done here.

    Raises
    ------
    UnsupportedFeatureError
        Naming the capabilities, or the token of another key.
    MetadataError
        When they are no list of names.
    """
    tokens = block.get(REQUIRED_KEY) or ()
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, str) for token in tokens):
        raise MetadataError(f"{where}: {REQUIRED_KEY} must be a list of names, got {tokens!r:.200}")
    unknown = [token for token in tokens if token not in READ_CAPABILITIES]
    if unknown:
        raise UnsupportedFeatureError(
            f"{where}: {REQUIRED_KEY} lists {', '.join(map(repr, unknown))}, without which the store would be read "
            f"wrongly and which this version does not know (it knows {', '.join(READ_CAPABILITIES)}); {VERSION_REMEDY}"
        )
    _require(block, _ROOT_TOKENS, where)


def require_level_tokens(block: Mapping[str, Any], where: str) -> None:
    """Refuse a level of which something is said that is not known here.

    Raises
    ------
    UnsupportedFeatureError
        Naming the key and its value.
    """
    _require(block, _LEVEL_TOKENS, where)


def require_tokens(family: str, documents: Mapping[str, Document], paths: Iterable[str]) -> None:
    """Refuse nodes of a family whose bytes are laid out in a way that is not known here.

    Parameters
    ----------
    family : str
        ``vertices``, ``vertex_fragments``, ``link_fragments``, ``links`` or ``object_index``.
    documents : mapping of str to dict
        ``zarr.json`` by path below the root.
    paths : iterable of str
        The nodes, which need not be there.

    Raises
    ------
    UnsupportedFeatureError
        Naming the node, the key and its value.
    """
    for path in paths:
        _require((documents.get(path) or {}).get("attributes") or {}, _ARRAY_TOKENS[family], path)


def _require(block: Mapping[str, Any], known: Mapping[str, tuple[str, ...]], where: str) -> None:
    for key, values in known.items():
        if (found := block.get(key)) is not None and found not in values:
            raise UnsupportedFeatureError(
                f"{where}: {key} is {found!r:.100}, which this version does not read (it reads {', '.join(values)}); "
                f"{VERSION_REMEDY}"
            )
