"""The class `Build`: a build-up of a model with all models that were tried, their evidence, and the one proposed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from ..display import Facts, Folded, Part, Sentences, Table, View
from ..fits.findings import Finding
from ..fits.fit import Fit
from ..model import Model
from ..pictures import Picture, Pictured
from ..progress import progress
from ..result_table import HasTables, ResultTable
from ..validation import number_of
from .estimands import Estimand, chosen_estimand, coefficients, over_models


@dataclass(frozen=True, repr=False)
class Build(HasTables, Pictured):
    """A build-up of a model: all models that were tried, and the one that it proposes.

    Attributes
    ----------
    table : ResultTable
        One row for each model, by name (``M0``, ``M1``, ...) in the order in which they were fitted: its ``stage``
        (``"intercept"``, ``"level"``, ``"predictors"`` or ``"slope"``); what it ``adds`` to the model named in
        ``against``; the number of ``parameters`` and the ``log_likelihood``; the likelihood-ratio ``statistic`` against
        that model with its ``p_value``, for slopes also ``p_adjusted``, adjusted for the number of slopes that were
        tried beside the same model (Holm 1979), and the ``naive_p_value`` of the chi-squared distribution; for each
        grouping factor the intraclass correlation on the latent scale, such as ``icc_district``; whether it was
        ``kept``, with the ``reason``; and ``seconds``, the time for its data checks, fit and test.
    fits : mapping of str to Fit
        The fits by name of the model.
    proposed : str
        Name of the model that is proposed.
    not_tried : mapping of str to str
        Levels and slopes without a fit, with the reason.
    supported : mapping of str to str
        Slopes that are not kept although their tests support them, because of their fits, with the reason.
    findings : mapping of str to tuple of Finding
        By name of the model, what the data cannot tell of it and could of the models before; the findings of its fit
        are in ``fits[name].diagnostics.findings``.
    scores : ResultTable or None
        With `screen`, the score tests of the slopes, as `test_slopes` returns them.
    levels : mapping of str to int
        Number of clusters of each grouping factor, the highest first.
    relations : ResultTable
        How the grouping factors are related, as in `DataCheck`.
    planned : str
        The formula as given, with the clusters.
    maximal : str
        The formula with all slopes that were tried.
    settings : mapping of str to object
        Options of the steps, by name: ``alpha``, ``screen``, ``replicates`` and ``seed``.
    ci_prob : float
        Probability of the intervals.
    interrupted : bool
        Whether an interruption came before the end.
    """

    _picture: ClassVar[Picture] = Picture("build")

    table: ResultTable
    fits: Mapping[str, Fit[Model]]
    proposed: str
    not_tried: Mapping[str, str]
    supported: Mapping[str, str]
    findings: Mapping[str, tuple[Finding, ...]]
    scores: ResultTable | None
    levels: Mapping[str, int]
    relations: ResultTable
    planned: str
    maximal: str
    settings: Mapping[str, Any]
    ci_prob: float
    interrupted: bool
    _estimand: Estimand = field(default=None, compare=False)

    @property
    def fit(self) -> Fit[Model]:
        """The fit of the proposed model."""
        return self.fits[self.proposed]

    @property
    def formula(self) -> str:
        """The formula of the proposed model."""
        return self.fit.model.formula.line

    @property
    def kept(self) -> list[str]:
        """Names of the models that were kept, each the beginning of the next step."""
        return [str(name) for name in self.table.index[self.table["kept"] == "yes"]]

    @cached_property
    def estimands(self) -> ResultTable:
        """The quantities of interest in all models, as `evaluate` returns them; computed when first read."""
        return self._evaluated(self._estimand)

    def evaluate(self, estimand: str | Sequence[str] | Callable[[Fit], Any] | None = None) -> ResultTable:
        """Quantities of interest in all models, without fitting them again.

        Parameters
        ----------
        estimand : str, list of str or callable, optional
            As for `build`.

        Returns
        -------
        ResultTable
            One row for each ``model`` and ``quantity``: ``estimate``, ``se``, ``lower`` and ``upper`` end of the
            interval, and ``change``, the difference from the model that it is compared with in the table of models.

        Raises
        ------
        ModelError
            If a name is not known, or no model has a value.
        """
        largest = max(self.fits.values(), key=lambda fit: len(fit.model.design.fixed_effects)).model.design
        return self._evaluated(chosen_estimand(estimand, largest))

    def _evaluated(self, estimand: Estimand) -> ResultTable:
        fits = progress(list(self.fits.items()), "Evaluating the models")
        values = over_models(fits, estimand, self.ci_prob)
        smaller = [(self.table.loc[name, "against"], quantity) for name, quantity in values.index]
        before = values["estimate"].reindex(pd.MultiIndex.from_tuples(smaller)).to_numpy()
        title = f"Quantities of interest by model; {100 * self.ci_prob:g}% intervals"
        return ResultTable.of(values.assign(change=values["estimate"] - before), title, spare=("change", "se"))

    def _view(self) -> View:
        title = f"Build-up: {number_of(len(self.fits), 'model')} tried, {self.proposed} proposed"
        columns = ["kept", "adds", "against", "statistic", "p_value", "p_adjusted", *self._iccs, "log_likelihood"]
        folded: dict[str, Part] = {
            "Why models were kept or not": Table.of(pd.DataFrame(self.table[["adds", "kept", "reason"]])).whole,
            "Levels and slopes that were not tried": Facts(tuple(self.not_tried.items())),
            "Score tests of the slopes": Sentences(()) if self.scores is None else Table.of(pd.DataFrame(self.scores)),
            "What the data cannot tell of the models": Sentences(tuple(self._data_findings())),
        }
        return View(
            title,
            (
                Facts(tuple(self._facts())),
                Sentences(tuple(self._proposed_findings()), ".fit.diagnostics.findings"),
                Table.of(pd.DataFrame(self.table[columns]), ".table", spare=("log_likelihood",)),
                Table.of(self._by_model(), ".estimands"),
                *(Folded(heading, part) for heading, part in folded.items()),
            ),
        )

    @property
    def _iccs(self) -> list[str]:
        return [name for name in self.table.columns if name.startswith("icc_")]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "proposed", self.formula
        if self.interrupted:
            yield "stopped", "interrupted before all steps were made: the proposal is that of the steps so far"
        if self.supported:
            slopes = "; ".join(f"{slope} ({why})" for slope, why in self.supported.items())
            yield "undecided", f"supported by the tests, not by the fits; hl.NUTS() can estimate them: {slopes}"
        proposed = [group.name for group in self.fit.model.design.groups]
        for name, clusters in self.levels.items():
            left_out = [] if name in proposed else ["not in the proposed model"]
            yield name, "; ".join([f"{clusters:,} clusters", *self._related(name), *left_out])
        alpha = f"p < {self.settings['alpha']:g}"
        screened = f" of those with a score test of {alpha}" if self.scores is not None else ""
        yield "rule", f"levels and predictors are kept as planned, slopes where the adjusted {alpha}{screened}"
        if self.not_tried:
            name, why = next(iter(self.not_tried.items()))
            more = f" and {len(self.not_tried) - 1:,} more" if len(self.not_tried) > 1 else ""
            yield "not tried", f"{name} ({why}){more}: .not_tried"
        if self.maximal:
            yield (
                "all slopes",
                f"if theory or the design calls for them, with hl.NUTS(): {self.maximal}",
            )

    def _related(self, name: str) -> Iterator[str]:
        """How a factor is related to others, and what to write if labels of crossed factors are repeated."""
        related = self.relations[self.relations["factor"] == name]
        for other, kind, description in related[["other", "kind", "description"]].itertuples(index=False):
            nested = f", or nested if labels are repeated: {other}/{name} or {name}/{other}"
            yield f"{description}{nested if kind == 'crossed' else ''}"

    def _by_model(self) -> pd.DataFrame:
        """Estimates by quantity and kept model: those the user named, or the coefficients, which need no draws."""
        if self._estimand is not None and not self.interrupted:
            estimates = self.estimands["estimate"]
        else:
            tables = {name: coefficients(self.fits[name], self.ci_prob)["estimate"] for name in self.kept}
            estimates = pd.concat(tables, names=["model"])
        labels = dict.fromkeys(estimates.index.get_level_values("quantity"))
        values = pd.DataFrame(estimates).pivot_table(values="estimate", index="quantity", columns="model")
        values = values.reindex(index=list(labels), columns=[name for name in self.kept if name in values.columns])
        return values.set_axis(pd.MultiIndex.from_product([["estimate"], values.columns]), axis=1)

    def _proposed_findings(self) -> Iterator[str]:
        """Findings of the proposed fit, then warnings about the data on the way to it, such as few clusters."""
        of_fit = self.fit.diagnostics.findings
        yield from map(str, of_fit)
        known = {finding.code for finding in of_fit}
        for name in self.kept:
            yield from (str(one) for one in self.findings[name] if one.severity != "note" and one.code not in known)

    def _data_findings(self) -> Iterator[str]:
        for name, findings in self.findings.items():
            yield from (f"{name}: {finding}" for finding in findings)
