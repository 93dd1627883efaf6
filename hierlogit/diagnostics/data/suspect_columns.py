"""Findings about columns of text that are probably not meant as they are."""

from __future__ import annotations

from collections.abc import Iterator

from ...design.suspect_columns import suspect_columns
from ...fits.findings import Finding
from ...model_spec import ModelSpec


def suspect_findings(model: ModelSpec) -> Iterator[Finding]:
    """Findings about levels that look alike, and about numbers and missing values that are read as text."""
    for suspect in suspect_columns(model.formula, model.design.table.frame, model.design.table.row_counts):
        evidence, remedy = f"{suspect.evidence}.", suspect.remedy
        match suspect.kind:
            case "similar_levels":
                yield Finding("similar_levels", "warning", evidence, remedy)
            case "missing_as_text":
                yield Finding("missing_as_text", "warning", evidence, remedy)
            case "numbers_as_text":
                yield Finding("numbers_as_text", "warning", evidence, remedy)
            case "many_levels":
                yield Finding("many_levels", "warning", evidence, remedy)
