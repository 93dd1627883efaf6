"""The ``hierlogit`` command, which calls the public API, shows tables on the terminal and writes files to a folder.

Heavy libraries are imported inside the commands, so that ``hierlogit --help`` is quick.
"""

from __future__ import annotations

import atexit
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..validation import number_of
from .cluster_options import read_clusters
from .engine_options import chosen_engine
from .output import CommandError, planned_files, prepare, refuse_file, tables_of, write_results, write_table
from .rows import read_rows
from .terminal import (
    INTERRUPTED,
    fail,
    plain_messages,
    say,
    say_estimates,
    say_files,
    say_model,
    say_report,
    show_table,
)
from .weight_options import ClusterOption, FrequencyOption, SamplingOption, ScalingOption, read_weights

if TYPE_CHECKING:
    from ..model import Model

DEMO_DATA = "contraception"
DEMO_FORMULA = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)"

app = typer.Typer(
    name="hierlogit",
    help="Mixed-effects logistic regression: fit a model to a table, and write tables, plots and a report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # labels such as urban[Y] are not markup
    pretty_exceptions_enable=False,
)
# Python would search all objects for garbage once more before the process ends, which one waits for after a report.
# Commands have closed their files by then.
atexit.register(gc.freeze)


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("hierlogit")
        except PackageNotFoundError:
            number = "(not installed)"
        say(f"hierlogit {number}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Mixed-effects logistic regression: fit a model to a table, and write tables, plots and a report."""


Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results; created if it does not exist.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")]
CiProb = Annotated[float | None, typer.Option(help="Probability of the intervals; by default 0.89.")]
Draws = Annotated[int | None, typer.Option(help="Draws: of each chain, after tuning, or of a likelihood fit; 1000.")]
Tune = Annotated[int | None, typer.Option(help="Tuning steps of each chain; by default as the backend needs.")]
Chains = Annotated[int | None, typer.Option(help="Number of chains; by default 4.")]


@app.command()
def demo(
    *,
    output: Output = Path("hierlogit-demo"),
    draws: Draws = None,
    tune: Tune = None,
    chains: Chains = None,
    seed: Annotated[int, typer.Option(help="Makes the run reproducible.")] = 1,
) -> None:
    """Fit a model of contraceptive use in the districts of Bangladesh, and write its tables and plots.

    Results of an earlier run in the folder are replaced.
    """
    with plain_messages():
        engine = chosen_engine("nuts", {"draws": draws, "tune": tune, "chains": chains, "seed": seed})
        refuse_file(output)
        import hierlogit as hl

        about = hl.datasets.describe(DEMO_DATA)
        say(f"{about.title}\n{about.origin}\n", style="dim")
        _analyse(hl.Model(DEMO_FORMULA, hl.datasets.load(DEMO_DATA)), engine, output, overwrite=True)


@app.command()
def fit(
    *,
    data: Annotated[
        Path,
        typer.Argument(
            help="Table of the rows: .csv, .tsv (also .gz, .bz2, .xz, .zip), .parquet, .arrow; or a folder of .parquet."
        ),
    ],
    formula: Annotated[str, typer.Argument(help="Such as 'y ~ x + (1 + x | group)'; quote it.")],
    output: Output = Path("hierlogit-fit"),
    engine: Annotated[str, typer.Option(help="nuts, laplace, agq, map or importance.")] = "nuts",
    draws: Draws = None,
    tune: Tune = None,
    chains: Chains = None,
    cores: Annotated[
        int | None, typer.Option(help="Chains run at the same time; by default as many as possible.")
    ] = None,
    target_accept: Annotated[
        float | None, typer.Option(help="Target acceptance rate, between 0 and 1; by default as for the backend.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="native (the default), nutpie, pymc, numpyro or blackjax.")
    ] = None,
    effects: Annotated[
        str | None, typer.Option(help="What nuts does with cluster effects: auto (the default), sampled or integrated.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="Quadrature nodes in each dimension, for agq, map and importance.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes the run reproducible; random by default.")] = None,
    prior: Annotated[
        list[str] | None, typer.Option(help="Such as 'beta=Normal(0, 1)' or 'sd_group=Exponential(2)'; once for each.")
    ] = None,
    family: Annotated[
        str, typer.Option(help="binomial, or betabinomial for counts that vary more than binomial ones.")
    ] = "binomial",
    frequency_weights: FrequencyOption = None,
    sampling_weights: SamplingOption = None,
    cluster_weights: ClusterOption = None,
    scaling: ScalingOption = None,
    missing: Annotated[
        str, typer.Option(help="Rows with missing values or without trials: drop them, or stop with an error.")
    ] = "drop",
    collinear: Annotated[
        str, typer.Option(help="Columns that are linear combinations of others: drop them, or stop with an error.")
    ] = "drop",
    sep: Annotated[str | None, typer.Option(help="Character between columns, such as ';' or tab.")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal character of numbers, such as ','.")] = ".",
    encoding: Annotated[str, typer.Option(help="Encoding of the text, such as latin-1.")] = "utf-8",
    ci_prob: CiProb = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a model to a table, by the No-U-Turn sampler or by likelihood, and write its tables and plots."""
    with plain_messages():
        options = {
            "draws": draws,
            "tune": tune,
            "chains": chains,
            "cores": cores,
            "target_accept": target_accept,
            "backend": backend,
            "effects": effects,
            "nodes": nodes,
            "seed": seed,
        }
        chosen = chosen_engine(engine, options)
        refuse_file(output)
        from ..model import Model
        from ..summaries.intervals import Interval
        from .prior_options import read_priors

        Interval.of(ci_prob, None)
        priors = read_priors(prior or [])
        weights = read_weights(frequency_weights, sampling_weights, cluster_weights or [], scaling)
        rows_without: Any = missing
        dependent: Any = collinear
        distribution: Any = family
        rows = read_rows(data, sep=sep, decimal=decimal, encoding=encoding)
        model = Model(
            formula,
            rows,
            priors=priors,
            missing=rows_without,
            collinear=dependent,
            family=distribution,
            weights=weights,
        )
        _refuse_levels_for_all_rows(model)
        _analyse(model, chosen, output, overwrite=overwrite, ci_prob=ci_prob)


@app.command()
def report(
    *,
    fits: Annotated[
        list[Path],
        typer.Argument(help="Saved fits, such as hierlogit-fit/fit.nc, or their folders; several are compared."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Name of a fit, once for each fit; by default its file or folder.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed for simulations in the report; that of the first fit by default.")
    ] = None,
    ci_prob: CiProb = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a report of saved fits as one HTML page: data, model, estimates, plots and checks."""
    with plain_messages():
        fits = [path / "fit.nc" if path.is_dir() else path for path in fits]
        names = _names(fits, name)
        if output.exists() and not overwrite:
            raise CommandError(f"{output} already exists. Pass --overwrite to replace it, or another --output.")
        from ..parallel.second_process import started_ahead

        with started_ahead("hierlogit.reporting.page", "hierlogit.plots.cluster_curves"):
            import hierlogit as hl

            loaded = {label: hl.load(path) for label, path in zip(names, fits, strict=True)}
            written = hl.report(
                loaded if len(loaded) > 1 else loaded[names[0]], output, title=title, seed=seed, ci_prob=ci_prob
            )
        say(f"Report in {written}", style="bold")


@app.command()
def predict(
    *,
    fit: Annotated[Path, typer.Argument(help="A saved fit, such as hierlogit-fit/fit.nc, or its folder.")],
    data: Annotated[
        Path | None, typer.Argument(help="Table with rows to predict for; by default the rows of the fit.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("predictions.csv"),
    clusters: Annotated[
        list[str] | None,
        typer.Option(
            help="observed, average, typical, new, low, middle, high or quantiles such as 0.1,0.9; also by grouping "
            "factor, 'district=low,high', once for each."
        ),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Column to average by; once for each.")] = None,
    sep: Annotated[str | None, typer.Option(help="Character between columns, such as ';' or tab.")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal character of numbers, such as ','.")] = ".",
    encoding: Annotated[str, typer.Option(help="Encoding of the text, such as latin-1.")] = "utf-8",
    seed: Annotated[int | None, typer.Option(help="Makes the effects of new clusters reproducible.")] = None,
    ci_prob: CiProb = None,
    overwrite: Overwrite = False,
) -> None:
    """Write predicted probabilities of a saved fit, for clusters as they are, on average or at quantiles."""
    with plain_messages():
        chosen = read_clusters(clusters or [])
        if output.exists() and not overwrite:
            raise CommandError(f"{output} already exists. Pass --overwrite to replace it, or another --output.")
        import hierlogit as hl

        fitted = hl.load(fit / "fit.nc" if fit.is_dir() else fit)
        rows = None if data is None else read_rows(data, sep=sep, decimal=decimal, encoding=encoding)
        table = hl.predictions(fitted, rows, clusters=chosen, by=by or None, ci_prob=ci_prob, seed=seed)
        write_table(table, output)
        say(f"{number_of(len(table), 'prediction')} in {output}", style="bold")


def _names(fits: list[Path], given: list[str] | None) -> list[str]:
    """Names of the fits: those given or, by default, the names of their files, or of their folders if these agree."""
    if given:
        if len(given) != len(fits):
            raise CommandError(
                f"{number_of(len(given), 'name')} given for {number_of(len(fits), 'fit')}: pass --name once for each "
                "fit."
            )
        names = given
    else:
        stems = [path.stem for path in fits]
        names = stems if len(set(stems)) == len(stems) else [str(path.parent) for path in fits]
    if len(set(names)) < len(names):
        raise CommandError("two fits have the same name: pass --name once for each, with different names.")
    return names


@app.command()
def datasets() -> None:
    """List the data sets of the package."""
    with plain_messages():
        import hierlogit as hl

        show_table(hl.datasets.list()[["name", "rows", "clusters", "title"]])
        say("\nLoad one in Python: hierlogit.datasets.load('contraception')", style="dim")


@app.command()
def warm() -> None:
    """Compile everything now, once for this machine, so that first fits do not wait: for images, classrooms and CI."""
    with plain_messages():
        from ..compile_ahead import compile_ahead

        try:
            compiled = compile_ahead()
        except KeyboardInterrupt:
            fail("interrupted: what was compiled until then is kept, and the next call compiles the rest.")
            raise typer.Exit(INTERRUPTED) from None
        if compiled.shipped:
            say(f"{compiled.shipped} functions came with the package as machine code.")
        say(f"{compiled.functions} functions are compiled: {compiled.size / 1e6:.1f} MB in {compiled.folder}")


def _announcement(engine: Any) -> str:
    """What is about to be done, and how long it may take before anything is seen."""
    from ..engines.nuts.nuts import NUTS

    if not isinstance(engine, NUTS):
        return f"Fitting by {engine!r}."
    tune = engine.options(engine.backend).tune
    compiling = "" if engine.backend == "native" else " Compiling the model comes first, and takes about half a minute."
    chains = number_of(engine.chains, "chain")
    return f"Sampling {chains} of {engine.draws:,} draws after {tune:,} steps of tuning.{compiling}"


def _refuse_levels_for_all_rows(model: Model) -> None:
    """Stop before a fit that takes minutes because a column of the file was read as text by mistake."""
    from ..design.suspect_columns import suspect_columns

    for suspect in suspect_columns(model.formula, model.design.table.frame, model.design.table.row_counts):
        if suspect.kind in ("numbers_as_text", "many_levels"):
            decimal = ", or pass --decimal ',' if their commas are decimal points" if suspect.decimal_comma else ""
            raise CommandError(
                f"{suspect.evidence}. Correct these values in the file{decimal}. If they are categories, write "
                f"C({suspect.column}) in the formula."
            )


def _warn_of_data(model: Model) -> None:
    """Warn of what the data cannot tell, before time is spent on a fit; `Model` has given some of these warnings."""
    from ..diagnostics.data.check_data import check_data
    from ..diagnostics.data.suspect_columns import suspect_findings
    from ..errors import DataWarning, warn
    from ..fits.identification import findings_before_fits

    given = (*findings_before_fits(model), *suspect_findings(model))
    for finding in check_data(model).findings:
        if finding.severity != "note" and finding not in given and finding.code != "missing_values":
            warn(f"{finding.evidence} {finding.remedy}", DataWarning)


def _analyse(model: Model, engine: Any, folder: Path, *, overwrite: bool, ci_prob: float | None = None) -> None:
    """Fit the model, show its tables and write all results into the folder."""
    planned = planned_files(model)
    prepare(folder, list(planned), overwrite=overwrite)
    say_model(model)
    _warn_of_data(model)
    say(f"\n{_announcement(engine)}", style="bold")
    fitted = model.fit(engine)
    say_report(fitted)
    from ..fits.repeated_findings import findings_shown

    with findings_shown():
        tables = tables_of(fitted, ci_prob)
    predictions = [tables[name] for name in planned if name.startswith("predictions")]
    say_estimates(fitted, tables["summary.csv"], tables.get("odds_ratios.csv"), predictions[0])
    with findings_shown():
        written = write_results(fitted, tables, folder, ci_prob)
    say(f"\nResults in {folder}", style="bold")
    say_files({name: planned[name] for name in planned if name in written})
    if fitted.diagnostics.status == "interrupted":
        fail("sampling was interrupted: these results are of the draws until then.")
        raise typer.Exit(INTERRUPTED)
