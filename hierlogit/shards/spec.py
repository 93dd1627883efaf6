"""What a model of shards is: its formula, what is learned from the shards, and the sums over them."""

from __future__ import annotations

import hashlib
import json
import secrets
import weakref
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..design.design import COLLINEAR_CHOICES, say_dropped_columns
from ..design.table import rows_dropped, warn_of_data
from ..design.training_rows import check_known_names, training_rows
from ..display import Facts, Shown, View
from ..engines.maximum.integrator import integrator
from ..engines.maximum.objective import Objective
from ..errors import DataWarning, DesignError, unsaid
from ..fits.findings import Finding
from ..fits.identification import contradicting_priors, findings_of_columns, single_trials_finding
from ..formula.parser import parse
from ..model_spec import ModelSpec
from ..parallel.tasks import all_results
from ..parallel.workers import AnyExecutor, check_executor
from ..priors.defaults import resolve_priors
from ..validation import choice, number_of
from .common_columns import CommonColumns
from .crossed import CrossedSums
from .folder import Manifest, read_shard
from .learning import Learning
from .moments import joined
from .objective import ShardedObjective, Sums, whole_design
from .opened import Describe, Recipe, ShardDesign, forget
from .rows import ShardRows, answers_of, check_formula, learned_from

if TYPE_CHECKING:
    from ..design.design import Collinear
    from ..design.grouping import GroupBlock
    from ..priors.defaults import Priors


@dataclass(frozen=True)
class _Shard:
    """A shard whose rows tasks take.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    learning : Learning
        What is asked of its rows.
    """

    folder: Path
    manifest: Manifest
    learning: Learning

    def frame(self, number: int) -> pd.DataFrame:
        """The columns of the formula."""
        return read_shard(self.folder, self.manifest, number, self.learning.formula.columns)

    @contextmanager
    def naming(self, number: int) -> Iterator[None]:
        """Context in which errors about rows name the file that has them."""
        try:
            yield
        except DesignError as error:
            raise DesignError(f"in {self.manifest.shards[number].file}, {error}") from error


class _Read(_Shard):
    """Task that counts the rows of a shard, chooses those that the encoding is learned from, and asks."""

    def __call__(self, number: int) -> ShardRows:
        frame = self.frame(number)
        with self.naming(number):
            return ShardRows.of(frame, self.learning, self.manifest.group)


class _Ask(_Shard):
    """Task that asks a shard again."""

    def __call__(self, number: int) -> dict[str, Any]:
        frame = self.frame(number)
        with self.naming(number):
            return answers_of(frame, self.learning, self.manifest.group)


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
        collinear: Collinear,
        executor: AnyExecutor | None,
    ) -> None:
        check_executor(executor)
        choice("collinear", collinear, COLLINEAR_CHOICES, DesignError)
        location, parsed = folder.absolute(), parse(formula)
        check_known_names(parsed, list(manifest.schema), None)
        check_formula(parsed, manifest.group)
        learning = Learning.of(parsed, list(manifest.schema), manifest.group)
        every = range(len(manifest.shards))
        read = all_results(_Read(location, manifest, learning), every, executor, "Reading shards")
        missing = _say_missing(list(read.values()), manifest.rows)
        numbers = tuple(number for number, one in read.items() if one.used)
        learning = learning.after([read[number].answers for number in numbers])
        while learning.questions:
            answers = all_results(_Ask(location, manifest, learning), numbers, executor, "Learning from shards")
            learning = learning.after(list(answers.values()))
        reference = _reference(learning, [read[number].kept for number in numbers], manifest.group)
        resolve_priors(reference.design, priors)  # wrong ones are refused before the shards are read again
        common = CommonColumns.of(reference.design, manifest.group)
        recipe = Recipe.of(secrets.token_hex(16), location, manifest, reference)
        places: dict[int, str] = {}
        described = all_results(Describe(recipe), numbers, executor, "Encoding shards", places=places)
        say_dropped_columns(reference.design, collinear)  # of all rows, since all of them could be encoded
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
        dropped = [("dropped", f"from {where}: {why}") for where, why in design.drops]
        gone = self._missing
        rows = f"{self.rows:,} in {number_of(len(parts), 'shard')}" + (f" ({gone:,} more dropped)" if gone else "")
        return (
            ("formula", self._spec.formula.line),
            ("event", f"{event}: {events:,.0f} of {trials:,.0f} {unit}"),
            ("rows", rows),
            ("shards", f"{self.folder}, divided by {self.manifest.group}"),
            *clusters,
            *dropped,
        )

    def objective(self, nodes: int, executor: AnyExecutor | None, *, penalised: bool) -> ShardedObjective:
        """What a search over the shards maximises, by quadrature with `nodes` nodes in each dimension.

        Raises
        ------
        EngineError
            If quadrature with more than one node cannot integrate out the random effects.
        """
        reference = self._reference
        likelihood = integrator(reference.design, nodes, "hl.Laplace() and hl.MAP()")(reference.arrangement)
        of_reference = Objective(reference, likelihood, penalised=penalised)
        return ShardedObjective(self._spec, of_reference, self._single_trials, self._sums.by(executor), nodes)

    def whole(self) -> ModelSpec:
        """The model with the numbers of clusters and the moments of the columns of all rows, as of `whole_design`."""
        return self._spec

    def sums_by(self, executor: AnyExecutor | None, what: str) -> Sums:
        """What evaluates the shards, by an executor, under a progress bar with the text `what`."""
        return self._sums.by(executor, what)

    @property
    def crossing(self) -> tuple[str, ...]:
        """The factors that cross the shards."""
        return self._sums.crossing

    def study(self, engine: str, *, penalised: bool) -> dict[str, Any]:
        """What identifies a fit by an engine with some options: a file of rounds of another one is refused."""
        moments = hashlib.sha256()
        for numbers in (self._sums.triangular, *(group.column_sds for group in self._spec.design.groups)):
            # The last digits can differ between machines.
            moments.update(" ".join(f"{value:.6g}" for value in numbers.ravel()).encode())
        manifest = json.dumps(asdict(self.manifest), sort_keys=True, default=str)
        counts = [self.rows, *(len(group.levels) for group in self._spec.design.groups)]
        totals = [float(sum(getattr(part, name) for part in self._parts)) for name in ("events", "trials")]
        return {
            "formula": self._spec.formula.text,
            "engine": engine,
            "priors": dict(self.stated_priors()) if penalised else {},
            "shards": hashlib.sha256(manifest.encode()).hexdigest(),
            "rows": [*counts, *totals],
            "moments": moments.hexdigest(),
        }

    def findings_of_columns(self, *, penalised: bool) -> Iterator[Finding]:
        """What the rows cannot tell, and priors that contradict each other, as far as moments and counts show it."""
        single = [group.name for group in self._single_trials]
        yield from map(single_trials_finding, self._single_trials)
        for group in self._spec.design.groups:
            if group.name not in single:
                yield from findings_of_columns(group)
                if penalised:
                    yield from contradicting_priors(group, self._spec.priors.sd[group.name])

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


def _reference(learning: Learning, kept: Sequence[pd.DataFrame], group: str) -> ModelSpec:
    """The model of the rows that the encoding is learned from, with what was learned from all rows.

    Raises
    ------
    DesignError
        If they do not fit the formula.
    """
    formula = learning.formula
    together = pd.concat(kept, ignore_index=True)
    with unsaid(DataWarning):
        table = training_rows(formula, learned_from(together, formula, group), "drop", None, None, "binomial")
    return ModelSpec.from_parts(formula.text, replace(table, rules=learning.rules))
