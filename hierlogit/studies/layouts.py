"""The class `Layout`: clusters and predictors of a planned study, without outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Facts, Shown, View
from ..errors import StudyError
from ..validation import (
    agree,
    as_float,
    mapping,
    number_array,
    number_of,
    quoted_list,
    real_number,
    reason_of,
    seed_or_none,
    shortened,
    unknown_names,
    whole_number,
)

IntArray = npt.NDArray[np.int64]
#: Clusters of all factors, or rows, that a layout can have at most.
LARGEST_TABLE = 100_000_000
#: Distributions by name: the largest number of arguments, and a function that draws values.
DISTRIBUTIONS: dict[str, tuple[int, Callable[..., npt.NDArray[Any]]]] = {
    "normal": (2, lambda random, count, mean=0.0, sd=1.0: random.normal(mean, sd, count)),
    "uniform": (2, lambda random, count, low=0.0, high=1.0: random.uniform(low, high, count)),
    "bernoulli": (1, lambda random, count, p=0.5: random.binomial(1, p, count)),
    "poisson": (1, lambda random, count, mean=1.0: random.poisson(mean, count)),
    "exponential": (1, lambda random, count, mean=1.0: random.exponential(mean, count)),
    "lognormal": (2, lambda random, count, mean=0.0, sd=1.0: random.lognormal(mean, sd, count)),
}


@dataclass(frozen=True, repr=False)
class Layout(Shown):
    """Clusters, cluster sizes and predictors of a planned study, before its outcomes are known.

    Parameters
    ----------
    clusters : mapping of str to int
        Number of clusters of each grouping factor. Separate factors are crossed: each cluster of one is combined with
        each of the other. ``"school/class": 4`` nests four classes in each school, all with different labels.
    size : int, (int, int), list of int, or callable
        Rows of each innermost cluster, or of each combination of crossed clusters: a number; a smallest and a largest
        size, between which sizes are drawn uniformly; a list of sizes, used in turn; or a function of a
        `numpy.random.Generator` and a count that returns sizes.
    predictors : mapping of str to object
        Columns whose values differ between rows. Each is one of the following: a number, for all rows; a list, whose
        values are used in turn within each cluster (``[0, 1, 3, 6]`` for times of visits); probabilities of levels,
        ``{"girl": 0.5, "boy": 0.5}``, the first level being the reference; a distribution, by name or with its
        arguments, ``"normal"`` or ``("normal", 50, 10)``: normal and lognormal (mean and sd), uniform (low, high),
        bernoulli (probability), poisson and exponential (mean); or a function of a `numpy.random.Generator` and a count
        that returns values.
    cluster_predictors : mapping of str to mapping
        By grouping factor, columns whose values differ only between its clusters, specified in the same way. The values
        of a list are assigned to the clusters in turn: ``["control", "new"]`` gives two arms of equal size.

    Raises
    ------
    StudyError
        If an argument is not of one of these forms.

    Examples
    --------
    >>> import hierlogit as hl
    >>> layout = hl.Layout(
    ...     {"school": 3, "school/class": 2},
    ...     size=20,
    ...     predictors={"sex": {"girl": 0.5, "boy": 0.5}},
    ...     cluster_predictors={"school": {"arm": ["control", "new"]}},
    ... )
    >>> layout.table(seed=1).groupby(["school", "arm", "class"], observed=True).size().reset_index(name="rows")
       school      arm  class  rows
    0       1  control      1    20
    1       1  control      2    20
    2       2      new      3    20
    3       2      new      4    20
    4       3  control      5    20
    5       3  control      6    20
    """

    clusters: Mapping[str, int]
    size: Any = 1
    predictors: Mapping[str, Any] = field(default_factory=dict)
    cluster_predictors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clusters = mapping("clusters", self.clusters, StudyError, "numbers of clusters by name, {'school': 30}")
        predictors = mapping("predictors", self.predictors, StudyError, "columns by name, {'age': 'normal'}")
        what = "columns by grouping factor and name, {'school': {'size': 'normal'}}"
        cluster_predictors = {
            name: mapping(f"cluster_predictors['{name}']", columns, StudyError, "columns by name")
            for name, columns in mapping("cluster_predictors", self.cluster_predictors, StudyError, what).items()
        }
        if not clusters:
            raise StudyError("clusters is empty: a layout needs numbers of clusters by name, such as {'school': 30}.")
        counts = {
            name: whole_number(f"clusters['{name}']", count, StudyError, least=1) for name, count in clusters.items()
        }
        known: list[str] = []
        for name in clusters:
            parent, factor = _parent(name)
            if not factor:
                raise StudyError(
                    f"clusters: '{name}' does not name a grouping factor. Write 'school', or 'school/class'."
                )
            if parent is not None and parent not in known:
                raise StudyError(
                    f"clusters: '{name}' is nested in '{parent}', which must come before it; the factors before it "
                    f"are: {quoted_list(known)}."
                )
            known.append(factor)
        unknown = [name for name in cluster_predictors if name not in known]
        if unknown:
            raise StudyError(unknown_names("cluster_predictors", unknown, known, "grouping factor", "the layout"))
        columns = [*known, *predictors, *(name for of in cluster_predictors.values() for name in of)]
        if "size" in known:
            raise StudyError("'size' stands for the rows of a cluster: give the grouping factor another name.")
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise StudyError(
                f"{agree(twice, 'the name', 'the names')} {quoted_list(twice)} {agree(twice, 'is', 'are')} in the "
                "layout more than once. Give each column another name."
            )
        _refuse_large(math.prod(counts.values()), "clusters")
        self.table(seed=0)  # shows mistakes in predictors now, not in the middle of a study

    def _view(self) -> View:
        clusters = [f"{name}: {count:,}{' in each' if '/' in name else ''}" for name, count in self.clusters.items()]
        columns = [(name, _in_words(spec)) for name, spec in self.predictors.items()]
        for factor, of_factor in self.cluster_predictors.items():
            columns += [(name, f"{_in_words(spec)}, by {factor}") for name, spec in of_factor.items()]
        facts = (("clusters", "; ".join(clusters)), ("rows", f"{_in_words(self.size)} in each cluster"))
        predictors = (Facts(tuple(columns), "predictors"),) if columns else ()
        return View("Layout of a study", (Facts(facts), *predictors))

    @property
    def random(self) -> bool:
        """Whether tables with different seeds differ."""
        first, second = self.table(seed=1), self.table(seed=2)
        return not first.equals(second)

    def with_numbers(self, **numbers: Any) -> Layout:
        """The layout with other numbers of clusters, by grouping factor, or another ``size``.

        Raises
        ------
        StudyError
            If there is no such grouping factor.
        """
        named = {_parent(name)[1]: name for name in self.clusters}
        unknown = [name for name in numbers if name not in named and name != "size"]
        if unknown:
            raise StudyError(unknown_names("grid", unknown, [*named, "size"], "number", "the layout"))
        clusters = dict(self.clusters) | {named[name]: count for name, count in numbers.items() if name in named}
        return replace(self, clusters=clusters, size=numbers.get("size", self.size))

    def table(self, seed: int | np.random.Generator | None = None) -> pd.DataFrame:
        """A table of rows, with sizes and predictors drawn at random where they are random.

        Parameters
        ----------
        seed : int or numpy.random.Generator, optional
            Makes the table reproducible.

        Returns
        -------
        pandas.DataFrame
            Grouping factors, numbered from 1, then predictors of clusters and of rows.
        """
        generator = isinstance(seed, np.random.Generator)
        random = np.random.default_rng(seed if generator else seed_or_none("seed", seed, StudyError))
        frame = self._combinations()
        for factor, columns in self.cluster_predictors.items():
            number, labels = pd.factorize(frame[factor], sort=True)
            for name, spec in columns.items():
                values = _drawn(name, spec, random, np.arange(len(labels)))
                frame[name] = values.take(number) if isinstance(values, pd.Categorical) else values[number]
        sizes = _sizes(self.size, random, len(frame))
        frame = frame.loc[np.repeat(frame.index.to_numpy(), sizes)].reset_index(drop=True)
        position = np.arange(len(frame)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        for name, spec in self.predictors.items():
            frame[name] = _drawn(name, spec, random, position)
        return frame

    def _combinations(self) -> pd.DataFrame:
        frame = pd.DataFrame(index=pd.RangeIndex(1))
        for name, count in self.clusters.items():
            parent, factor = _parent(name)
            labels = np.tile(np.arange(1, count + 1), len(frame))
            frame = frame.loc[np.repeat(frame.index.to_numpy(), count)].reset_index(drop=True)
            frame[factor] = labels if parent is None else (frame[parent].to_numpy() - 1) * count + labels
        return frame


def _in_words(spec: Any) -> str:
    """Description of a column, or of the sizes of clusters, as text."""
    if callable(spec):
        return f"by the function {getattr(spec, '__name__', type(spec).__name__)}"
    if isinstance(spec, Mapping):
        return ", ".join(f"{level} {chance:g}" for level, chance in spec.items())
    if isinstance(spec, list):
        return f"{', '.join(map(str, spec))} in turn"
    if isinstance(spec, tuple) and spec and isinstance(spec[0], str):
        return f"{spec[0]}({', '.join(f'{item:g}' for item in spec[1:])})"
    if isinstance(spec, tuple):
        return " to ".join(f"{item:,}" for item in spec)
    return str(spec)


def _parent(name: str) -> tuple[str | None, str]:
    parent, _, factor = name.rpartition("/")
    return parent or None, factor


def _refuse_large(count: int, what: str) -> None:
    if count > LARGEST_TABLE:
        raise StudyError(f"the layout has {count:,} {what}; at most {LARGEST_TABLE:,} are possible.")


def _sizes(size: Any, random: np.random.Generator, count: int) -> IntArray:
    if callable(size):
        what = f"{count:,} whole numbers from 0, not all of them 0"
        sizes = number_array("what the function for size returns", size(random, count), StudyError, what)
        if sizes.shape != (count,) or not np.all((sizes >= 0) & (sizes == np.round(sizes))) or not sizes.sum():
            raise StudyError(f"the function for size must return {what}.")
    elif isinstance(size, tuple) and len(size) == 2:
        low, high = (whole_number(f"size[{k}]", end, StudyError, least=1) for k, end in enumerate(size))
        if low > high:
            raise StudyError(f"size={size}: the smallest number of rows is above the largest. Write ({high}, {low}).")
        sizes = random.integers(low, high, count, endpoint=True).astype(np.float64)
    elif isinstance(size, list) and size:
        each = [whole_number(f"size[{k}]", value, StudyError, least=1) for k, value in enumerate(size)]
        sizes = np.resize(each, count).astype(np.float64)
    elif isinstance(size, Integral):
        sizes = np.full(count, float(whole_number("size", size, StudyError, least=1)))
    else:
        raise StudyError(
            f"size={shortened(size)} must be a whole number, the smallest and the largest one, (5, 20), a list of "
            "whole numbers, or a function of a random generator and the number of clusters."
        )
    _refuse_large(int(sizes.sum()), "rows")
    return sizes.astype(np.int64)


def _drawn(name: str, spec: Any, random: np.random.Generator, position: IntArray) -> Any:
    """Values of one column: an array, or a categorical if they are levels."""
    count = len(position)
    if callable(spec):
        values = np.asarray(spec(random, count))
        if values.shape != (count,):
            raise StudyError(
                f"predictor '{name}': the function returned shape {values.shape}; it must return shape ({count},)."
            )
        return values
    if isinstance(spec, Mapping):
        return _levels(name, spec, random, count)
    if isinstance(spec, list) and spec:
        _check_levels(name, spec)
        return _labelled([spec[k % len(spec)] for k in position], list(dict.fromkeys(spec)))
    words = (spec,) if isinstance(spec, str) else spec
    if isinstance(words, tuple) and words and isinstance(words[0], str) and words[0] in DISTRIBUTIONS:
        most, draw = DISTRIBUTIONS[words[0]]
        if len(words) - 1 > most:
            raise StudyError(
                f"predictor '{name}': {shortened(spec)} has {number_of(len(words) - 1, 'number')}; '{words[0]}' takes "
                f"up to {most}."
            )
        arguments = [real_number(f"predictor '{name}': '{words[0]}'", value, StudyError) for value in words[1:]]
        try:
            return draw(random, count, *arguments)
        except (ValueError, OverflowError) as error:
            raise StudyError(
                f"predictor '{name}': {shortened(spec)} cannot be drawn: {reason_of(error)}. Change the numbers."
            ) from error
    if isinstance(spec, Real) and not isinstance(spec, bool):
        number = real_number(f"predictor '{name}'", spec, StudyError)
        return np.full(count, int(spec) if isinstance(spec, Integral) and abs(number) < 2**53 else number)
    raise StudyError(
        f"predictor '{name}': {shortened(spec)} must be a number, a list, probabilities by level, a function, or one "
        f"of {quoted_list(list(DISTRIBUTIONS))} with its numbers, ('normal', 0, 1)."
    )


def _check_levels(name: str, levels: Sequence[Any]) -> None:
    for level in levels:
        if not isinstance(level, (str, bool, np.bool_)):
            real_number(f"predictor '{name}': the level", level, StudyError)


def _levels(name: str, spec: Mapping[Any, Any], random: np.random.Generator, count: int) -> Any:
    levels, chances = list(spec), np.array([as_float(value) for value in spec.values()])
    _check_levels(name, levels)
    if not levels or not np.all((chances >= 0) & (chances <= 1)) or abs(chances.sum() - 1) > 1e-9:
        raise StudyError(f"predictor '{name}': {shortened(dict(spec))} must be probabilities by level, which sum to 1.")
    return _labelled([levels[k] for k in random.choice(len(levels), count, p=chances)], levels)


def _labelled(values: Sequence[Any], levels: list[Any]) -> Any:
    if all(isinstance(level, (int, float, np.number)) for level in levels):
        return np.asarray(values)
    return pd.Categorical(values, categories=levels)
