"""What a model of shards is: its formula, what is learned from the shards, and the sums over them."""

from __future__ import annotations

import secrets
import weakref
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..design.row_counts import GaussRule
from ..design.table import rows_dropped, warn_of_data
from ..design.training_rows import check_known_names, training_rows
from ..display import Facts, Shown, View
from ..engines.maximum.integrator import integrator
from ..engines.maximum.objective import Objective
from ..errors import DataWarning, DesignError, unsaid
from ..formula.parser import parse
from ..model_spec import ModelSpec
from ..parallel.tasks import all_results
from ..parallel.workers import AnyExecutor, check_executor
from ..priors.defaults import resolve_priors
from ..validation import number_of
from .common_columns import CommonColumns
from .crossed import CrossedSums
from .folder import Manifest, read_shard
from .moments import joined
from .objective import ShardedObjective, Sums, whole_design
from .opened import Describe, Recipe, ShardDesign, forget
from .rows import ShardRows, check_formula, learned_from, transformed_columns

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..formula.terms import Formula
    from ..priors.defaults import Priors


@dataclass(frozen=True)
class _Read:
    """Task that counts the rows of a shard and chooses those that are learned from."""

    folder: Path
    manifest: Manifest
    formula: Formula

    def __call__(self, number: int) -> ShardRows:
        frame = read_shard(self.folder, self.manifest, number, self.formula.columns)
        return ShardRows.of(frame, self.formula, self.manifest.group)


