"""Section: the build-up of the model, with all models that were tried."""

from __future__ import annotations

from collections.abc import Iterator

from ...building.models_tried import Build
from ...formatting import number, percent, probability
from ...plots.build_up import build as draw
from ...validation import number_of
from ..finding_list import finding_list
from ..html import facts, folded, paragraph, table
from ..images import picture
from ..request import Request, attempted


def content(request: Request) -> str:
    """The steps, what is proposed and why, and the quantities of interest in all models."""
    result = request.build
    return "" if result is None else "".join(_of(result))


def _of(result: Build) -> Iterator[str]:
    seconds = number(result.table["seconds"].sum())
    yield paragraph(
        f"{number_of(len(result.fits), 'model')} were fitted, in {seconds} s, and are all in the table; "
        f"{len(result.kept):,} were kept on the way to `{result.formula}` ({result.proposed}). Grouping factors and "
        "predictors were planned and kept whatever their p-values, unless an sd was zero; a slope was kept if its "
        f"adjusted p-value was below {result.settings['alpha']:g}."
    )
    if result.interrupted:
        yield paragraph("The build-up was interrupted before all steps were made.")
    yield _models(result)
    yield paragraph(
        "Each model is compared with the one named in the third column. Adjusted p-values account for the number of "
        "slopes tried beside the same model. Tests and intervals of the final model do not account for the selection.",
        "note",
    )
    if result.supported:
        yield facts((f"{slope}, supported but not kept", why) for slope, why in result.supported.items())
    if result.maximal:
        yield paragraph(f"If theory or the design calls for all slopes, the model to sample is `{result.maximal}`.")
    reasons = [[str(name), f"`{row['adds']}`", row["kept"], row["reason"]] for name, row in result.table.iterrows()]
    yield folded(
        "Why models were kept or not", table(["Model", "Adds", "Kept", "Reason"], reasons, "Decisions about the models")
    )
    if result.not_tried:
        yield folded("Not tried, with the reasons", facts(result.not_tried.items()))
    findings = [finding for name in result.kept for finding in result.findings[name]]
    if findings:
        yield folded("What the data cannot tell of these models", finding_list(findings, ""))
    yield attempted("The plot of the models", lambda: picture(lambda: draw(result), _caption(result)))


def _models(result: Build) -> str:
    shares = [name for name in result.table.columns if name.startswith("icc_")]
    rows = [
        [
            str(name),
            f"`{row['adds']}`",
            str(row["against"]),
            number(row["statistic"]),
            probability(row["p_value"]),
            probability(row["p_adjusted"]),
            *(percent(row[share]) for share in shares),
            str(row["kept"]),
        ]
        for name, row in result.table.iterrows()
    ]
    of_factors = [f"ICC, {share.removeprefix('icc_')}" for share in shares]
    head = ["Model", "Adds", "To", "Likelihood ratio", "p", "p, adjusted", *of_factors, "Kept"]
    return table(head, rows, "Models that were fitted, in their order")


def _caption(result: Build) -> str:
    return (
        "Quantities of interest in all models that have them. The dashed line is at the estimate of the proposed "
        f"model, {result.proposed}; models with open points were not kept."
    )
