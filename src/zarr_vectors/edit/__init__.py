"""Editing stores in place: attributes, objects, vertices, links and groups.

Every function reads, changes and writes under the lock of the store, and what it writes becomes final all at once.
Chunks that do not change are not written.
"""

from __future__ import annotations

from zarr_vectors.edit.appending import AppendSummary, append_vertices
from zarr_vectors.edit.attributes import add_attribute, remove_attribute, set_attribute
from zarr_vectors.edit.groups import set_groups
from zarr_vectors.edit.linking import add_links, remove_links
from zarr_vectors.edit.objects import delete_objects, replace_objects
from zarr_vectors.edit.refreshing import refresh_levels
from zarr_vectors.edit.vacuuming import VacuumSummary, vacuum
from zarr_vectors.edit.vertices import move_vertices

__all__ = [
    "AppendSummary",
    "VacuumSummary",
    "add_attribute",
    "add_links",
    "append_vertices",
    "delete_objects",
    "move_vertices",
    "refresh_levels",
    "remove_attribute",
    "remove_links",
    "replace_objects",
    "set_attribute",
    "set_groups",
    "vacuum",
]
