"""What a check found, in words a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "warning", "error"]
#: The gravest first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found, with its evidence and what to do about it.

    Attributes
    ----------
    code : str
        Short name, the same in every report: ``"divergences"``.
    severity : {"note", "warning", "error"}
        With an error the results should not be used, with a warning they need a look.
    evidence : str
        What was seen, with numbers and names.
    remedy : str
        What to do.
    """

    code: str
    severity: Severity
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity} ({self.code}): {self.evidence} {self.remedy}"


def gravest_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by severity, those of one severity in the order they come in."""
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))
