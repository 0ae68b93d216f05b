"""``python -m zarr_vectors.testing.fuzz [--seconds N] [--seed N] [--bits N] [--guided] [--corpus FOLDER]``."""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    """Run a campaign and print what it found; 1 when there were faults."""
    parser = argparse.ArgumentParser(prog="python -m zarr_vectors.testing.fuzz", description="Try damaged input.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the choices (0)")
    parser.add_argument("--guided", action="store_true", help="let atheris choose by coverage; payloads only")
    parser.add_argument("--corpus", help="folder of inputs for --guided, kept between runs")
    parser.add_argument("--bits", type=int, default=0, help="turn so many single bits of stored data over instead")
    chosen = parser.parse_args()
    if chosen.guided:
        from zarr_vectors.testing.fuzz.guided import run_guided  # noqa: PLC0415 - instruments what it imports

        run_guided(chosen.seconds, chosen.seed, chosen.corpus)
        return 0
    if chosen.bits:
        from zarr_vectors.testing.fuzz.rot import Rot  # noqa: PLC0415 - not before atheris

        rot = Rot(chosen.seed).run(chosen.bits)
        sys.stdout.write(rot.summary() + "\n")
        return bool(rot.silent)
    from zarr_vectors.testing.fuzz.running import Campaign  # noqa: PLC0415 - not before atheris

    campaign = Campaign(chosen.seed).run(chosen.seconds)
    sys.stdout.write(campaign.summary() + "\n")
    return bool(campaign.faults)


if __name__ == "__main__":
    sys.exit(main())
