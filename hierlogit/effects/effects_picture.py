"""What the picture of a table of predictions, comparisons or slopes needs to know beside the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..design.grouping import GroupBlock
from ..pictures import Picture

if TYPE_CHECKING:
    from .query import PredictionQuery

#: Which cluster effects count, in the words of a caption.
CLUSTER_TEXTS = {"average": "averaged over clusters of", "typical": "typical cluster of", "new": "new clusters of"}
#: Column of representative clusters.
SETS = "clusters"


@dataclass(frozen=True)
class EffectsPicture(Picture):
    """How a table of predictions, comparisons or slopes is drawn.

    Attributes
    ----------
    labels : tuple of str
        Columns that say which effect a row is about: the term and its contrast or slope.
    null : float or None
        The value if there is no effect, where there is such a value; ratios, for which it is 1, have a logarithmic
        axis.
    factors : tuple of tuple
        The grouping factors whose clusters can be in the table: name, columns and number of levels.
    level_columns : frozenset of str
        Columns of the model with labels, which may be numbers.
    clusters : str
        Which cluster effects count, in words; nothing where they are those of the rows.
    sets : str or None
        The column that names representative clusters, if the table has them.
    decimals : tuple of tuple
        For each numeric column of the model, its name and the decimals that matter: three digits of its sd.
    """

    labels: tuple[str, ...]
    null: float | None
    factors: tuple[tuple[str, tuple[str, ...], int], ...]
    level_columns: frozenset[str]
    clusters: str
    sets: str | None
    decimals: tuple[tuple[str, int], ...]

    @classmethod
    def of(
        cls, plot: str, query: PredictionQuery, *, labels: tuple[str, ...] = (), null: float | None = None
    ) -> EffectsPicture:
        """The picture of the results of a query."""
        design, choices = query.design, query.treatment.clusters
        factors = tuple((group.name, tuple(group.columns), len(group.levels)) for group in design.groups)
        texts, decimals = _in_words(design.groups, choices), tuple(_decimals(design.table.frame))
        return cls(
            plot, labels, null, factors, design.level_columns, texts, SETS if any(query.sets) else None, decimals
        )

    @property
    def cluster_columns(self) -> tuple[str, ...]:
        """The grouping columns, in the order of the factors."""
        return tuple(dict.fromkeys(column for _, columns, _ in self.factors for column in columns))


def _in_words(groups: Sequence[GroupBlock], choices: Mapping[str, str]) -> str:
    texts = []
    for choice, text in CLUSTER_TEXTS.items():
        names = [group.name for group in groups if choices[group.name] == choice]
        texts += [f"{text} {' and '.join(names)}"] if names else []
    return ", ".join(texts)


def _decimals(frame: pd.DataFrame) -> Iterator[tuple[str, int]]:
    for name in frame.select_dtypes("float"):
        sd = float(frame[name].std())
        if 0 < sd < np.inf:
            yield str(name), 2 - int(np.floor(np.log10(sd)))
