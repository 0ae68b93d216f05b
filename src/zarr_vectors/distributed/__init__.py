"""Several writers at the same time, each in a part of the store of its own.

:func:`partitions` says into which parts a store falls so that no two of them have an object of storage in common;
:func:`append_partition` adds points and paths to some of them, while others add to others.
"""

from __future__ import annotations

from zarr_vectors.distributed.appending import append_partition
from zarr_vectors.distributed.partitions import Partition, Partitions, partitions

__all__ = ["Partition", "Partitions", "append_partition", "partitions"]
