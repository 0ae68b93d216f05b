"""Editing stores in place: attributes, objects, vertices, links and groups.

Every function reads, changes and writes under the lock of the store, and what it writes becomes final all at once.
Chunks that do not change are not written.
"""

from __future__ import annotations

from zarr_vectors.edit.appending import AppendSummary, append_vertices
from zarr_vectors.edit.attributes import add_attribute, remove_attribute, set_attribute

__all__ = [
    "AppendSummary",
    "add_attribute",
    "append_vertices",
    "remove_attribute",
    "set_attribute",
]
