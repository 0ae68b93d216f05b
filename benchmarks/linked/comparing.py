"""What is compared with what, and where it must stand, alike for every kind."""

from __future__ import annotations

from benchmarks.comparison import Comparison


def comparisons(kind: str, *, box: str, whole: float, boxes: float) -> list[Comparison]:
    """Return the rows of one kind.

    Parameters
    ----------
    kind : str
        Name of the kind in the works.
    box : str
        Label of the box.
    whole, boxes : float
        How many times faster than 0.9.2 reads of everything and of a box must be.
    """
    return [
        Comparison("write", "write, default", "write", f"{kind} write default", f"{kind} write sharded zstd", 2, 8),
        Comparison("write", "write, zstd", "write", f"{kind} write zstd", f"{kind} write sharded zstd", 2, 8),
        Comparison("write", "write, uncompressed", "", f"{kind} write raw", f"{kind} write raw", faster_than_peer=8),
        Comparison("read", "read all, default", "read", f"{kind} read default", f"{kind} read sharded zstd", 2, whole),
        Comparison("read", "read all, zstd", "read", f"{kind} read zstd", f"{kind} read sharded zstd", 2, whole),
        Comparison(
            "read", "read all, uncompressed", "", f"{kind} read raw", f"{kind} read raw", faster_than_peer=whole
        ),
        Comparison("box", f"{box}, default", f"{kind} box", f"{kind} box default", f"{kind} box raw", 3, boxes),
        *(
            Comparison(
                "objects",
                f"{many} by id",
                f"objects {many}",
                f"{kind} objects {many} default",
                f"{kind} objects {many} raw",
                3,
            )
            for many in (1, 100)
        ),
    ]
