"""Weights written on the command line, such as ``--sampling-weights w --cluster-weights school=w_school``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ..validation import one_of, shortened
from .output import CommandError

if TYPE_CHECKING:
    from ..design.weights import Weights

FrequencyOption = Annotated[
    str | None, typer.Option(help="Column with the number of identical rows that each row stands for.")
]
SamplingOption = Annotated[
    str | None,
    typer.Option(help="Column with the weight of each row of a sample, the inverse of its probability of selection."),
]
ClusterOption = Annotated[
    list[str] | None,
    typer.Option(help="Column with the weights of the clusters of a factor, 'school=w_school'; once for each factor."),
]
ScalingOption = Annotated[
    str | None,
    typer.Option(
        help="What weights add up to within a cluster: size, its number of rows (the default), or effective, its "
        "effective number."
    ),
]


def read_weights(
    frequency: str | None, sampling: str | None, clusters: Sequence[str], scaling: str | None
) -> Weights | None:
    """The weights of a model; None if no option is given.

    Raises
    ------
    CommandError
        If the options are not those of one kind of weights, or are not written as they should be.

    Examples
    --------
    >>> read_weights("n", None, [], None)
    FrequencyWeights(rows='n')
    >>> read_weights(None, "w", ["school=w_school"], "effective")
    SamplingWeights(rows='w', clusters={'school': 'w_school'}, scaling='effective')
    """
    from ..design.weights import SCALING_CHOICES, FrequencyWeights, SamplingWeights

    columns = _columns_by_factor(clusters)
    sample = sampling is not None or bool(columns)
    if frequency is not None and sample:
        raise CommandError(
            "--frequency-weights are numbers of identical rows, and --sampling-weights and --cluster-weights are "
            "inverse probabilities of selection: pass one or the other."
        )
    if scaling is not None:
        if scaling not in SCALING_CHOICES:
            raise CommandError(f"--scaling {shortened(scaling)} is not allowed; {one_of(SCALING_CHOICES)}.")
        if not sample:
            raise CommandError("--scaling is for weights of a sample: pass --sampling-weights or --cluster-weights.")
    if frequency is not None:
        return FrequencyWeights(frequency)
    if not sample:
        return None
    return SamplingWeights(sampling, columns, "effective" if scaling == "effective" else "size")


def _columns_by_factor(options: Sequence[str]) -> dict[str, str]:
    """Columns of weights by grouping factor."""
    columns: dict[str, str] = {}
    for option in options:
        factor, equals, column = (part.strip() for part in option.rpartition("="))
        if not (factor and equals and column):
            raise CommandError(
                "--cluster-weights needs a grouping factor and a column, such as school=w_school; got "
                f"{shortened(option)}."
            )
        if factor in columns:
            raise CommandError(
                f"two columns of weights are given for {shortened(factor)}; pass --cluster-weights once for each "
                "factor."
            )
        columns[factor] = column
    return columns
