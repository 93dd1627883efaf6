"""Draw the plots of the gallery, and write its page, docs/gallery.md.

`python tools/gallery.py` draws every plot into docs/images/gallery/ and rewrites the page; a test compares the page
with what `page` returns, and the plots on it with `hl.plots`.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, IMAGES = DOCS / "gallery.md", DOCS / "images" / "gallery"

INTRODUCTION = """\
# Gallery

Every plot of `hl.plots`, with the call that draws it. Each call returns matplotlib axes, which can be changed further,
and `hl.plots.text_alternative` describes a plot in words. The plots show these fits:

```python
{setup}
```
"""
SETUP = """\
import hierlogit as hl

women = hl.datasets.load("contraception")
model = hl.Model("use ~ age + I(age**2) + urban + livch + (1 + urban | district)", women)
fit = model.fit(hl.NUTS(seed=1))
simple = hl.Model("use ~ age + I(age**2) + urban + livch + (1 | district)", women)
ml, simple_ml = model.fit("laplace"), simple.fit("laplace")
herds = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
layout = hl.Layout({"school": 20}, size=20, cluster_predictors={"school": {"arm": ["control", "new"]}})"""


@dataclass(frozen=True)
class Entry:
    """A plot: its heading, what it shows, and the code that draws it, which ends in a call of `hl.plots`.

    A second plot by the same function has a `variant`, which is added to the name of its image.
    """

    function: str
    heading: str
    text: str
    call: str
    variant: str = ""

    @property
    def image(self) -> str:
        """Name of the image."""
        return f"{self.function}_{self.variant}.png" if self.variant else f"{self.function}.png"


ENTRIES = (
    Entry(
        "curves",
        "Probability curves across clusters",
        "The probability against a predictor, for each cluster, a typical cluster and the population.",
        'hl.plots.curves(fit, "age", by="urban")',
    ),
    Entry(
        "predictions",
        "Predictions",
        "Predicted probabilities against up to three predictors, with proportions of events in the rows.",
        'hl.plots.predictions(fit, ["age", "urban", "livch"], points=True)',
    ),
    Entry(
        "comparisons",
        "Comparisons",
        "Differences of probabilities along a predictor: on average over clusters, and in each of them.",
        'hl.plots.comparisons(fit, "urban", "age", clusters="observed")',
    ),
    Entry(
        "slopes",
        "Slopes",
        "Slopes of the probability along a predictor.",
        'hl.plots.slopes(fit, "age", ["age", "urban"])',
    ),
    Entry(
        "forest",
        "Odds ratios",
        "Fixed effects as odds ratios with intervals, on a logarithmic axis and as numbers.",
        "hl.plots.forest(fit)",
    ),
    Entry(
        "hypotheses",
        "Families of hypotheses",
        "All differences of pairs with simultaneous intervals and adjusted p-values; those in the shaded region "
        "are too small to matter.",
        """\
