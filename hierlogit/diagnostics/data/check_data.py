"""`Model` → `check_data`: what the data can tell of a model's parameters, before it is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from ...design.grouping import result_name
from ...display import Facts, Folded, Sentences, Table, View
from ...fits.arguments import require_model
from ...fits.findings import count_by_severity, gravest_first
from ...fits.identification import findings_of_model
from ...pictures import Picture, Pictured
from ...result_table import HasTables, ResultTable
from ...validation import quoted_list
from .cluster_sizes import cluster_table, size_findings, size_summary, smallest_first
from .collinearity import Collinearity, collinearity_findings
from .expected_shrinkage import HALF, assumed_sds, reliability, shrinkage_findings
from .nesting import relation_findings, relation_table, relations
from .outcome import outcome_findings, totals
from .random_slopes import effect_table, slope_findings
from .separation import Separation, separation_findings
from .suspect_columns import suspect_findings
from .within_between import Levels, level_findings, level_table

if TYPE_CHECKING:
    from ...design.design import Design
    from ...fits.findings import Finding
    from ...model_spec import ModelSpec


@dataclass(frozen=True, repr=False)
class DataCheck(HasTables, Pictured):
    """The result of `hl.check_data`.

    Attributes
    ----------
    findings : tuple of Finding
        Most severe first.
    totals : pandas.Series
        ``rows``, ``rows_missing`` (left out for missing values), ``trials``, ``events``, ``non_events``, ``share`` of
        events, ``coefficients`` (besides the intercept), ``parameters`` (with sds and correlations), the rarer of
        events and non-events for each of them (``events_per_coefficient``, ``events_per_parameter``),
        ``separated_rows``, and the ``condition_number`` of the fixed-effect columns, centred and scaled.
    factors : pandas.DataFrame
        One row for each grouping factor: ``clusters``; smallest, quartiles and largest of their ``rows``, ``trials``,
        ``events`` and ``non_events`` (``trials_min``, ``trials_q1``, ``trials_median``, ...); clusters of ``one_row``,
        of ``one_trial``, with ``no_event``, with ``only_events``; the ``sd`` of intercepts for which reliabilities are
        computed, ``reliability_median``, and ``low_reliability``, the number of clusters below one half.
    clusters : mapping of str to pandas.DataFrame
        For each grouping factor one row for each cluster, the smallest first: ``rows``, ``trials``, ``events``,
        ``non_events``, ``share`` of events, ``reliability`` of its intercept.
    relations : pandas.DataFrame
        One row for each pair of grouping factors: ``factor``, ``other``, ``kind`` (``"nested"``, the first in the
        second, ``"crossed"``, or ``"same"``), the ``combinations`` of their clusters that have rows, how many are
        ``possible``, ``shared``, the clusters of the second with rows of two or more of the first, and ``description``
        in words.
    columns : pandas.DataFrame
        One row for each fixed-effect column: ``term``, ``sd``; for each grouping factor the number of clusters within
        which the column varies (``varies_in_district``; 0 for a cluster-level predictor) and the share of its variance
        between clusters (``between_district``); ``estimate``, the kind of maximum-likelihood estimate (``"finite"``,
        ``"+inf"``, ``"-inf"``, or ``"+-inf"`` if both signs maximise the likelihood); and ``inflation``, the
        generalised variance inflation factor of its term to the power ``1 / df``, that of one coefficient.
    effects : pandas.DataFrame
        One row for each random effect: ``factor``, ``effect``, ``clusters``, ``informed_by`` (the number of clusters
        within which its column varies) and whether the effect is ``in_fixed_part`` too.
    separation : {"overlap", "quasi-complete", "complete"}
        How far the fixed part separates the outcomes.
    model : Model
    """

    _picture: ClassVar[Picture] = Picture("check_data")

    findings: tuple[Finding, ...]
    totals: pd.Series[float]
    factors: pd.DataFrame
    clusters: Mapping[str, pd.DataFrame]
    relations: pd.DataFrame
    columns: pd.DataFrame
    effects: pd.DataFrame
    separation: str
    model: ModelSpec

    def _view(self) -> View:
        tables = {
            "Grouping factors": self.factors.T,
            "Fixed-effect columns": self.columns,
            "Random effects": self.effects,
        }
        return View(
            f"Data before a fit: {count_by_severity(self.findings)}",
            (
                Facts(tuple(self._facts())),
                Sentences(tuple(map(str, self.findings)), ".findings"),
                *(Folded(title, Table.of(table).whole) for title, table in tables.items() if len(table)),
            ),
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        total, outcome = self.totals, self.model.design.outcome
        unit = "trials" if outcome.binomial else "rows"
        yield "formula", self.model.formula.line
        yield (
            "event",
            f"{outcome.event}: {total['events']:,.0f} of {total['trials']:,.0f} {unit} ({total['share']:.1%})",
        )
        missing = f", {total['rows_missing']:,.0f} more left out for missing values" if total["rows_missing"] else ""
        yield "rows", f"{total['rows']:,.0f}{self.model.design.table.counted_to}{missing}"
        if self.model.design.table.source:
            yield "read from", self.model.design.table.source
        yield "fixed", _fixed_fact(total, self.separation)
        for name in self.factors.index:
            yield str(name), self._factor_fact(str(name))

    def _factor_fact(self, name: str) -> str:
        row: pd.Series[float] = self.factors.T[name]
        text = (
            f"{row['clusters']:,.0f} clusters; trials {_range(row, 'trials')}, events {_range(row, 'events')}; "
            f"{row['no_event']:,.0f} with no event, {row['only_events']:,.0f} with only events"
        )
        if np.isfinite(row["sd"]):
            text += (
                f"; median reliability of intercepts {row['reliability_median']:.2f}, below {HALF:g} in "
                f"{row['low_reliability']:,.0f}, if their sd is {row['sd']:.2g}"
            )
        columns = self.columns
        varies = columns[f"varies_in_{result_name(name)}"]
        constant = [str(label) for label in columns.index[varies == 0] if label != "Intercept"]
        text += f"; constant within clusters: {quoted_list(constant)}" if constant else ""
        related = self.relations
        return text + "".join(f"; {words}" for words in related.loc[related["factor"] == name, "description"])


def _range(row: pd.Series[float], name: str) -> str:
    low, middle, high = (row[f"{name}_{label}"] for label in ("min", "median", "max"))
    return f"{low:,.0f} each" if low == high else f"{low:,.0f} to {high:,.0f} (median {middle:,g})"


def _fixed_fact(total: pd.Series[float], separation: str) -> str:
    rarer, count = "events" if total["events"] <= total["non_events"] else "non-events", int(total["coefficients"])
    text = f"{count or 'no'} coefficient{'' if count == 1 else 's'} besides the intercept"
    text += f", {total['events_per_coefficient']:,.1f} {rarer} for each" if count else ""
    text += f"; {total['events_per_parameter']:,.1f} {rarer} for each of all {total['parameters']:.0f} parameters"
    text += f"; condition number {total['condition_number']:,.1f}" if count > 1 else ""
    return f"{text}; " + ("the outcomes overlap" if separation == "overlap" else f"{separation} separation")


def check_data(model: ModelSpec, *, sd: float | Mapping[str, float] | None = None) -> DataCheck:
    """Check whether the data are informative about the parameters of a model, before it is fitted.

    Counts rows, trials and events of every cluster; shows which predictors vary within clusters and between them; looks
    for random slopes that cannot be estimated, grouping factors whose variances cannot be separated, separation,
    collinearity and few events; and computes how far the intercept of each cluster will be shrunken.

    Parameters
    ----------
    model : Model
    sd : float or dict of float by grouping factor, optional
        Standard deviation of the random intercepts, on the logit scale, for which reliabilities are computed; the
        median of its prior if not given.

    Returns
    -------
    DataCheck
        With ``.findings``, and tables of everything on which they are based.

    Raises
    ------
    PriorError
        If `sd` is not positive, or names no grouping factor with a random intercept.

    Notes
    -----
    *Separation* is that of the fixed part, by linear programs that are exact up to rounding. Random effects and offsets
    do not change it.

    *Reliability* of the intercept of a cluster with m trials is ``sd^2 / (sd^2 + 1 / (m p (1 - p)))``, with p the share
    of events in all rows: the factor by which the cluster's deviation is expected to be shrunken. Predictors and other
    grouping factors are ignored.

    *Share of variance between* is the intraclass correlation of a column, by analysis of variance. A predictor counts
    as varying both within and between clusters if the share is at least 5 % and significant (F test, 1 %), unless the
    fixed part contains its cluster means.

    *Events per parameter* is a rule of thumb (Peduzzi and others 1996) with little support: the number needed depends
    on the estimand, on how rare events are and on how strong effects are (van Smeden and others 2016, 2019). A low
    number is a reason to distrust maximum likelihood. Fewer than 10 for each coefficient, or than 5 for each parameter
    (the lower limit of Vittinghoff and McCulloch 2007), are a warning; fewer events than parameters, of a model with 8
    or more of them, are an error.

    *Findings of every fit*: `Model` warns of those that are errors, and of predictors of random slopes far from zero;
    each fit has them among its ``diagnostics.findings``, in the same words.

    References
    ----------
    Albert and Anderson (1984), Biometrika 71: 1-10; Konis (2007), thesis, University of Oxford: separation. Belsley,
    Kuh and Welsch (1980), Regression Diagnostics: condition numbers. Fox and Monette (1992), Journal of the American
    Statistical Association 87: 178-183: generalised variance inflation. Peduzzi, Concato, Kemper, Holford and Feinstein
    (1996), Journal of Clinical Epidemiology 49: 1373-1379; van Smeden and others (2016), BMC Medical Research
    Methodology 16: 163; van Smeden and others (2019), Statistical Methods in Medical Research 28: 2455-2474: events per
    parameter; Vittinghoff and McCulloch (2007), American Journal of Epidemiology 165: 710-718. Snijders and Bosker
    (2012), Multilevel Analysis: within and between, and shrinkage.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ trt + week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> report = hl.check_data(model)
    >>> [(finding.severity, finding.code) for finding in report.findings]
    [('note', 'few_events'), ('note', 'strong_shrinkage')]
    >>> print(report.findings[0].evidence)
    43 non-events for 3 coefficients besides the intercept are 14.3 each, and 8.6 for each of all 5 parameters (4 fixed
    effects, 1 sd of 'ID'). Fewer than 10 are few by a rule of thumb, which ignores how strong effects and how rare
    events are.
    >>> report.clusters["ID"].head(3)
    Clusters of ID
      ID   rows  trials  events  non_events  share  reliability
      X10     2       2       2           0  1            0.131
      Y12     2       2       2           0  1            0.131
      Z06     2       2       1           1  0.500        0.131
    """
    require_model(model)
    design, sds = model.design, assumed_sds(model, sd)
    separation = Separation.of(design.X, design.outcome.y, design.outcome.trials)
    collinear = Collinearity.of(design)
    clusters = _clusters(design, sds)
    levels = [Levels.of(design, group) for group in design.groups]
    effects, related = effect_table(design), relations(design.groups)
    counts = totals(design) | {"separated_rows": separation.rows, "condition_number": collinear.condition}
    total = pd.Series(counts, dtype=np.float64)
    columns = level_table(design, levels).assign(estimate=separation.estimates)
    columns["inflation"] = columns["term"].map(collinear.inflation)
    findings = [
        *findings_of_model(model),
        *outcome_findings(model, total),
        *suspect_findings(model),
        *separation_findings(design, separation),
        *collinearity_findings(collinear),
        *relation_findings(related),
    ]
    for group, of_group in zip(design.groups, levels, strict=True):
        findings += size_findings(clusters[group.name])
        findings += slope_findings(group, effects)
        findings += level_findings(design, of_group)
        findings += shrinkage_findings(clusters[group.name], *sds[group.name]) if group.name in sds else []
    return DataCheck(
        findings=gravest_first(findings),
        totals=total,
        factors=ResultTable.of(_factor_table(clusters, sds), "Clusters of each grouping factor"),
        clusters={name: ResultTable.of(table, f"Clusters of {name}") for name, table in clusters.items()},
        relations=ResultTable.of(relation_table(related), "How the grouping factors are related"),
        columns=ResultTable.of(columns, "Columns of the fixed part"),
        effects=ResultTable.of(effects, "Random effects, and the clusters that are informative about them"),
        separation=separation.kind,
        model=model,
    )


def _clusters(design: Design, sds: Mapping[str, tuple[float, str]]) -> dict[str, pd.DataFrame]:
    """Counts and reliabilities of the clusters of each factor."""
    share = float(design.outcome.y.sum() / design.outcome.trials.sum())
    clusters = {}
    for group in design.groups:
        table = cluster_table(design, group)
        trials = table["trials"].to_numpy(dtype=np.float64)
        values = reliability(trials, share, sds[group.name][0]) if group.name in sds else np.nan
        clusters[group.name] = smallest_first(table.assign(reliability=values))
    return clusters


def _factor_table(clusters: Mapping[str, pd.DataFrame], sds: Mapping[str, tuple[float, str]]) -> pd.DataFrame:
    rows = {}
    for name, table in clusters.items():
        low = float((table["reliability"] < HALF).sum()) if name in sds else np.nan
        rows[name] = size_summary(table) | {
            "sd": sds.get(name, (np.nan, ""))[0],
            # pandas 2 warns about the median of missing values alone.
            "reliability_median": table["reliability"].dropna().median(),
            "low_reliability": low,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("factor")
