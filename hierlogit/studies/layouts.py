"""The class `Layout`: clusters and predictors of a planned study, without outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import StudyError
from ..validation import quoted_list

IntArray = npt.NDArray[np.int64]
#: Distributions by name: the largest number of arguments, and a function that draws values.
DISTRIBUTIONS: dict[str, tuple[int, Callable[..., npt.NDArray[Any]]]] = {
    "normal": (2, lambda random, count, mean=0.0, sd=1.0: random.normal(mean, sd, count)),
    "uniform": (2, lambda random, count, low=0.0, high=1.0: random.uniform(low, high, count)),
    "bernoulli": (1, lambda random, count, p=0.5: random.binomial(1, p, count)),
    "poisson": (1, lambda random, count, mean=1.0: random.poisson(mean, count)),
    "exponential": (1, lambda random, count, mean=1.0: random.exponential(mean, count)),
    "lognormal": (2, lambda random, count, mean=0.0, sd=1.0: random.lognormal(mean, sd, count)),
}


@dataclass(frozen=True)
class Layout:
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
        if not self.clusters:
            raise StudyError("a layout needs clusters, such as {'school': 30}.")
        for name, count in self.clusters.items():
            if not _is_count(count):
                raise StudyError(f"the number of clusters of '{name}' is {count!r}; it must be a whole number from 1.")
        known: list[str] = []
        for name in self.clusters:
            parent, factor = _parent(name)
            if parent is not None and parent not in known:
                raise StudyError(
                    f"'{name}' is within '{parent}', which must stand before it; there are {quoted_list(known)}."
                )
            known.append(factor)
        strange = [name for name in self.cluster_predictors if name not in known]
        if strange:
            raise StudyError(
                f"cluster_predictors names {quoted_list(strange)}; the grouping factors are {quoted_list(known)}."
            )
        columns = [*known, *self.predictors, *(name for of in self.cluster_predictors.values() for name in of)]
        if "size" in known:
            raise StudyError("'size' means the rows of a cluster: give the grouping factor another name.")
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise StudyError(f"the layout has {quoted_list(twice)} more than once.")
        self.table(seed=0)  # shows mistakes in predictors now, not in the middle of a study

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
        strange = [name for name in numbers if name not in named and name != "size"]
        if strange:
            raise StudyError(f"the layout has no {quoted_list(strange)}; it has {quoted_list([*named, 'size'])}.")
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
        random = np.random.default_rng(seed)
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


def _parent(name: str) -> tuple[str | None, str]:
    parent, _, factor = name.rpartition("/")
    return parent or None, factor


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def _sizes(size: Any, random: np.random.Generator, count: int) -> IntArray:
    if callable(size):
        sizes = np.asarray(size(random, count))
    elif isinstance(size, tuple) and len(size) == 2 and all(map(_is_count, size)) and size[0] <= size[1]:
        sizes = random.integers(size[0], size[1], count, endpoint=True)
    elif isinstance(size, list) and size and all(map(_is_count, size)):
        sizes = np.resize(size, count)
    elif _is_count(size):
        sizes = np.full(count, size)
    else:
        raise StudyError(
            f"size={size!r} must be a whole number from 1, a smallest and a largest one, a list of them, or a function "
            "of a random generator and a count."
        )
    if sizes.shape != (count,) or not np.all((sizes >= 0) & (sizes == np.round(sizes))) or not sizes.sum():
        raise StudyError(f"the function for size must return {count} whole numbers from 0, not all of them 0.")
    return sizes.astype(np.int64)


def _drawn(name: str, spec: Any, random: np.random.Generator, position: IntArray) -> Any:
    """Values of one column: an array, or a categorical if they are levels."""
    count = len(position)
    if callable(spec):
        values = np.asarray(spec(random, count))
        if values.shape != (count,):
            raise StudyError(f"the function for '{name}' returned shape {values.shape}; it must return ({count},).")
        return values
    if isinstance(spec, Mapping):
        return _levels(name, spec, random, count)
    if isinstance(spec, list) and spec:
        return _labelled([spec[k % len(spec)] for k in position], list(dict.fromkeys(spec)))
    words = (spec,) if isinstance(spec, str) else spec
    if isinstance(words, tuple) and words and words[0] in DISTRIBUTIONS:
        most, draw = DISTRIBUTIONS[words[0]]
        if len(words) - 1 > most or not all(isinstance(argument, (int, float)) for argument in words[1:]):
            raise StudyError(f"'{name}' is {spec!r}; {words[0]} takes up to {most} numbers.")
        try:
            return draw(random, count, *words[1:])
        except ValueError as error:
            raise StudyError(f"'{name}' is {spec!r}, which cannot be drawn: {error}.") from error
    if isinstance(spec, (int, float, np.number)) and not isinstance(spec, bool):
        return np.full(count, spec)
    raise StudyError(
        f"'{name}' is {spec!r}; it must be a number, a list, probabilities of levels, a function, or one of "
        f"{quoted_list(list(DISTRIBUTIONS))} with its arguments."
    )


def _levels(name: str, spec: Mapping[Any, Any], random: np.random.Generator, count: int) -> Any:
    levels, chances = list(spec), np.array([float(value) for value in spec.values()])
    if not levels or np.any(chances < 0) or abs(chances.sum() - 1) > 1e-9:
        raise StudyError(f"the probabilities of '{name}' are {dict(spec)}; they must not be negative, and sum to 1.")
    return _labelled([levels[k] for k in random.choice(len(levels), count, p=chances)], levels)


def _labelled(values: Sequence[Any], levels: list[Any]) -> Any:
    if all(isinstance(level, (int, float, np.number)) for level in levels):
        return np.asarray(values)
    return pd.Categorical(values, categories=levels)