class ShardedSpec(Shown):
    """Formula, design and sums over shards of a model, without the method that fits it.

    Attributes
    ----------
    folder : pathlib.Path
    manifest : Manifest
    rows : int
        Complete rows.
    """

    folder: Path
    manifest: Manifest
    rows: int
    #: The model of the rows that the encoding is learned from, and that of `whole_design`.
    _reference: ModelSpec
    _spec: ModelSpec
    _parts: list[ShardDesign]
    _missing: int
    #: Factors with a single trial in each cluster.
    _single_trials: list[GroupBlock]
    _sums: Sums

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        formula: str,
        priors: Mapping[str, Any] | None,
        executor: AnyExecutor | None,
    ) -> None:
        check_executor(executor)
        parsed = parse(formula)
        check_known_names(parsed, list(manifest.schema), None)
        check_formula(parsed, manifest.group)
        read = all_results(
            _Read(folder.absolute(), manifest, parsed), range(len(manifest.shards)), executor, "Reading shards"
        )
        missing = _say_missing(list(read.values()), manifest.rows)
        numbers = tuple(number for number, one in read.items() if one.used)
        reference = _reference(parsed, [read[number] for number in numbers], manifest.group)
        common = CommonColumns.of(reference.design, manifest.group)
        recipe = Recipe.of(secrets.token_hex(16), folder.absolute(), manifest, reference)
        places: dict[int, str] = {}
        described = all_results(Describe(recipe), numbers, executor, "Encoding shards", places=places)
        parts = list(described.values())
        design = whole_design(reference.design, parts, common.factors)
        triangular = joined([part.X for part in parts]).triangular
        sums = Sums(recipe, numbers, triangular, None, places=places)
        if common.factors:
            sums = CrossedSums(recipe, numbers, triangular, None, places=places, common=common)
        self.__dict__.update(
            folder=folder,
            manifest=manifest,
            _spec=reference.with_design(design, resolve_priors(design, priors)),
            rows=sum(part.X.rows for part in parts),
            _reference=reference,
            _parts=parts,
            _missing=missing,
            _single_trials=_single_trials(design.groups, parts, common.factors),
            _sums=sums,
        )
        weakref.finalize(self, forget, recipe.token)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a ShardedModel is immutable: make a new one instead of setting '{name}'.")

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Formula, event, rows and clusters, for views of the model and its fits."""
        parts = self._parts
        design, event = self._spec.design, self._spec.design.outcome.event
        events, trials = (sum(getattr(part, name) for part in parts) for name in ("events", "trials"))
        unit = "trials" if design.outcome.binomial else "rows"
        clusters = [("clusters", f"{one.name}: {len(one.levels):,}; varying {one.varying}") for one in design.groups]
        gone = self._missing
        rows = f"{self.rows:,} in {number_of(len(parts), 'shard')}" + (f" ({gone:,} more dropped)" if gone else "")
        return (
            ("formula", self._spec.formula.line),
            ("event", f"{event}: {events:,.0f} of {trials:,.0f} {unit}"),
            ("rows", rows),
            ("shards", f"{self.folder}, divided by {self.manifest.group}"),
            *clusters,
        )

    def objective(self, nodes: int, executor: AnyExecutor | None, *, penalised: bool) -> ShardedObjective:
        """What a search over the shards maximises, by quadrature with `nodes` nodes in each dimension.

        Raises
        ------
        EngineError
            If quadrature with more than one node cannot integrate out the random effects.
        """
        reference = self._reference
        likelihood = integrator(reference.design, nodes)(reference.arrangement)
        of_reference = Objective(reference, likelihood, penalised=penalised)
        return ShardedObjective(self._spec, of_reference, self._single_trials, self._sums.by(executor), nodes)

    @property
    def priors(self) -> Priors:
        """Priors of all parameters, which `hierlogit.MAP` uses."""
        return self._spec.priors

    def stated_priors(self) -> tuple[tuple[str, str], ...]:
        """Label and prior of each parameter, for views of the model and its fits."""
        return self._spec.stated_priors()

    def _view(self) -> View:
        columns = ", ".join(self._spec.design.fixed_effects) or "none"
        fixed = ("fixed", f"{len(self._spec.design.fixed_effects):,} columns: {columns}")
        priors = Facts(self.stated_priors(), "priors", ".priors")
        return View("Mixed-effects logistic regression of shards", (Facts((*self.facts(), fixed)), priors))


def _single_trials(
    groups: Sequence[GroupBlock], parts: Sequence[ShardDesign], crossing: Collection[int]
) -> list[GroupBlock]:
    """The factors with a single trial in each cluster; clusters of those that cross the shards are in several."""
    trials = sum(part.trials for part in parts)
    return [
        group
        for g, group in enumerate(groups)
        if (trials <= len(group.levels) if g in crossing else max(part.most_trials[g] for part in parts) <= 1)
    ]


def _say_missing(read: list[ShardRows], total: int) -> int:
    """Warn of the rows that are left out; returns their number.

    Raises
    ------
    DesignError
        If no row is left.
    """
    by_column: Counter[str] = Counter()
    for one in read:
        by_column.update(one.missing_by_column)
    missing, untried = sum(one.missing for one in read), sum(one.untried for one in read)
    where = ", ".join(f"{name} ({count:,})" for name, count in sorted(by_column.items()))
    if not any(one.used for one in read):
        raise DesignError(
            f"every row has a missing value, in {where}. Fill them, or leave a column out of the formula."
        )
    for count, what in ((missing, f"missing values in {where}"), (untried, "no trials")):
        if count:
            warn_of_data(rows_dropped(count, total, what))
    return missing + untried


def _reference(formula: Formula, read: list[ShardRows], group: str) -> ModelSpec:
    """The model of the rows that are learned from.

    Raises
    ------
    DesignError
        If they do not fit the formula, or columns depend on each other.
    """
    together = pd.concat([one.kept for one in read], ignore_index=True)
    with unsaid(DataWarning):
        table = training_rows(formula, learned_from(together, formula, group), "drop", None, None, "binomial")
    rules = {
        column: reduce(GaussRule.joined, [one.rules[column] for one in read])
        for column in transformed_columns(formula)
        if all(column in one.rules for one in read)
    }
    model = ModelSpec.from_parts(formula.text, replace(table, rules=rules))
    for where, why in model.design.drops:
        raise DesignError(
            f"in {where}, {why}: the rows cannot tell these effects apart, at least not the "
            f"{len(table.frame):,} rows that the encoding of shards is learned from. Leave a term out of the formula, "
            "or merge rare levels."
        )
    return model
