"""Two models of over-dispersed counts beside the binomial one: a row effect, and the beta-binomial distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...density.joint.attenuation import ATTENUATION
from ...engines.maximum.integrator import integrator
from ...engines.maximum.refit import search
from ...engines.maximum.search_result import Approach
from ...errors import EngineError, FitError
from ...model_spec import ModelSpec
from ...result_table import ResultTable

if TYPE_CHECKING:
    from ...design.design import Design
    from ...engines.maximum.refitted import ReferenceFit
    from ...estimate import Estimate

FloatArray = npt.NDArray[np.float64]
#: Names of a column that numbers the rows; the first that the formula does not use.
ROW_NAMES = ("row", "row_number", "row_of_table")
ROW_EFFECT, BETA_BINOMIAL = "row effect", "beta-binomial"
#: Standard deviation of the row effect, and phi, where the searches begin.
START_SD, START_PHI = 0.5, 10.0
#: Quadrature nodes for row effects.
NODES = 11


@dataclass(frozen=True)
class CountModel:
    """A model of counts at its maximum of the likelihood.

    Attributes
    ----------
    name : str
    estimate : Estimate or None
        None if the search found no maximum.
    parameter : str
        What it has besides the parameters of the binomial model.
    value : float
        Its estimate; NaN if there is none.
    call : str
        How to make the model.
    """

    name: str
    estimate: Estimate | None
    parameter: str
    value: float
    call: str

    @property
    def aic(self) -> float:
        """Akaike's information criterion, NaN without a maximum."""
        return np.nan if self.estimate is None else self.estimate.aic

    def described(self) -> dict[str, object]:
        """A row of the table of models."""
        found = self.estimate
        return {
            "log_likelihood": np.nan if found is None else found.log_likelihood,
            "parameters": pd.NA if found is None else found.n_parameters,
            "aic": self.aic,
            "integration": "" if found is None else found.method,
            "parameter": self.parameter,
            "estimate": self.value,
        }


@dataclass(frozen=True)
class CountModels:
    """Three models of the same counts.

    Attributes
    ----------
    binomial, row_effect, beta_binomial : CountModel
    """

    binomial: CountModel
    row_effect: CountModel
    beta_binomial: CountModel

    @classmethod
    def of(cls, reference: ReferenceFit) -> CountModels:
        """The models of a fit to binomial counts.

        Row effects are integrated out by quadrature where it is possible, and everything else by Laplace's method: rows
        of few trials tell so little of their effects that Laplace's error is as large as the differences of interest.
        """
        model, estimate = reference.model, reference.estimate
        row = next(name for name in ROW_NAMES if name not in model.design.table.frame or name == ROW_NAMES[-1])
        text, table, namespace = model.formula.text, model.design.table, dict(model.namespace)
        longer = f"{text} + (1 | {row})"
        rows = ModelSpec.from_parts(longer, table.with_column(row, np.arange(model.design.n_rows)), namespace=namespace)
        beta = ModelSpec.from_parts(text, table, namespace=namespace, family="betabinomial")
        factors = list(estimate.cholesky.values())
        plain = _maximum(model, 1, estimate.beta, factors)
        with_rows = _maximum(rows, _nodes(rows.design), estimate.beta, [*factors, np.array([[START_SD]])])
        with_beta = _maximum(beta, 1, estimate.beta, factors, START_PHI)
        sd = np.nan if with_rows is None else float(with_rows.sd(row)[0])
        phi = np.nan if with_beta is None or with_beta.phi is None else with_beta.phi
        call = f"hl.Model({longer!r}, data.assign({row}=range(len(data))))"
        return cls(
            CountModel("binomial", plain, "", np.nan, f"hl.Model({text!r}, data)"),
            CountModel(ROW_EFFECT, with_rows, f"sd_{row}", sd, call),
            CountModel(BETA_BINOMIAL, with_beta, "phi", phi, f"hl.Model({text!r}, data, family='betabinomial')"),
        )

    def table(self) -> ResultTable:
        """Log-likelihood, AIC and the additional parameter of each model."""
        models = (self.binomial, self.row_effect, self.beta_binomial)
        index = pd.Index([model.name for model in models], name="counts")
        table = pd.DataFrame([model.described() for model in models], index)
        table.insert(3, "delta_aic", table["aic"] - table["aic"].min())
        return ResultTable.of(table.astype({"parameters": "Int64"}), "Models of the counts", spare=["integration"])

    def coefficients(self) -> ResultTable:
        """Fixed effects by model, and those with a row effect averaged over rows."""
        columns: dict[str, FloatArray] = {}
        labels: tuple[str, ...] = ()
        for model in (self.binomial, self.row_effect, self.beta_binomial):
            if model.estimate is None:
                continue
            labels, columns[model.name] = model.estimate.fixed_effects, model.estimate.beta
            if model is self.row_effect:
                columns[f"{model.name}, averaged"] = model.estimate.beta / np.sqrt(1 + ATTENUATION * model.value**2)
        table = pd.DataFrame(columns, pd.Index(labels, name="fixed_effect"))
        return ResultTable.of(table, "Fixed effects (logit scale)")

    def better(self, least: float) -> CountModel | None:
        """The mechanism with the smaller AIC; None if the difference is below `least` or a maximum is missing."""
        difference = self.row_effect.aic - self.beta_binomial.aic
        if not abs(difference) >= least:
            return None
        return self.beta_binomial if difference > 0 else self.row_effect


def _nodes(design: Design) -> int:
    """The number of quadrature nodes, if quadrature can integrate out the random effects; otherwise 1, for Laplace."""
    try:
        integrator(design, NODES)
    except EngineError:
        return 1
    return NODES


def _maximum(
    model: ModelSpec, nodes: int, beta: FloatArray, cholesky: list[FloatArray], phi: float | None = None
) -> Estimate | None:
    approach = Approach.of_likelihood("maximum", model.design, nodes, restricted=False, df=None)
    try:
        return search(model, approach, (beta, cholesky), phi).maximum()
    except FitError:
        return None
