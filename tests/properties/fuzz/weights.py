"""Options of models for the fuzz tests: weights, right, nearly right and hostile, and the family of the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import hierlogit as hl

from .tables import CODE, SCRIPT, Rows

#: Weights, made from a function that gives the name of the column with a role, and from a scaling.
WEIGHTS: Mapping[str, Callable[[Callable[[str], str], Any], Any]] = {
    "counts": lambda of, _: hl.FrequencyWeights(of("wf")),
    "of rows": lambda of, scaling: hl.SamplingWeights(of("ws"), scaling=scaling),
    "of clusters": lambda of, scaling: hl.SamplingWeights(clusters={of("g"): of("wc")}, scaling=scaling),
    "of both": lambda of, scaling: hl.SamplingWeights(of("ws"), clusters={of("g"): of("wc")}, scaling=scaling),
    # ---- nearly right
    "sampling weights as counts": lambda of, _: hl.FrequencyWeights(of("ws")),
    "counts as sampling weights": lambda of, scaling: hl.SamplingWeights(of("wf"), scaling=scaling),
    "of inner clusters": lambda of, scaling: hl.SamplingWeights(
        of("ws"), clusters={of("g"): of("wc"), f"{of('g')}:{of('k')}": of("wc")}, scaling=scaling
    ),
    "of crossed clusters": lambda of, _: hl.SamplingWeights(of("ws"), clusters={of("h"): of("wc")}),
    "of clusters by row": lambda of, scaling: hl.SamplingWeights(clusters={of("g"): of("ws")}, scaling=scaling),
    "trials": lambda of, _: hl.FrequencyWeights(of("n")),
    "outcome": lambda of, _: hl.FrequencyWeights(of("y")),
    "clusters as weights": lambda of, _: hl.SamplingWeights(of("g")),
    "predictor": lambda of, scaling: hl.SamplingWeights(of("x"), scaling=scaling),
    "words": lambda of, _: hl.FrequencyWeights(of("t")),
    "booleans": lambda of, _: hl.FrequencyWeights(of("lg")),
    "same column": lambda of, scaling: hl.SamplingWeights(of("wc"), clusters={of("g"): of("wc")}, scaling=scaling),
    "absent column": lambda *_: hl.FrequencyWeights("nonsense"),
    "absent factor": lambda of, _: hl.SamplingWeights(of("ws"), clusters={"nonsense": of("wc")}),
    # ---- hostile
    "name": lambda of, _: of("wf"),
    "list": lambda *_: [1, 2],
    "number": lambda *_: 3,
    "mapping": lambda of, _: {"rows": of("wf")},
    "class": lambda *_: hl.SamplingWeights,
    "nothing": lambda *_: hl.SamplingWeights(),
    "code": lambda *_: hl.FrequencyWeights(CODE),
    "markup": lambda *_: hl.SamplingWeights(SCRIPT),
    "empty name": lambda *_: hl.FrequencyWeights(""),
    "no name": lambda *_: hl.FrequencyWeights(3),  # type: ignore[arg-type]
    "no scaling": lambda of, _: hl.SamplingWeights(of("ws"), scaling="nonsense"),  # type: ignore[arg-type]
    "no clusters": lambda of, _: hl.SamplingWeights(of("ws"), clusters=of("g")),  # type: ignore[arg-type]
}
SOUND = ("counts", "counts", "of rows", "of clusters", "of both")


@dataclass(frozen=True)
class Options:
    """Options of a model as words, from which they are made with the names of a table's columns."""

    weights: str | None = None
    scaling: str = "size"
    family: Any = "binomial"

    def of(self, rows: Rows) -> dict[str, Any]:
        """The options, if they can be made."""
        weights = {} if self.weights is None else {"weights": WEIGHTS[self.weights](rows.name, self.scaling)}
        return {**weights, "family": self.family}


scalings = st.sampled_from(["size", "effective"])
#: Weights of which most fit the table.
weighted = st.builds(Options, st.one_of(st.sampled_from(SOUND), st.sampled_from(list(WEIGHTS))), scalings)
#: Beta-binomial outcomes, some of them with frequency weights.
overdispersed = st.builds(Options, st.sampled_from([None, None, "counts"]), family=st.just("betabinomial"))
any_options = st.builds(
    Options,
    st.one_of(st.none(), st.sampled_from(SOUND), st.sampled_from(list(WEIGHTS))),
    scalings,
    st.sampled_from(["binomial", "binomial", "betabinomial", "nonsense", 3, None, CODE]),
)
#: Mostly no options.
usual = st.one_of(st.just(Options()), st.just(Options()), st.just(Options()), weighted, overdispersed, any_options)
