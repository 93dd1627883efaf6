"""Formula, design and priors of a model as one immutable value, with the names and dimensions of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .design.design import Design, build_design, design_of_rows
from .design.grouping import GroupBlock
from .design.table import Missing, TrainingTable
from .formula.parser import parse
from .formula.terms import Formula
from .priors.defaults import Priors, resolve_priors

if TYPE_CHECKING:
    from .design.arrangement import Arrangement

#: Names in results that neither a grouping factor nor an outcome may take.
RESERVED_NAMES = frozenset(
    {"chain", "draw", "sample", "obs", "fixed_effect", "slope", "beta", "intercept_at_means", "slopes_scaled"}
    | {"trials", "offset"}
)


class ModelSpec:
    """What a model is: formula, design and priors, without the ways of fitting it that `hierlogit.Model` adds.

    Engines, densities and fits take this; its parameters are those of `hierlogit.Model`.

    Attributes
    ----------
    formula : Formula
    design : Design
    priors : Priors
    namespace : mapping of str to object
    """

    formula: Formula
    design: Design
    priors: Priors
    namespace: Mapping[str, Any]

    def __init__(
        self,
        formula: str,
        data: Any,
        *,
        priors: Mapping[str, Any] | None = None,
        missing: Missing = "drop",
        namespace: Mapping[str, Any] | None = None,
    ) -> None:
        parsed = parse(formula)
        design = build_design(parsed, data, missing=missing, namespace=namespace)
        self._set(parsed, design, resolve_priors(design, priors), namespace)

    def _set(self, formula: Formula, design: Design, priors: Priors, namespace: Mapping[str, Any] | None) -> None:
        values = {
            "formula": formula,
            "design": design,
            "priors": priors,
            "namespace": MappingProxyType(dict(namespace or {})),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_parts(
        cls, formula: str, table: TrainingTable, priors: Priors, namespace: Mapping[str, Any] | None = None
    ) -> Self:
        """Model of rows that were cleaned before with priors that were resolved before, as a saved fit holds them."""
        model = cls.__new__(cls)
        parsed = parse(formula)
        model._set(parsed, design_of_rows(parsed, table, namespace), priors, namespace)
        return model

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Model is immutable: make a new one instead of setting '{name}'.")

    def __reduce__(self) -> tuple[object, ...]:
        # What formulae learned holds modules and functions that pickle refuses; formula and rows rebuild it.
        return (type(self).from_parts, (self.formula.text, self.design.table, self.priors, dict(self.namespace)))

    def with_priors(self, priors: Mapping[str, Any]) -> Self:
        """The same formula and rows with these priors in place of the model's; those not named stay as they are."""
        model = type(self).__new__(type(self))
        model._set(self.formula, self.design, resolve_priors(self.design, priors, self.priors), self.namespace)
        return model

    def with_outcome(self, y: Any) -> Self:
        """The same rows, formula and priors with other outcomes, as a simulation makes them.

        Parameters
        ----------
        y : array_like, shape (n,)
            Successes of each row, from 0 to its trials.

        Returns
        -------
        Model

        Raises
        ------
        DesignError
            If a number is no count of successes.

        Examples
        --------
        >>> import hierlogit as hl
        >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
        >>> turned = model.with_outcome(1 - model.design.outcome.y)
        >>> model.design.outcome.y.sum() + turned.design.outcome.y.sum()
        np.float64(220.0)
        """
        design = self.design.with_outcome(y)
        model = type(self).__new__(type(self))
        model._set(self.formula, design, self.priors, self.namespace)
        if "arrangement" in self.__dict__:
            counted = self.arrangement.with_counts(design.outcome.y, design.outcome.trials)
            model.__dict__["arrangement"] = counted
        return model

    def silenced(self, rows: npt.NDArray[np.bool_]) -> Self:
        """The same model, to which some rows say nothing, shape (n,), as if they had no trials.

        For engines, which read its `arrangement`: no file can hold it.
        """
        outcome = self.design.outcome
        y, trials = outcome.y * ~rows, outcome.trials * ~rows
        design = replace(self.design, outcome=replace(outcome, y=y, trials=trials))
        model = type(self).__new__(type(self))
        model._set(self.formula, design, self.priors, self.namespace)
        model.__dict__["arrangement"] = self.arrangement.with_counts(y, trials)
        return model

    @cached_property
    def arrangement(self) -> Arrangement:
        """Rows sorted and indexed for compiled code, once for all fits of this model."""
        from .design.arrangement import arrange

        return arrange(self.design)

    @property
    def coords(self) -> dict[str, Any]:
        """Labels of every dimension a result can have."""
        design = self.design
        coords: dict[str, Any] = {
            "obs": design.table.rows.to_numpy(),
            "fixed_effect": list(design.fixed_effects),
        }
        for group in design.groups:
            coords[self.dim(group)] = group.levels
            coords[self.effect_dim(group)] = list(group.effects)
            if group.correlated:
                coords[f"{self.effect_dim(group)}_bis"] = list(group.effects)
        return coords

    def dim(self, group: GroupBlock) -> str:
        """Dimension of the clusters of `group`: its name, changed where results use that name for another thing."""
        taken = {*self._taken_names, self.outcome_name}
        dim = group.result_name
        if dim not in taken:
            return dim
        taken.update(other.result_name for other in self.design.groups)
        while dim in taken:
            dim += "_level"
        return dim

    def effect_dim(self, group: GroupBlock) -> str:
        """Dimension of the effects that vary over the clusters of `group`."""
        return f"{group.result_name}_effect"

    @property
    def outcome_name(self) -> str:
        """Name of the outcome in results: its column, unless results use that name for another thing."""
        name = self.design.outcome.name.replace("/", "|")
        return "outcome" if name in self._taken_names or name == "." else name

    @property
    def _taken_names(self) -> frozenset[str]:
        """Names of variables and dimensions of results and of the PyMC graph, but those of clusters and outcome."""
        of_group = ("b_{}", "u_{}", "sd_{}", "cor_{}", "chol_cor_{}", "{}_effect", "{}_effect_bis", "{}_of_obs")
        of_set = ("chol_cor_{}_{}", "{}_effect_{}", "{}_effect_{}_bis", "tau_{}_{}", "shares_{}_{}")
        names = {f"slopes_scaled[{label}]" for label in self.design.fixed_effects}
        for group in self.design.groups:
            names.update(pattern.format(group.result_name) for pattern in of_group)
            names.update(pattern.format(group.result_name, k) for pattern in of_set for k in range(len(group.sets)))
            names.update(f"sd_{group.result_name}[{effect}]" for effect in group.effects)
        return RESERVED_NAMES.union(names)

    def _facts(self) -> list[tuple[str, str]]:
        design, outcome = self.design, self.design.outcome
        events, trials = int(outcome.y.sum()), int(outcome.trials.sum())
        unit = "trials" if outcome.binomial else "rows"
        facts = [
            ("formula", self.formula.line),
            ("event", f"{outcome.event}: {events:,} of {trials:,} {unit}"),
            ("rows", f"{design.n_rows:,}{self._dropped()}"),
        ]
        for group in design.groups:
            sizes = np.bincount(group.index)
            facts.append(
                (
                    "clusters",
                    f"{group.name}: {len(group.levels):,}, of {sizes.min():,} to {sizes.max():,} rows "
                    f"(median {np.median(sizes):g}); {_varying(group)}",
                )
            )
        return facts

    def _dropped(self) -> str:
        table = self.design.table
        if not table.n_missing:
            return ""
        where = ", ".join(f"{name} {count}" for name, count in table.missing_by_column.items())
        return f" ({table.n_missing:,} more dropped for missing values: {where})"

    def _prior_rows(self) -> list[tuple[str, str]]:
        centred = self.design.has_intercept and len(self.design.fixed_effects) > 1
        note = " (at the predictors' means)" if centred else ""
        return [
            (f"{label}{note}" if label == "Intercept" else label, text)
            for label, text in self.priors.table(self.design)
        ]

    def __repr__(self) -> str:
        priors = self._prior_rows()
        width = max((len(label) for label, _ in priors), default=0)
        return "\n".join(
            [self.without_priors(), "  priors", *(f"    {label:<{width}}  {text}" for label, text in priors)]
        )

    def without_priors(self) -> str:
        """What the model is, without its priors, which a likelihood does not use."""
        title = "Mixed-effects logistic regression" if self.design.groups else "Logistic regression"
        return "\n".join([title, *(f"  {label:<9} {text}" for label, text in self._facts())])

    def _repr_html_(self) -> str:
        title = "Mixed-effects logistic regression" if self.design.groups else "Logistic regression"
        return (
            f"<div><strong>{title}</strong>{_html_table(self._facts())}"
            f"<details open><summary>Priors</summary>{_html_table(self._prior_rows())}</details></div>"
        )


def _varying(group: GroupBlock) -> str:
    def braces(members: tuple[int, ...]) -> str:
        inside = ", ".join(group.effects[i] for i in members)
        return f"{{{inside}}} correlated" if len(members) > 1 else inside

    return "varying " + ", ".join(braces(members) for members in group.sets)


def _html_table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(label)}</th>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for label, text in rows
    )
    return f"<table>{cells}</table>"
