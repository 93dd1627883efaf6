"""Findings as an HTML list: severity, meaning, evidence and advice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType

from ..display import element
from ..fits.findings import Finding, Severity
from .html import paragraph, prose

#: Severities in words.
SEVERITY_TEXTS: Mapping[Severity, str] = MappingProxyType(
    {
        "error": "Error: do not use the results until this is resolved",
        "warning": "Warning: check this before using the results",
        "note": "Note",
    }
)


def finding_list(findings: Iterable[Finding], nothing: str) -> str:
    """A list of findings with meaning, evidence and advice; the paragraph `nothing` if there are none."""
    items = "".join(_item(finding) for finding in findings)
    return element("ul", items, class_="findings") if items else paragraph(nothing, "good")


def _item(finding: Finding) -> str:
    return element(
        "li",
        element("strong", escape(SEVERITY_TEXTS[finding.severity]), class_=finding.severity)
        + element("code", escape(finding.code))
        + paragraph(finding.meaning)
        + element("p", f"{element('b', 'Evidence:')} {prose(finding.evidence)}")
        + element("p", f"{element('b', 'What to do:')} {prose(finding.advice)}"),
    )
