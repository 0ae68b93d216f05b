"""The exceptions that this package raises on purpose.

::

    ZarrVectorsError
    ├── StoreError                      a store is missing, incomplete, foreign or cannot be written
    │   ├── StoreNotFoundError          (also FileNotFoundError) nothing is at the path
    │   ├── IncompleteStoreError        the beginning of a store whose writer was interrupted: repair it or write again
    │   ├── StoreExistsError            (also FileExistsError) something is at the path already
    │   ├── ReadOnlyStoreError          (also PermissionError) a write through a read-only handle
    │   ├── StoreLockedError            another writer holds the store
    │   └── StoreChangedError           the store is no longer what an open dataset has read of it
    ├── MetadataError                   (also ValueError) a metadata document breaks the format
    ├── ArrayError                      (also ValueError) the bytes of an array are damaged or missing
    ├── UnsupportedFeatureError         a revision, codec or encoding that is not known here
    ├── MissingExtraError               (also ImportError) an optional dependency is not installed
    ├── ArgumentError                   (also ValueError) an argument cannot be used as given
    │   ├── ShapeError                  an array has the wrong shape, length or dimensionality
    │   └── OutOfBoundsError            positions lie outside the bounds of the store
    └── UnknownNameError                (also KeyError) an attribute, object, group or level that is not there

Warnings: :class:`PrecisionWarning` when a cast to float32 moves positions noticeably, :class:`NoMatchWarning` when a
filter asks for a value that no row can have,
:class:`LossWarning` when a file has no place for something of a store, :class:`StaleLevelWarning` when a coarse level
is older than the level it was made from.
"""

from __future__ import annotations


class ZarrVectorsError(Exception):
    """Root of every exception that this package raises on purpose."""


class StoreError(ZarrVectorsError):
    """A store is missing, incomplete, foreign, or cannot be written."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """Nothing that can be opened is at the path."""


class IncompleteStoreError(StoreError):
    """The beginning of a store is there, whose writer is at work or was interrupted.

    ``repair`` removes it, and so does the next writer.
    """


class StoreExistsError(StoreError, FileExistsError):
    """Something is at the path already and may not be replaced."""


class ReadOnlyStoreError(StoreError, PermissionError):
    """A write was tried through a read-only handle."""


class StoreLockedError(StoreError):
    """Another writer holds the store or the partition."""


class StoreChangedError(StoreError):
    """Another writer has changed the store since it was opened; ``reload()`` of the dataset reads it as it is now."""


class MetadataError(ZarrVectorsError, ValueError):
    """A metadata document breaks the format."""


class ArrayError(ZarrVectorsError, ValueError):
    """The bytes of an array are damaged, truncated or missing."""


class UnsupportedFeatureError(ZarrVectorsError):
    """A format revision, codec or encoding that this version does not know."""


class MissingExtraError(ZarrVectorsError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class ArgumentError(ZarrVectorsError, ValueError):
    """An argument cannot be used as given."""


class ShapeError(ArgumentError):
    """An array argument has the wrong shape, length or dimensionality."""


class OutOfBoundsError(ArgumentError):
    """Positions lie outside the bounds of the store."""


class UnknownNameError(ZarrVectorsError, KeyError):
    """An attribute, object, group or level was asked for that is not there."""

    def __str__(self) -> str:
        """Give the message without the quotes that ``KeyError`` puts around it."""
        return str(self.args[0]) if self.args else ""


class PrecisionWarning(UserWarning):
    """Storing positions in fewer digits moved them further than they resolve."""


class LossWarning(UserWarning):
    """A file that was written has no place for something that the store holds; the message names it."""


class StaleLevelWarning(UserWarning):
    """A coarse level is older than the level it was made from."""


class NoMatchWarning(UserWarning):
    """A filter asks for a value that no row can have: it is no category, or no value of the attribute's data type."""
