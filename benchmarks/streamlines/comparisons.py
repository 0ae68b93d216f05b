"""What is compared with what, and where it must stand."""

from __future__ import annotations

from benchmarks.comparison import Comparison
from benchmarks.streamlines.tracts import make_tracts

NAME = "Streamlines"
PACKAGE = "benchmarks.streamlines"
SIZES = (100_000,)
ROW_BYTES = 600
make_data = make_tracts

_OTHERS = {kind: kind.lower() for kind in ("TRX", "TCK", "TRK")}


def _others(name: str, *kinds: str) -> dict[str, str]:
    return {kind: f"{name} {_OTHERS[kind]}" for kind in kinds or _OTHERS}


COMPARISONS = [
    Comparison(
        "write",
        "write, default",
        "write",
        "write default",
        "write sharded zstd",
        2,
        8,
        others=_others("write"),
        most_of_other={"TCK": 1},
    ),
    Comparison("write", "write, zstd", "write", "write zstd", "write sharded zstd", 2, 8),
    Comparison("write", "write, uncompressed", "", "write raw", "write raw", faster_than_peer=8),
    Comparison("read", "read all, default", "read", "read default", "read sharded zstd", 2, 10, others=_others("read")),
    Comparison("read", "read all, zstd", "read", "read zstd", "read sharded zstd", 2, 10),
    Comparison("read", "read all, uncompressed", "", "read raw", "read raw", faster_than_peer=4),
    *(
        Comparison(
            "objects",
            f"{many} by id",
            f"objects {many}",
            f"objects {many} default",
            f"objects {many} raw",
            3,
            others=_others(f"objects {many}", "TRX"),
            most_of_other={"TRX": 2} if many == 1 else {},
        )
        for many in (1, 100)
    ),
    Comparison("box", "box 100³, whole paths", "box", "box default", "box raw", 3, others=_others("box", "TRX")),
]
