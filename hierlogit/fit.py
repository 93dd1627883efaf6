"""Fit = Model + xarray.DataTree in ArviZ's groups + EngineReport: what every engine returns and every verb reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from html import escape
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from .density.linear import pointwise_log_likelihood
from .density.prior import log_prior
from .estimate import Estimate
from .findings import Finding
from .model import Model

if TYPE_CHECKING:
    from os import PathLike

    from .grouping import GroupBlock

Status = Literal["converged", "check", "failed", "interrupted"]


@dataclass(frozen=True, repr=False)
class EngineReport:
    """How an estimate came about.

    Attributes
    ----------
    engine : str
        Name of the engine: ``"NUTS"``.
    exact : bool
        Whether the draws come from the posterior itself (up to Monte-Carlo error) and not from an approximation.
    status : {"converged", "check", "failed", "interrupted"}
        ``"check"`` if a finding asks for a look.
    findings : tuple of Finding
        What was found, with advice.
    settings : mapping
        The engine's options.
    seed : int or None
        Repeats the run exactly with the same versions.
    measures : mapping of str to float
        Convergence measures: ``max_rhat``, ``min_ess_bulk``, ``divergences``, ...
    seconds : mapping of str to float
        Wall time by stage.
    versions : mapping of str to str
        Versions of this package and of what did the work.
    """

    engine: str
    exact: bool
    status: Status
    findings: tuple[Finding, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        measures = ", ".join(f"{name} {value:.4g}" for name, value in self.measures.items())
        lines = [
            f"{self.engine} ({'exact' if self.exact else 'approximate'}), {self.status}",
            f"  settings  {settings}",
            f"  seed      {self.seed}",
            f"  measures  {measures}",
            f"  seconds   {', '.join(f'{name} {value:.1f}' for name, value in self.seconds.items())}",
        ]
        return "\n".join(lines + [f"  {finding}" for finding in self.findings])


class Fit:
    """An estimated model.

    Parameters
    ----------
    model : Model
    data : xarray.DataTree or callable
        The groups, or a function that makes them when they are first read.
    report : EngineReport or callable
        The report, or a function that makes it when it is first read.
    estimate : Estimate, optional
        What a likelihood engine found.

    Attributes
    ----------
    model : Model
    data : xarray.DataTree
        Groups as ArviZ has them: ``posterior`` with ``beta``, ``sd_<group>``, ``cor_<group>`` and ``b_<group>``,
        ``observed_data``, ``constant_data``, ``log_likelihood``; with priors ``log_prior``; of a sampler also
        ``sample_stats``. The log-likelihood is computed when it is read, and only the part that is read. The draws of a
        likelihood engine are made when the data are first read.
    report : EngineReport
    estimate : Estimate or None
        Maximum, standard errors and conditional modes, of a likelihood engine.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> round(fit.estimate.log_likelihood, 2)
    -1265.96
    """

    model: Model
    estimate: Estimate | None

    def __init__(
        self,
        model: Model,
        data: xr.DataTree | Callable[[], xr.DataTree],
        report: EngineReport | Callable[[], EngineReport],
        estimate: Estimate | None = None,
    ) -> None:
        self.__dict__.update(model=model, estimate=estimate, _data=data, _report=report)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Fit is immutable: make a new one instead of setting '{name}'.")

    @cached_property
    def data(self) -> xr.DataTree:
        """Groups as ArviZ has them."""
        data: xr.DataTree | Callable[[], xr.DataTree] = self.__dict__["_data"]
        return data() if callable(data) else data

    @cached_property
    def report(self) -> EngineReport:
        """How the estimate came about."""
        report: EngineReport | Callable[[], EngineReport] = self.__dict__["_report"]
        return report() if callable(report) else report

    def __reduce__(self) -> tuple[object, ...]:
        # Draws that were not made yet are made now: what makes them holds compiled code's arrays.
        return (Fit, (self.model, self.data, self.report, self.estimate))

    @property
    def with_priors(self) -> bool:
        """Whether priors took part: in all but fits by maximum likelihood."""
        return self.estimate is None or self.estimate.penalised

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws, dims (chain, draw, ...)."""
        return self.data["posterior"].to_dataset()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the fit to one netCDF file, from which `hierlogit.load` brings it back.

        Parameters
        ----------
        path : str or path
            File to write; an existing one is replaced once the new one is complete.

        Returns
        -------
        pathlib.Path
        """
        from .storage import write_fit

        return write_fit(self, Path(path))

    def __repr__(self) -> str:
        plain = self.estimate is not None and not self.estimate.penalised
        model = self.model.without_priors() if plain else repr(self.model)
        return "\n".join([*self._facts(), *(f"  {finding}" for finding in self.report.findings), model])

    def _facts(self) -> list[str]:
        took = sum(self.report.seconds.values())
        if self.estimate is not None:
            found = self.estimate
            return [
                f"Fit by {self.report.engine} ({found.method}): log-likelihood {found.log_likelihood:.4f} with "
                f"{found.n_parameters} parameters, AIC {found.aic:.2f}, BIC {found.bic:.2f}, {self.report.status}, "
                f"{took:.3f} s",
                f"  {', '.join(f'{name} {value:.4g}' for name, value in self.report.measures.items())}",
            ]
        sizes = self.data["posterior"].sizes
        return [
            f"Fit by {self.report.engine}: {sizes['chain']} chains of {sizes['draw']:,} draws, {self.report.status}, "
            f"{took:.1f} s",
            f"  {', '.join(f'{name} {value:.4g}' for name, value in self.report.measures.items())}",
        ]

    def _repr_html_(self) -> str:
        findings = "".join(f"<li>{escape(str(finding))}</li>" for finding in self.report.findings)
        head, measures = self._facts()
        return (
            f"<div><strong>{escape(head)}</strong><p>{escape(measures.strip())}</p>"
            f"{f'<ul>{findings}</ul>' if findings else ''}{self.model._repr_html_()}</div>"
        )


def assemble(
    model: Model, posterior: xr.Dataset, sample_stats: xr.Dataset | None, *, priors: bool = True
) -> xr.DataTree:
    """Put the groups of a fit together from its draws.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        Draws under the public names, dims (chain, draw, ...).
    sample_stats : xarray.Dataset or None
        The sampler's own statistics.
    priors : bool
        Whether the draws come from a posterior, with a density of the prior.

    Returns
    -------
    xarray.DataTree
    """
    outcome, design = model.design.outcome, model.design
    rows = {"obs": model.coords["obs"]}
    constant = {"trials": ("obs", outcome.trials.astype(int)), "offset": ("obs", design.offset)}
    for group in design.groups:
        constant[f"{group.result_name}_of_obs"] = ("obs", group.levels[group.index])
    groups = {
        "posterior": posterior,
        "log_likelihood": pointwise_log_likelihood(model, posterior),
        "observed_data": xr.Dataset({model.outcome_name: ("obs", outcome.y.astype(int))}, coords=rows),
        "constant_data": xr.Dataset(constant, coords=rows),
    }
    if priors:
        groups["log_prior"] = log_prior(model, posterior)
    if sample_stats is not None:
        groups["sample_stats"] = sample_stats
    return xr.DataTree.from_dict(groups)


def posterior_variables(model: Model) -> list[str]:
    """Names of the variables of a posterior group, in the order results show them."""
    names = ["beta"] if model.design.fixed_effects else []
    for group in model.design.groups:
        name = group.result_name
        names += [f"sd_{name}"] + ([f"cor_{name}"] if group.correlated else [])
    return names + [f"b_{group.result_name}" for group in model.design.groups]


def correlated_pairs(group: GroupBlock) -> list[tuple[int, int]]:
    """Positions of the pairs of effects that may correlate."""
    return [pair for members in group.sets for pair in combinations(members, 2)]


def parameter_draws(model: Model, posterior: xr.Dataset) -> xr.DataArray:
    """Draws of every parameter that is estimated: fixed effects, then sds and correlations by grouping factor.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, parameter), labelled by ``parameter`` (``sd_district[urban[Y]]``) and ``component``
        (``fixed`` or the grouping factor). What is fixed, such as the 1 on the diagonal of a correlation matrix, is
        left out.
    """
    parts = [("fixed", label, posterior["beta"].sel(fixed_effect=label)) for label in model.design.fixed_effects]
    for group in model.design.groups:
        name, dim = group.result_name, model.effect_dim(group)
        for i, effect in enumerate(group.effects):
            parts.append((group.name, f"sd_{name}[{effect}]", posterior[f"sd_{name}"].isel({dim: i})))
        for i, j in correlated_pairs(group):
            values = posterior[f"cor_{name}"].isel({dim: i, f"{dim}_bis": j})
            parts.append((group.name, f"cor_{name}[{group.effects[i]}, {group.effects[j]}]", values))
    draws = np.stack([values.transpose("chain", "draw").to_numpy() for *_, values in parts], axis=-1)
    coords = {
        "chain": posterior["chain"],
        "draw": posterior["draw"],
        "parameter": [label for _, label, _ in parts],
        "component": ("parameter", [component for component, *_ in parts]),
    }
    return xr.DataArray(draws, dims=("chain", "draw", "parameter"), coords=coords)


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, this package and others that are installed."""
    import platform

    found = {"python": platform.python_version()}
    for package in ("hierlogit", "numpy", "xarray", *packages):
        installed = _installed_version(package)
        if installed is not None:
            found[package] = installed
    return found


@cache
def _installed_version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
