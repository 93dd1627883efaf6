"""Draws of a sampler -> convergence findings and a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ...errors import ConvergenceWarning, warn
from ...fits.diagnostics import Diagnostics, versions
from ...fits.findings import Finding, status_of, warning_text
from ...fits.fit import Fit
from ...fits.identification import findings_of_model
from ...fits.posterior import assemble
from .advice import Advice
from .convergence import Convergence
from .convergence_findings import convergence_findings
from .options import BACKENDS, LEAST_DRAWS, SamplerOptions, checks_of

if TYPE_CHECKING:
    from ...model_spec import ModelSpec


def finished_fit[M: ModelSpec](
    model: M,
    options: SamplerOptions,
    notes: tuple[Finding, ...],
    draws: xr.Dataset,
    stats: xr.Dataset,
    seconds: dict[str, float],
    tried: str = "",
) -> Fit[M]:
    """The fit of a sampler's draws, with its diagnostics.

    Parameters
    ----------
    model : Model
    options : SamplerOptions
    notes : tuple of Finding
        Findings that are not about the draws.
    draws, stats : xarray.Dataset
        What the sampler returned, dims (chain, draw, ...).
    seconds : dict of str to float
        Wall time by stage.
    tried : str, optional
        Name of an engine that was tried first.
    """
    posterior, stats = _complete_part(draws, stats)
    convergence = Convergence.of(model, posterior, stats)
    findings = convergence_findings(Advice(model, posterior, stats, options, convergence, seconds, tried))
    about_model = findings_of_model(model)
    diagnostics = Diagnostics(
        engine="NUTS",
        exact=True,
        status=status_of((*findings, *about_model)),
        findings=(*findings, *about_model, *notes),
        settings=options.settings(),
        seed=options.seed,
        measures=convergence.measures,
        seconds=seconds,
        versions=versions("arviz", "numba", "pytensor", *BACKENDS[options.backend]),
    )
    if text := warning_text(findings):
        warn(text, ConvergenceWarning)
    stats = stats.drop_vars(checks_of(options))  # of some draws only, and summed up among the measures
    return Fit(model, assemble(model, posterior, stats), diagnostics)


def _complete_part(draws: xr.Dataset, stats: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The largest number of chains and draws that an interrupted run has completed; everything if it was not.

    Draws that an interrupted sampler has not made are not numbers.

    Raises
    ------
    KeyboardInterrupt
        If no chain has finished its tuning, so that there is nothing to keep.
    """
    finished = np.ones((draws.sizes["chain"], draws.sizes["draw"]), dtype=bool)
    energy = [stats["energy"]] if "energy" in stats else []
    for variable in [*draws.data_vars.values(), *energy]:  # a run on disk may have more of one than of another
        values = variable.transpose("chain", "draw", ...).to_numpy()
        # A draw is written as a whole: its last value is a number if the others are.
        finished &= ~np.isnan(values.reshape(*values.shape[:2], -1)[..., -1])
    lengths = np.where(finished.all(axis=1), finished.shape[1], np.argmin(finished, axis=1))
    order = np.argsort(-lengths, kind="stable")
    cells = lengths[order] * np.arange(1, len(order) + 1)
    chains = int(np.argmax(cells)) + 1
    length = int(lengths[order[chains - 1]])
    if length < LEAST_DRAWS:
        raise KeyboardInterrupt
    part = {"chain": np.sort(order[:chains]), "draw": slice(0, length)}
    return draws.isel(part), stats.isel(part)
