"""Formula, design and priors of a model as an immutable value, with the names and dimensions of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .design.design import Collinear, Design, build_design, design_of_rows
from .design.grouping import GroupBlock
from .design.outcome import Family, known_family
from .design.table import Missing, TrainingTable
from .display import Facts, Shown, View
from .foreign_options import refuse_options
from .formula.parser import parse
from .formula.terms import Formula
from .priors.defaults import Priors, resolve_priors

if TYPE_CHECKING:
    from .design.arrangement import Arrangement
    from .design.weights import Weights

#: Names in results that neither a grouping factor nor an outcome may take.
RESERVED_NAMES = frozenset(
    {"chain", "draw", "sample", "obs", "fixed_effect", "slope", "beta", "intercept_at_means", "slopes_scaled"}
    | {"trials", "offset"}
)


class ModelSpec(Shown):
    """Formula, design and priors of a model, without the methods for fitting that `hierlogit.Model` adds.

    Engines, densities and fits take this class. Its parameters are those of `hierlogit.Model`.

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
        collinear: Collinear = "drop",
        namespace: Mapping[str, Any] | None = None,
        weights: Weights | None = None,
        family: Family = "binomial",
        **others: Any,
    ) -> None:
        refuse_options("hl.Model", others, ("priors", "missing", "collinear", "namespace", "weights", "family"))
        parsed, family = parse(formula), known_family(family)
        design = build_design(
            parsed, data, missing=missing, collinear=collinear, namespace=namespace, weights=weights, family=family
        )
        self._set(parsed, design, resolve_priors(design, priors), namespace)
        self._warn()

    def _warn(self) -> None:
        """Warnings about the data, which `hierlogit.Model` gives."""

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
        cls,
        formula: str,
        table: TrainingTable,
        priors: Priors | None = None,
        namespace: Mapping[str, Any] | None = None,
        family: Family = "binomial",
    ) -> Self:
        """A model from rows that are already cleaned, as in a saved fit, with priors already resolved or the defaults.

        Models of the same cleaned rows can be compared even where their formulas need different columns.
        """
        model = cls.__new__(cls)
        parsed = parse(formula)
        design = design_of_rows(parsed, table, namespace, family)
        model._set(parsed, design, resolve_priors(design, None) if priors is None else priors, namespace)
        return model

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Model is immutable: make a new one instead of setting '{name}'.")

    def __reduce__(self) -> tuple[object, ...]:
        # The encodings learned by formulae hold modules and functions, which cannot be pickled; formula and rows
        # rebuild them.
        parts = (self.formula.text, self.design.table, self.priors, dict(self.namespace), self.family)
        return (type(self).from_parts, parts)

    def with_priors(self, priors: Mapping[str, Any]) -> Self:
        """The model with some of its priors replaced; those not named stay as they are."""
        model = type(self).__new__(type(self))
        model._set(self.formula, self.design, resolve_priors(self.design, priors, self.priors), self.namespace)
        return model

    def with_outcome(self, y: Any) -> Self:
        """The model with other outcomes, such as simulated ones, for the same rows.

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
            If a value is not a whole number from 0 to the trials of its row.

        Examples
        --------
        >>> import hierlogit as hl
        >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
        >>> reversed_model = model.with_outcome(1 - model.design.outcome.y)
        >>> model.design.outcome.y.sum() + reversed_model.design.outcome.y.sum()
        np.float64(220.0)
        """
        model = self.with_design(self.design.with_outcome(y))
        if "arrangement" in self.__dict__:
            model.__dict__["arrangement"] = self.arrangement.with_outcome(model.design.outcome)
        return model

    def with_design(self, design: Design, priors: Priors | None = None) -> Self:
        """The model with another design of the same formula, such as that of other rows; it cannot be saved.

        Its priors are the same, unless others are given.
        """
        model = type(self).__new__(type(self))
        model._set(self.formula, design, self.priors if priors is None else priors, self.namespace)
        return model

    def silenced(self, rows: npt.NDArray[np.bool_]) -> Self:
        """The model with zero trials in the rows where `rows`, shape (n,), is true, so that they do not count.

        It is for engines, which read its `arrangement`; it cannot be saved.
        """
        model = self.with_design(replace(self.design, outcome=self.design.outcome.silenced(rows)))
        model.__dict__["arrangement"] = self.arrangement.with_outcome(model.design.outcome)
        return model

    @property
    def weights(self) -> Weights | None:
        """Frequency or sampling weights of the rows, or None."""
        return self.design.table.weights

    @cached_property
    def arrangement(self) -> Arrangement:
        """Rows sorted and indexed for compiled code, computed once for all fits of this model."""
        from .design.arrangement import arrange

        return arrange(self.design)

    @property
    def family(self) -> Family:
        """Distribution of the outcomes: ``"binomial"`` or ``"betabinomial"``."""
        return self.design.outcome.family

    @property
    def overdispersed(self) -> bool:
        """Whether the outcomes are beta-binomial, with the parameter ``phi``."""
        return self.family == "betabinomial"

    @property
    def coords(self) -> dict[str, Any]:
        """Labels of all dimensions that results can have."""
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
        """Dimension of the clusters of `group`: its name, with a suffix if results use that name otherwise."""
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

    def set_suffix(self, group: GroupBlock, k: int) -> str:
        """End of the names of the k-th of several sets of effects of `group`, ``_k`` unless it gives another factor."""
        others = {other.result_name for other in self.design.groups}
        suffix = f"_{k}"
        while f"{group.result_name}{suffix}" in others:
            suffix = f"_{suffix}"
        return suffix

    @property
    def outcome_name(self) -> str:
        """Name of the outcome in results: its column, or ``outcome`` if results use that name otherwise."""
        name = self.design.outcome.name.replace("/", "|")
        return "outcome" if name in self._taken_names or name == "." or name.endswith("__") else name

    @cached_property
    def _taken_names(self) -> frozenset[str]:
        """Names of variables and dimensions in results and in the PyMC graph, except those of clusters and outcome."""
        of_group = ("b_{}", "u_{}", "sd_{}", "cor_{}", "chol_cor_{}", "{}_effect", "{}_effect_bis", "{}_of_obs")
        of_set = ("chol_cor_{}{}", "{}_effect{}", "{}_effect{}_bis", "tau_{}{}", "shares_{}{}")
        names = {f"slopes_scaled[{label}]" for label in self.design.fixed_effects}
        names.update(["phi"] if self.overdispersed else [])
        for group in self.design.groups:
            names.update(pattern.format(group.result_name) for pattern in of_group)
            ends = [self.set_suffix(group, k) for k in range(len(group.sets))]
            names.update(pattern.format(group.result_name, end) for pattern in of_set for end in ends)
            names.update(f"sd_{group.result_name}[{effect}]" for effect in group.effects)
        return RESERVED_NAMES.union(names)

    @property
    def kind(self) -> str:
        """Kind of the model, as text."""
        name = "Mixed-effects logistic regression" if self.design.groups else "Logistic regression"
        return f"{name} with beta-binomial outcomes" if self.overdispersed else name

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Formula, event, rows and clusters, for views of the model and its fits."""
        return (("formula", self.formula.line), *self.design.facts())

    def stated_priors(self) -> tuple[tuple[str, str], ...]:
        """Label and prior of each parameter, for views of the model and its fits."""
        centred = self.design.has_intercept and len(self.design.fixed_effects) > 1
        note = " (at the predictors' means)" if centred else ""
        rows = self.priors.table(self.design)
        return tuple((f"{label}{note}" if label == "Intercept" else label, text) for label, text in rows)

    def _view(self) -> View:
        return View(self.kind, (Facts(self.facts()), Facts(self.stated_priors(), "priors", ".priors")))
