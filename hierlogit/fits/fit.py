"""Fit = Model + xarray.DataTree in ArviZ's groups + Diagnostics: what every engine returns and every verb reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import xarray as xr
from typing_extensions import TypeVar

from ..estimate import Estimate
from ..model_spec import ModelSpec
from .diagnostics import Diagnostics
from .netcdf import write_fit

if TYPE_CHECKING:
    from os import PathLike


#: The class of a fit's model: `hierlogit.Model` in what users see, `ModelSpec` where nothing but the values counts.
M_co = TypeVar("M_co", bound=ModelSpec, default=ModelSpec, covariant=True)


class Fit(Generic[M_co]):
    """An estimated model.

    Parameters
    ----------
    model : Model
    data : xarray.DataTree or callable
        The groups, or a function that makes them when they are first read.
    diagnostics : Diagnostics or callable
        How the estimate came about, or a function that computes it when it is first read.
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
    diagnostics : Diagnostics
    estimate : Estimate or None
        Maximum, standard errors and conditional modes, of a likelihood engine.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> round(fit.estimate.log_likelihood, 2)
    -1265.96
    """

    model: M_co
    estimate: Estimate | None

    def __init__(
        self,
        model: M_co,
        data: xr.DataTree | Callable[[], xr.DataTree],
        diagnostics: Diagnostics | Callable[[], Diagnostics],
        estimate: Estimate | None = None,
    ) -> None:
        self.__dict__.update(model=model, estimate=estimate, _data=data, _diagnostics=diagnostics)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Fit is immutable: make a new one instead of setting '{name}'.")

    @cached_property
    def data(self) -> xr.DataTree:
        """Groups as ArviZ has them."""
        data: xr.DataTree | Callable[[], xr.DataTree] = self.__dict__["_data"]
        return data() if callable(data) else data

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """How the estimate came about."""
        diagnostics: Diagnostics | Callable[[], Diagnostics] = self.__dict__["_diagnostics"]
        return diagnostics() if callable(diagnostics) else diagnostics

    def __reduce__(self) -> tuple[object, ...]:
        # Draws that were not made yet are made now: what makes them holds compiled code's arrays.
        return (Fit, (self.model, self.data, self.diagnostics, self.estimate))

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
        return write_fit(Path(path), self.model, self.data, self.diagnostics, self.estimate)

    def __repr__(self) -> str:
        plain = self.estimate is not None and not self.estimate.penalised
        model = self.model.without_priors() if plain else repr(self.model)
        return "\n".join([*self._facts(), *(f"  {finding}" for finding in self.diagnostics.findings), model])

    def _facts(self) -> list[str]:
        took = sum(self.diagnostics.seconds.values())
        if self.estimate is not None:
            found = self.estimate
            return [
                f"Fit by {self.diagnostics.engine} ({found.method}): log-likelihood {found.log_likelihood:.4f} with "
                f"{found.n_parameters} parameters, AIC {found.aic:.2f}, BIC {found.bic:.2f}, "
                f"{self.diagnostics.status}, {took:.3f} s",
                f"  {', '.join(f'{name} {value:.4g}' for name, value in self.diagnostics.measures.items())}",
            ]
        sizes = self.data["posterior"].sizes
        return [
            f"Fit by {self.diagnostics.engine}: {sizes['chain']} chains of {sizes['draw']:,} draws, "
            f"{self.diagnostics.status}, {took:.1f} s",
            f"  {', '.join(f'{name} {value:.4g}' for name, value in self.diagnostics.measures.items())}",
        ]

    def _repr_html_(self) -> str:
        findings = "".join(f"<li>{escape(str(finding))}</li>" for finding in self.diagnostics.findings)
        head, measures = self._facts()
        return (
            f"<div><strong>{escape(head)}</strong><p>{escape(measures.strip())}</p>"
            f"{f'<ul>{findings}</ul>' if findings else ''}{self.model._repr_html_()}</div>"
        )
