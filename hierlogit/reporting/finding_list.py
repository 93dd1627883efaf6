"""Findings -> a list on the page: severity, meaning, what was seen and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType

from ..display import element
from ..fits.findings import Finding, Severity
from .html import paragraph, prose

#: How severe a finding is, in words.
SEVERITY_TEXTS: Mapping[Severity, str] = MappingProxyType(
    {
        "error": "Error: do not use the results until this is resolved",
        "warning": "Warning: needs a look",
        "note": "Note: good to know",
    }
)


def finding_list(findings: Iterable[Finding], nothing: str) -> str:
    """Findings with their meaning, evidence and advice; or the words that say there are none."""
    items = "".join(_item(finding) for finding in findings)
    return element("ul", items, class_="findings") if items else paragraph(nothing, "good")


def _item(finding: Finding) -> str:
    return element(
        "li",
        element("strong", escape(SEVERITY_TEXTS[finding.severity]), class_=finding.severity)
        + element("code", escape(finding.code))
        + paragraph(finding.meaning)
        + element("p", f"{element('b', 'What was seen:')} {prose(finding.evidence)}")
        + element("p", f"{element('b', 'What to do:')} {prose(finding.advice)}"),
    )
