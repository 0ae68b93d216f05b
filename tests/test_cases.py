"""The programs made from people's reports, where the folder beside the checkout holds them: each must exit 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2] / "shared" / "cases"
LATER = {
    "11-las-large-records": "side data of files in arrays",
    "16-one-stray-point": "layout from where the points are",
    "17-texts-that-all-differ": "large dictionaries in arrays",
    "18-long-texts-of-objects": "texts of objects of any length",
    "19-attributes-of-objects": "one result for every kind",
    "22-datasets-to-workers": "datasets that pickle",
    "37-las-sources": "files from anywhere",
}
"""What a case waits for."""

PROGRAMS = sorted(CASES.glob("[0-9]*.py")) if CASES.is_dir() else []


@pytest.mark.skipif(not PROGRAMS, reason="the cases are not beside this checkout")
@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.stem not in LATER], ids=lambda program: program.stem)
def test_case(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-B", program.name],
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
