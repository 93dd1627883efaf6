"""The folder of results of a fit: tables, plots and the fit itself, each with a description."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HierlogitError
from ..validation import reason_of
from ..whole_files import written_whole
from .terminal import note

if TYPE_CHECKING:
    import pandas as pd

    from ..design.grouping import GroupBlock
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec

#: Predictions in memory (draws times rows) beyond which fewer draws are used, and how many draws at least.
MAX_CELLS, FEWEST_DRAWS = 5 * 10**7, 50


class CommandError(HierlogitError):
    """A file is missing, cannot be read or written, or would be overwritten."""


def planned_files(model: ModelSpec) -> dict[str, str]:
    """Names of the files to be written, each with a description."""
    design = model.design
    files = {"fit.nc": "the fit itself; hierlogit.load() reads it", "summary.csv": "all parameters, with convergence"}
    if _has_ratios(model):
        files["odds_ratios.csv"] = "odds ratios of the fixed effects"
    if design.groups:
        files["variance_components.csv"] = "standard deviations and correlations of the random effects"
        files["cluster_effects.csv"] = "effects of each cluster"
    for group in design.groups:
        files[predictions_file(model, group)] = f"predicted probability by {group.name}"
    if not design.groups:
        files["predictions.csv"] = "predicted probability of each row"
    if _has_ratios(model):
        files["forest.png"] = "odds ratios with intervals"
    if design.groups:
        files["caterpillar.png"] = "effects of each cluster with intervals"
        if predictor := curve_predictor(model):
            files["curves.png"] = f"probability against {predictor}, by cluster"
        files["cluster_check.png"] = "observed proportions of clusters against simulated ones"
    return files


def _has_ratios(model: ModelSpec) -> bool:
    return any(label != "Intercept" for label in model.design.fixed_effects)


def predictions_file(model: ModelSpec, group: GroupBlock) -> str:
    """Name of the file with the predictions by `group`, with a number if the names of two factors would agree."""
    if len(model.design.groups) == 1:
        return "predictions.csv"
    names = [re.sub(r"[^0-9A-Za-z_]+", "_", other.name) for other in model.design.groups]
    place = [other.name for other in model.design.groups].index(group.name)
    number = f"_{place + 1}" if names.count(names[place]) > 1 else ""
    return f"predictions_{names[place]}{number}.csv"


def curve_predictor(model: ModelSpec) -> str | None:
    """Predictor on the axis of the plot of curves: the first numeric one, otherwise the first of all."""
    design = model.design
    clusters = {column for group in design.groups for column in group.columns}
    words = {word for term in design.fixed_terms for word in re.findall(r"\w+", term)}
    words.update(design.fixed_terms)
    fixed = [name for name in design.predictors if name in words and name not in clusters]
    numeric = [name for name in fixed if design.table.frame[name].dtype.kind in "iuf"]
    return next(iter([*numeric, *fixed]), None)


def refuse_file(folder: Path) -> None:
    """Raise an error if the folder is a file."""
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file; choose a folder with --output.")


def prepare(folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Create the folder; existing results in it are an error unless they may be overwritten."""
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise CommandError(
            f"{folder} already has {', '.join(there[:3])}{more}. Pass --overwrite to replace them, "
            "or another folder with --output."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make the folder {folder}: {reason_of(error)}.") from error


def tables_of(fitted: Fit, ci_prob: float | None) -> dict[str, pd.DataFrame]:
    """The tables by the names of their files."""
    import hierlogit as hl

    model = fitted.model
    tables: dict[str, pd.DataFrame] = {"summary.csv": hl.summary(fitted, ci_prob=ci_prob)}
    if _has_ratios(model):
        tables["odds_ratios.csv"] = hl.odds_ratios(fitted, ci_prob=ci_prob)
    if model.design.groups:
        tables["variance_components.csv"] = hl.variance_components(fitted, ci_prob=ci_prob)
        tables["cluster_effects.csv"] = hl.ranef(fitted, ci_prob=ci_prob)
    draws = _affordable(fitted)
    for group in model.design.groups:
        predicted = hl.predictions(fitted, by=list(group.columns), ci_prob=ci_prob, num_draws=draws)
        tables[predictions_file(model, group)] = predicted
    if not model.design.groups:
        tables["predictions.csv"] = hl.predictions(fitted, ci_prob=ci_prob, num_draws=draws)
    return tables


def _affordable(fitted: Fit) -> int | None:
    """How many draws to predict with, so that predictions for all rows fit into memory; None for all."""
    from ..fits.posterior import draws_within

    posterior = fitted.posterior
    most = draws_within(posterior, fitted.model.design.n_rows, MAX_CELLS, FEWEST_DRAWS)
    if most is not None:
        available = posterior.sizes["chain"] * posterior.sizes["draw"]
        note(f"predictions use {most:,} of the {available:,} draws, so that they fit into memory.")
    return most


def write_results(fitted: Fit, tables: dict[str, pd.DataFrame], folder: Path, ci_prob: float | None) -> set[str]:
    """Write the fit, tables and plots; returns the names of the files."""
    fitted.save(folder / "fit.nc")
    written = {"fit.nc", *tables}
    for name, table in tables.items():
        write_table(table, folder / name, index=not name.startswith("predictions"))
    for name, draw in _pictures(fitted, ci_prob).items():
        try:
            _save_picture(draw(), folder / name)
            written.add(name)
        except HierlogitError as error:
            note(f"{name} was not drawn: {error}")
    return written


def write_table(table: pd.DataFrame, path: Path, *, index: bool = False) -> None:
    """Write a table as a file of comma-separated values, with or without its index."""
    try:
        with written_whole(path) as partial:
            table.to_csv(partial, index=index)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {reason_of(error)}.") from error


def _pictures(fitted: Fit, ci_prob: float | None) -> dict[str, Callable[[], Any]]:
    """Functions that draw the plots, by the names of the files; a note says which plots are left out and why."""
    import matplotlib as mpl

    mpl.use("agg")
    import hierlogit as hl

    drawers: dict[str, Callable[[], Any]] = {}
    model, predictor = fitted.model, curve_predictor(fitted.model)
    if _has_ratios(model):
        drawers["forest.png"] = lambda: hl.plots.forest(fitted, ci_prob=ci_prob)
    else:
        note("no forest.png: the model has no fixed effect besides the intercept.")
    if not model.design.groups:
        note("no caterpillar.png, curves.png and cluster_check.png: the model has no random terms.")
        return drawers
    drawers["caterpillar.png"] = lambda: hl.plots.caterpillar(fitted, ci_prob=ci_prob)
    if predictor is None:
        note("no curves.png: the fixed part has no predictor.")
    else:
        drawers["curves.png"] = lambda: hl.plots.curves(fitted, predictor, ci_prob=ci_prob)
    seed = fitted.diagnostics.seed
    drawers["cluster_check.png"] = lambda: hl.plots.cluster_check(fitted, seed=seed, ci_prob=ci_prob)
    return drawers


def _save_picture(axes: Any, path: Path) -> None:
    import matplotlib.pyplot as plt
    import numpy as np

    import hierlogit as hl

    figure = np.asarray(axes, dtype=object).ravel()[0].figure
    try:
        with written_whole(path) as partial:
            figure.savefig(partial, format="png", dpi=150, metadata={"Description": hl.plots.text_alternative(figure)})
    except OSError as error:
        raise CommandError(f"cannot write {path}: {reason_of(error)}.") from error
    finally:
        plt.close(figure)
