"""The class `Fit`, which engines return: model, draws in ArviZ's groups, diagnostics and estimate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from ..display import MOST, Column, Facts, Folded, Part, Sentences, Shown, Table, View
from ..errors import FitError
from ..estimate import Estimate
from ..formatting import cell, number
from ..model_spec import ModelSpec
from ..validation import file_path, number_of
from .diagnostics import Diagnostics
from .netcdf import stored_fit, write_tree
from .posterior import parameter_draws

if sys.version_info >= (3, 13):
    from typing import TypeVar
else:  # without defaults
    from typing_extensions import TypeVar

if TYPE_CHECKING:
    from os import PathLike

    import xarray as xr


#: The class of a fit's model: `hierlogit.Model` for users, `ModelSpec` in code that needs only its values.
M_co = TypeVar("M_co", bound=ModelSpec, default=ModelSpec, covariant=True)


#: The call for what fits of other packages have as attributes and methods, by their name there.
ELSEWHERE = {
    **dict.fromkeys(("summary", "coef", "coefs", "coef_", "params", "fixef", "fe_params", "bse"), "hl.summary(fit)"),
    **dict.fromkeys(("get_robustcov_results", "vcovCL", "vcovHC"), "hl.robust(fit)"),
    **dict.fromkeys(("conf_int", "confint"), "hl.summary(fit, ci_prob=0.95)"),
    **dict.fromkeys(("pvalues", "tvalues", "zvalues"), 'hl.summary(fit)["p_value"], beside which z or t stand'),
    **dict.fromkeys(("odds_ratio", "odds_ratios"), "hl.odds_ratios(fit)"),
    **dict.fromkeys(("ranef", "random_effects", "re_params"), "hl.ranef(fit)"),
    **dict.fromkeys(("VarCorr", "vcomp", "cov_re", "variance_components"), "hl.variance_components(fit)"),
    **dict.fromkeys(("predict", "predict_proba", "predictions", "fittedvalues", "fitted"), "hl.predictions(fit)"),
    **dict.fromkeys(("margins", "get_margeff", "marginal_effects"), "hl.avg_comparisons(fit)"),
    **dict.fromkeys(("posterior_predictive", "simulate"), "hl.posterior_predictive(fit)"),
    **dict.fromkeys(("resid", "residuals"), "hl.residuals(fit)"),
    **dict.fromkeys(("loo", "waic"), "hl.loo(fit)"),
    **dict.fromkeys(("check", "ppc", "pp_check"), "hl.check(fit)"),
    **dict.fromkeys(("r2", "rsquared"), "hl.r2(fit)"),
    "icc": "hl.icc(fit)",
    "bootstrap": "hl.bootstrap(fit)",
    "influence": "hl.influence(fit)",
    **dict.fromkeys(("report", "to_html"), "hl.report(fit)"),
    **dict.fromkeys(("plot", "plots"), "hl.plots.curves(fit, ...) or another function of hl.plots"),
    **dict.fromkeys(("plot_trace", "plot_posterior"), "ArviZ's functions with fit.data"),
    **dict.fromkeys(("sample_stats", "log_likelihood"), "fit.data, which has ArviZ's groups"),
    **dict.fromkeys(
        ("aic", "bic", "llf", "logLik", "loglik", "deviance"), "fit.estimate.log_likelihood, .aic and .bic"
    ),
    **dict.fromkeys(("cov_params", "vcov", "covariance"), "fit.estimate.covariance"),
    **dict.fromkeys(("draws", "samples", "trace", "idata"), "fit.posterior, or fit.data for all of ArviZ's groups"),
    **dict.fromkeys(("findings", "status", "converged", "warnings", "messages"), "fit.diagnostics"),
    **dict.fromkeys(("formula", "priors", "design"), "fit.model"),
}


class Fit(Shown, Generic[M_co]):
    """A fitted model: its draws, diagnostics and, for likelihood fits, its estimate.

    Parameters
    ----------
    model : Model
    data : xarray.DataTree or callable
        The groups, or a function that makes them when they are first read.
    diagnostics : Diagnostics
        How the fit was computed.
    estimate : Estimate, optional
        For likelihood fits, the maximum.

    Attributes
    ----------
    model : Model
    data : xarray.DataTree
        Groups with ArviZ's names: ``posterior`` with ``beta``, ``sd_<group>``, ``cor_<group>`` and ``b_<group>``,
        ``observed_data``, ``constant_data``, ``log_likelihood``; for fits with priors also ``log_prior``, for sampled
        fits also ``sample_stats``. The log-likelihood is computed when it is read, and only the part that is read. For
        likelihood fits, the draws are made when the data are first read.
    diagnostics : Diagnostics
    estimate : Estimate or None
        For likelihood fits, the maximum with its standard errors and the conditional modes.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> round(fit.estimate.log_likelihood, 2)
    -1265.96
    """

    model: M_co
    diagnostics: Diagnostics
    estimate: Estimate | None

    def __init__(
        self,
        model: M_co,
        data: xr.DataTree | Callable[[], xr.DataTree],
        diagnostics: Diagnostics,
        estimate: Estimate | None = None,
    ) -> None:
        self.__dict__.update(model=model, estimate=estimate, diagnostics=diagnostics, _data=data)

    if not TYPE_CHECKING:  # type checkers report unknown attributes themselves

        def __getattr__(self, name: str) -> object:
            if name in ELSEWHERE:
                raise AttributeError(f"a Fit has no attribute '{name}'. Use {ELSEWHERE[name]}.", name=name)
            # Raises Python's error again, or that of a property which could not be computed.
            return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Fit is immutable: make a new one instead of setting '{name}'.")

    @cached_property
    def data(self) -> xr.DataTree:
        """The groups of draws and data, with ArviZ's names."""
        data: xr.DataTree | Callable[[], xr.DataTree] = self.__dict__["_data"]
        return data() if callable(data) else data

    def __reduce__(self) -> tuple[object, ...]:
        # Draws not made yet are made now, since the function that makes them holds arrays of compiled code.
        return (Fit, (self.model, self.data, self.diagnostics, self.estimate))

    @property
    def with_priors(self) -> bool:
        """Whether the fit used the priors, as all engines do except those for maximum likelihood."""
        return self.estimate is None or self.estimate.penalised

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws, dims (chain, draw, ...)."""
        return self.data["posterior"].to_dataset()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the fit to a netCDF file, which `hierlogit.load` reads.

        Parameters
        ----------
        path : str or path
            File to write; an existing one is replaced once the new one is complete.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        FitError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import hierlogit as hl
        >>> fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit("laplace")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = hl.load(fit.save(f"{folder}/bacteria.nc"))
        >>> bool((again.estimate.beta == fit.estimate.beta).all())
        True
        """
        return write_tree(file_path("path", path, FitError), *self._stored())

    def _stored(self) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
        """Groups and metadata of the file that the fit is written to."""
        return stored_fit(self.model, self.data, self.diagnostics, self.estimate)

    def _view(self) -> View:
        facts = [*self._about()]
        tables: tuple[Part, ...]
        if self.estimate is not None:
            facts += self.estimate.facts()
            tables = self.estimate.tables()
        else:
            tables = (means_and_sds(self.model, self.posterior, "hl.summary(fit)"),)
        if self.diagnostics.measures:
            facts.append(("measures", self.diagnostics.measured()))
        findings = Sentences(tuple(map(str, self.diagnostics.findings)), ".diagnostics.findings")
        priors = Folded("Priors", Facts(self.model.stated_priors() if self.with_priors else (), where=".model.priors"))
        return View(self._title(), (Facts(tuple(facts)), findings, *tables, priors))

    def _about(self) -> tuple[tuple[str, str], ...]:
        """What the fit is about, for its view."""
        return self.model.facts()

    def _title(self) -> str:
        engine, estimate = self.diagnostics.engine, self.estimate
        if estimate is None:
            engine += f": {counted_draws(self)}, "
        else:
            engine += ": " if engine == estimate.method else f" ({estimate.method}): "
        return f"Fit by {engine}{self.diagnostics.status}, {number(sum(self.diagnostics.seconds.values()))} s"


def counted_draws(fit: Fit) -> str:
    """The draws of a sampled fit in words, such as ``4 chains of 1,000 draws``."""
    sizes = fit.data["posterior"].sizes
    if fit.diagnostics.engine == "ImportanceSampling":
        return f"{sizes['draw']:,} independent draws"
    return f"{number_of(sizes['chain'], 'chain')} of {sizes['draw']:,} draws"


def means_and_sds(model: ModelSpec, posterior: xr.Dataset, call: str) -> Table:
    """Posterior means and sds of the parameters, for the view of a fit, and the call that shows more."""
    draws = parameter_draws(model, posterior)
    values = draws.to_numpy().reshape(-1, draws.sizes["parameter"])
    labels = Column("parameter (logit scale)", tuple(map(str, draws["parameter"].values)), number=False, label=True)
    summaries = {"mean": values.mean(axis=0), "sd": values.std(axis=0, ddof=1)}
    columns = (Column(name, tuple(cell(name, float(value)) for value in many)) for name, many in summaries.items())
    return Table((labels, *columns), values.shape[1], call, head=MOST)