pairs = hl.avg_predictions(ml, by="livch", clusters="average", hypothesis="pairwise", adjust="single-step")
hl.plots.hypotheses(pairs, rope=(-0.1, 0.1))""",
    ),
    Entry("caterpillar", "Cluster effects", "The effects of each cluster with intervals.", "hl.plots.caterpillar(fit)"),
    Entry(
        "caterpillar",
        "Probabilities in clusters",
        "The probability in each cluster, at values of the predictors that can be chosen, with intervals.",
        'hl.plots.caterpillar(fit, scale="response", at={"urban": "Y"})',
        "response",
    ),
    Entry(
        "shrinkage",
        "Partial pooling",
        "The raw proportion of each cluster against its estimated probability: small clusters are pulled to the mean.",
        "hl.plots.shrinkage(fit)",
    ),
    Entry(
        "shrinkage",
        "Partial pooling of two coefficients",
        "Arrows from the coefficients of each cluster by itself to those by partial pooling.",
        'hl.plots.shrinkage(fit, effects=["Intercept", "urban[Y]"])',
        "effects",
    ),
    Entry(
        "league_table",
        "Ranks of clusters",
        "Expected ranks with the interval of each, and behind it the one that holds for all ranks at once.",
        'hl.plots.league_table(hl.league_table(fit, best="high"))',
    ),
    Entry(
        "funnel",
        "Funnel plot",
        "Observed / expected events of the clusters against their size, with limits of what chance alone explains.",
        "hl.plots.funnel(fit)",
    ),
    Entry(
        "cluster_check",
        "Posterior predictive check of the clusters",
        "The observed proportion of events in each cluster against simulated ones.",
        "hl.plots.cluster_check(fit, seed=1)",
    ),
    Entry(
        "calibration",
        "Calibration",
        "Proportions of events against predicted probabilities.",
        "hl.plots.calibration(fit, seed=1)",
    ),
    Entry(
        "residuals",
        "Residuals",
        "Residuals averaged over bins of a predictor, and a Q-Q plot of quantile residuals.",
        'hl.plots.residuals(fit, by="age", seed=1)',
    ),
    Entry(
        "check_overdispersion",
        "Over-dispersion of counts",
        "The variance of counts over the binomial one, with its distribution in simulated binomial counts.",
        "hl.plots.check_overdispersion(hl.check_overdispersion(herds, seed=1))",
    ),
    Entry(
        "effects_qq",
        "Normality of the cluster effects",
        "Ordered modes of the cluster effects against normal quantiles, with a simulated band.",
        "hl.plots.effects_qq(ml, seed=1)",
    ),
    Entry(
        "influence",
        "Influence of clusters",
        "How much the estimates change without each cluster.",
        "hl.plots.influence(hl.influence(ml))",
    ),
    Entry(
        "validation",
        "Validation on new clusters",
        "Calibration and discrimination in clusters that were left out, their means, and intervals for a new cluster.",
        "hl.plots.validation(hl.validate(ml))",
    ),
    Entry(
        "validation_curves",
        "Calibration in new clusters",
        "Calibration curves of clusters that were left out, and a smooth one of all rows.",
        "hl.plots.validation_curves(hl.validate(ml))",
    ),
    Entry(
        "ignoring_clusters",
        "What ignoring clusters does",
        "Coefficients of a logistic regression that ignores the clusters beside those of the model, by how much its "
        "standard errors are wrong, and the false-positive rates of its tests.",
        "hl.plots.ignoring_clusters(hl.ignoring_clusters(ml, seed=1))",
    ),
    Entry(
        "likelihood_ratio",
        "A variance at zero",
        "The likelihood ratio of a random slope, with its distribution where the slope does not vary.",
        "hl.plots.likelihood_ratio(hl.likelihood_ratio(simple_ml, ml, replicates=200, seed=1))",
    ),
    Entry(
        "build",
        "Building up a model",
        "A quantity of interest in every model that was tried; models with open points were not kept.",
        'hl.plots.build(hl.build(simple.formula.text, women), ["urban[Y]", "average difference, urban: Y - N"])',
    ),
    Entry(
        "profile",
        "Profiles",
        "Zeta, the signed root of the likelihood-ratio statistic, along each parameter: straight where Wald's interval "
        "is as good.",
        'hl.plots.profile(hl.profile(ml, ["urban[Y]", "sd_district[urban[Y]]", "cor_district[Intercept, urban[Y]]"]))',
    ),
    Entry(
        "compare",
        "Comparison of models",
        "An information criterion or, for sampled fits, the expected log predictive density; the best model on top.",
        'hl.plots.compare(hl.compare({"slopes": ml, "intercepts": simple_ml}))',
    ),
    Entry(
        "bayes_factor",
        "Bayes factors and priors",
        "How a Bayes factor changes with the scales of the priors of the parameters in which the models differ.",
        'hl.plots.bayes_factor(hl.bayes_factor({"slopes": model, "intercepts": simple}, reference="intercepts"))',
    ),
    Entry(
        "khat",
        "Reliability of leave-one-out",
        "Pareto k-hat of each cluster left out.",
        'hl.plots.khat(hl.loo(fit, group="district", refit=False))',
    ),
    Entry(
        "prior_predictive",
        "What the priors imply",
        "Probabilities implied by the priors, before any outcome is used.",
        "hl.plots.prior_predictive(model, seed=1)",
    ),
    Entry(
        "check_data",
        "Sizes of clusters",
        "Trials and events per cluster.",
        "hl.plots.check_data(hl.check_data(model))",
    ),
    Entry(
        "power",
        "Power of a planned study",
        "Power over a grid of numbers of clusters.",
        """\
study = hl.power(
    "passed ~ arm + (1 | school)",
    layout,
    beta={"Intercept": 0, "arm[new]": 0.5},
    sd={"school": 0.5},
    grid={"school": [10, 20, 40], "size": [10, 30]},
    seed=1,
)
hl.plots.power(study)""",
    ),
)


def page() -> str:
    """The page."""
    parts = [INTRODUCTION.format(setup=SETUP)]
    for entry in ENTRIES:
        parts.append(
            f"## {entry.heading}\n\n{entry.text}\n\n```python\n{entry.call}\n```\n\n"
            f"![{entry.text}](images/gallery/{entry.image})\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Draw the plots and write the page."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    IMAGES.mkdir(exist_ok=True)
    names: dict[str, Any] = {}
    warnings.simplefilter("ignore")
    exec(SETUP, names)
    for entry in ENTRIES:
        *before, last = re.split(r"\n(?=hl\.)", entry.call)
        exec("\n".join(before), names)
        axes = eval(last, names)
        figure = np.asarray(axes, dtype=object).ravel()[0].figure
        figure.savefig(IMAGES / entry.image, dpi=100)
        plt.close(figure)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
