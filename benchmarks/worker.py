"""Measures one work in this process: ``python -m benchmarks.worker module work size folder runs budget``.

Runs under any interpreter; prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from benchmarks.measuring import Measurement, measure


def main() -> None:
    """Measure what the arguments name."""
    module, work, size, folder, runs, budget = sys.argv[1:]
    works = importlib.import_module(module).WORKS
    try:
        result = measure(lambda: works[work](int(size), Path(folder)), int(runs), float(budget))
    except Exception as error:  # the other measurements go on
        result = Measurement(failure=f"{type(error).__name__}: {error}")
    print(json.dumps(result.document()))


if __name__ == "__main__":
    main()
