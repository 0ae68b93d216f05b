"""What a validation found: findings, the outcome of every check, and the report of all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from zarr_vectors.typing import Document

Severity: TypeAlias = Literal["error", "warning", "note"]

LEVEL_TITLES = {
    1: "structure",
    2: "metadata",
    3: "cross-array consistency",
    4: "conventions",
    5: "pyramid",
}
"""What each level of validation looks at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    Parameters
    ----------
    level : int
        Level of validation, 1 to 5, of the check that found it.
    check : str
        Name of the check.
    path : str
        Where in the store, below its root; ``""`` is the root.
    message : str
        What was found, and what was expected.
    severity : {"error", "warning", "note"}
        An error breaks the format, a warning is likely to hurt, a note is only odd.
    """

    level: int
    check: str
    path: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.severity}: level {self.level}, {self.check}, {self.path or '/'}: {self.message}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check on one part of the store.

    Parameters
    ----------
    level : int
        Level of validation.
    check : str
        Name of the check.
    description : str
        What the check asks for.
    path : str
        Part of the store that was checked; ``""`` is the whole.
    findings : tuple of Finding
        What it found.
    """

    level: int
    check: str
    description: str
    path: str
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> str:
        """``"passed"``, or the gravest severity found; notes do not keep a check from passing."""
        severities = {finding.severity for finding in self.findings}
        return "error" if "error" in severities else "warning" if "warning" in severities else "passed"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The result of validating a store.

    Parameters
    ----------
    url : str
        The store.
    level : int
        Level of validation asked for; lower levels are part of it.
    outcomes : tuple of Outcome
        Every check that was run, in the order of the levels.
    """

    url: str
    level: int
    outcomes: tuple[Outcome, ...] = field(default=(), repr=False)

    @property
    def is_valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    @property
    def passed(self) -> int:
        """Number of checks without errors and warnings."""
        return sum(outcome.status == "passed" for outcome in self.outcomes)

    @property
    def errors(self) -> list[Finding]:
        """What breaks the format."""
        return self._of("error")

    @property
    def warnings(self) -> list[Finding]:
        """What is legal but likely to hurt."""
        return self._of("warning")

    @property
    def notes(self) -> list[Finding]:
        """What is merely odd, for example keys that only this package writes and a foreign store lacks."""
        return self._of("note")

    def _of(self, severity: Severity) -> list[Finding]:
        return [f for outcome in self.outcomes for f in outcome.findings if f.severity == severity]

    def summary(self) -> str:
        """Return verdict, counts, and one line per finding."""
        verdict = "PASS" if self.is_valid else "FAIL"
        counts = f"  {self.passed} passed, {len(self.warnings)} warnings, {len(self.errors)} errors"
        findings = [f"  {finding}" for finding in [*self.errors, *self.warnings, *self.notes]]
        return "\n".join([f"Level {self.level} validation: {verdict}", counts, *findings])

    def report(self) -> str:
        """Return a readable text that lists every check with its outcome."""
        lines = [f"{self.url}", *self.summary().split("\n")[:2]]
        for level in range(1, max([self.level, *(outcome.level for outcome in self.outcomes)]) + 1):
            lines += ["", f"Level {level}: {LEVEL_TITLES[level]}"]
            for outcome in self.outcomes:
                if outcome.level == level:
                    where = outcome.path or "/"
                    lines.append(f"  {outcome.status:<8}{outcome.check} [{where}]: {outcome.description}")
                    lines += [f"            {finding}" for finding in outcome.findings]
        return "\n".join(lines)

    def to_dict(self) -> Document:
        """Return the report as plain values that JSON can hold."""
        return {
            "url": self.url,
            "level": self.level,
            "is_valid": self.is_valid,
            "passed": self.passed,
            "errors": [asdict(finding) for finding in self.errors],
            "warnings": [asdict(finding) for finding in self.warnings],
            "notes": [asdict(finding) for finding in self.notes],
            "checks": [
                {
                    "level": outcome.level,
                    "check": outcome.check,
                    "description": outcome.description,
                    "path": outcome.path,
                    "status": outcome.status,
                }
                for outcome in self.outcomes
            ],
        }

    def __str__(self) -> str:
        return self.summary()
