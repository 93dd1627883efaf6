"""The ``hierlogit`` command: arguments -> the public API, tables on the terminal, files in a folder.

The only module that prints. Heavy libraries are imported inside the commands, so that ``hierlogit --help`` is quick.
"""

from __future__ import annotations

import math
import re
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .errors import HierlogitError, HierlogitWarning

if TYPE_CHECKING:
    import pandas as pd

    from .design import GroupBlock
    from .fit import Fit
    from .model import Model

DEMO_DATA = "contraception"
DEMO_FORMULA = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)"

#: Rows of the cluster predictions shown on the terminal.
HEAD = 8
#: Predictions held at once, draws times rows; beyond it fewer draws are used.
MAX_CELLS = 5 * 10**7
#: What the name of a compressed table ends in.
COMPRESSED = {".gz", ".bz2", ".xz", ".zip"}
#: Exit statuses.
BAD_INPUT, INTERRUPTED = 2, 130

app = typer.Typer(
    name="hierlogit",
    help="Mixed-effects logistic regression: fit a model to a table and write tables and pictures of it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # labels such as urban[Y] are no markup
    pretty_exceptions_enable=False,
)


class CommandError(HierlogitError):
    """What was asked for cannot be done: a file is missing, unreadable or in the way."""


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("hierlogit")
        except PackageNotFoundError:
            number = "(not installed)"
        _console().print(f"hierlogit {number}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Mixed-effects logistic regression: fit a model to a table and write tables and pictures of it."""


Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results; made if it is not there.")]
Draws = Annotated[int, typer.Option(help="Draws kept from each chain.")]
Tune = Annotated[int, typer.Option(help="Steps of adaptation before them, not kept.")]
Chains = Annotated[int, typer.Option(help="Independent chains.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")]


@app.command()
def demo(
    *,
    output: Output = Path("hierlogit-demo"),
    draws: Draws = 1000,
    tune: Tune = 1000,
    chains: Chains = 4,
    seed: Annotated[int, typer.Option(help="Repeats the run exactly.")] = 1,
) -> None:
    """Fit a model of contraceptive use in the districts of Bangladesh, and write all tables and pictures of it.

    Results of an earlier demonstration in the folder are replaced.
    """
    with _plain_messages():
        engine = _engine(draws=draws, tune=tune, chains=chains, seed=seed)
        _refuse_file(output)
        import hierlogit as hl

        about = hl.datasets.describe(DEMO_DATA)
        _say(f"{about.title}\n{about.origin}\n", style="dim")
        _analyse(hl.Model(DEMO_FORMULA, hl.datasets.load(DEMO_DATA)), engine, output, overwrite=True)


@app.command()
def fit(
    *,
    data: Annotated[Path, typer.Argument(help="Table of rows: .csv, .tsv (also .gz, .bz2, .xz, .zip) or .parquet.")],
    formula: Annotated[str, typer.Argument(help="Such as 'y ~ x + (1 + x | group)'; quote it.")],
    output: Output = Path("hierlogit-fit"),
    draws: Draws = 1000,
    tune: Tune = 1000,
    chains: Chains = 4,
    cores: Annotated[int | None, typer.Option(help="Chains run at the same time; by default as many as fit.")] = None,
    seed: Annotated[int | None, typer.Option(help="Repeats the run exactly; by default a new one each time.")] = None,
    target_accept: Annotated[float, typer.Option(help="Wanted acceptance rate, between 0 and 1.")] = 0.9,
    backend: Annotated[str, typer.Option(help="nutpie, pymc, numpyro or blackjax.")] = "nutpie",
    missing: Annotated[str, typer.Option(help="Rows with missing values: drop them, or stop with an error.")] = "drop",
    ci_prob: Annotated[float | None, typer.Option(help="Probability of the intervals; by default 0.89.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a model to a table by the No-U-Turn sampler, and write tables and pictures of it."""
    with _plain_messages():
        engine = _engine(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            seed=seed,
            target_accept=target_accept,
            backend=backend,
        )
        _refuse_file(output)
        from .intervals import Interval
        from .model import Model

        Interval.of(ci_prob, None)
        choice: Any = missing
        model = Model(formula, read_rows(data), missing=choice)
        _analyse(model, engine, output, overwrite=overwrite, ci_prob=ci_prob)


@app.command()
def datasets() -> None:
    """List the tables that come with the package."""
    with _plain_messages():
        import hierlogit as hl

        _show(hl.datasets.list()[["name", "rows", "clusters", "title"]])
        _say("\nLoad one in Python: hierlogit.datasets.load('contraception')", style="dim")


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table by what its name ends in.

    Raises
    ------
    CommandError
        If there is no such file, or it cannot be read.
    """
    import pandas as pd

    if not path.is_file():
        raise CommandError(f"there is no file {path}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    kind = suffixes[-1] if suffixes else ""
    try:
        match kind:
            case ".csv":
                return pd.read_csv(path)
            case ".tsv" | ".tab":
                return pd.read_csv(path, sep="\t")
            case ".parquet":
                return pd.read_parquet(path)
    except (OSError, EOFError, ValueError, ImportError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise CommandError(f"cannot read {path} as {kind[1:]}: {reason}") from error
    raise CommandError(f"cannot tell what kind of table {path} is. Its name must end in .csv, .tsv or .parquet.")


def _engine(**options: Any) -> Any:
    from .engines.nuts import NUTS

    return NUTS(**options, progress=sys.stderr.isatty())


def _analyse(model: Model, engine: Any, folder: Path, *, overwrite: bool, ci_prob: float | None = None) -> None:
    """Fit the model, show its tables, and write everything into the folder: the one path of all commands."""
    planned = _planned(model)
    _prepare(folder, list(planned), overwrite=overwrite)
    _say_model(model)
    _say(
        f"\nSampling {engine.chains} chains of {engine.draws:,} draws after {engine.tune:,} steps of tuning. "
        "On the first run compiling takes about half a minute.",
        style="bold",
    )
    fitted = model.fit(engine)
    _say_report(fitted)
    tables = _tables(fitted, ci_prob)
    _say_estimates(fitted, tables)
    written = _write(fitted, tables, folder, ci_prob)
    _say(f"\nResults in {folder}", style="bold")
    listing = _grid(("file", "left"), ("what it is", "left"))
    for name in planned:
        if name in written:
            listing.add_row(Text(name), Text(planned[name]))
    _console().print(listing)
    if fitted.report.status == "interrupted":
        _fail("sampling was interrupted: these results are of the draws until then.")
        raise typer.Exit(INTERRUPTED)


def _planned(model: Model) -> dict[str, str]:
    """Files that will be written, each with what it is."""
    design = model.design
    files = {"fit.nc": "the fit itself; hierlogit.load() reads it", "summary.csv": "all parameters, with convergence"}
    if _has_ratios(model):
        files["odds_ratios.csv"] = "odds ratios of the fixed effects"
    if design.groups:
        files["variance_components.csv"] = "how much varies between clusters"
        files["cluster_effects.csv"] = "effects of every cluster"
    for group in design.groups:
        files[_predictions_file(model, group)] = f"predicted probability by {group.name}"
    if not design.groups:
        files["predictions.csv"] = "predicted probability of every row"
    if _has_ratios(model):
        files["forest.png"] = "odds ratios with intervals"
    if design.groups:
        files["caterpillar.png"] = "effects of every cluster with intervals"
        if predictor := curve_predictor(model):
            files["curves.png"] = f"probability against {predictor}, by cluster"
        files["cluster_check.png"] = "observed proportions of clusters against simulated ones"
    return files


def _has_ratios(model: Model) -> bool:
    return any(label != "Intercept" for label in model.design.fixed_effects)


def _predictions_file(model: Model, group: GroupBlock) -> str:
    if len(model.design.groups) == 1:
        return "predictions.csv"
    return f"predictions_{re.sub(r'[^0-9A-Za-z_]+', '_', group.name)}.csv"


def curve_predictor(model: Model) -> str | None:
    """Column the picture of curves has along its axis: the first numeric predictor, else the first other one."""
    design = model.design
    clusters = {column for group in design.groups for column in group.columns}
    words = {word for term in design.fixed_terms for word in re.findall(r"\w+", term)}
    words.update(design.fixed_terms)
    fixed = [name for name in design.predictors if name in words and name not in clusters]
    numeric = [name for name in fixed if design.table.frame[name].dtype.kind in "iuf"]
    return next(iter([*numeric, *fixed]), None)


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file; choose a folder with --output.")


def _prepare(folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
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
        raise CommandError(f"cannot make the folder {folder}: {error.strerror}.") from error


def _tables(fitted: Fit, ci_prob: float | None) -> dict[str, pd.DataFrame]:
    """Every table by the name of its file."""
    import hierlogit as hl

    model = fitted.model
    tables = {"summary.csv": hl.summary(fitted, ci_prob=ci_prob)}
    if _has_ratios(model):
        tables["odds_ratios.csv"] = hl.odds_ratios(fitted, ci_prob=ci_prob)
    if model.design.groups:
        tables["variance_components.csv"] = hl.variance_components(fitted, ci_prob=ci_prob)
        tables["cluster_effects.csv"] = hl.ranef(fitted, ci_prob=ci_prob)
    draws = _affordable(fitted)
    for group in model.design.groups:
        predicted = hl.predictions(fitted, by=list(group.columns), ci_prob=ci_prob, draws=draws)
        tables[_predictions_file(model, group)] = predicted
    if not model.design.groups:
        tables["predictions.csv"] = hl.predictions(fitted, ci_prob=ci_prob, draws=draws)
    return tables


def _affordable(fitted: Fit) -> int | None:
    """Draws whose predictions for all rows fit into memory; None for all."""
    posterior, rows = fitted.posterior, fitted.model.design.n_rows
    available = posterior.sizes["chain"] * posterior.sizes["draw"]
    most = max(MAX_CELLS // rows, 50)
    if available <= most:
        return None
    _note(f"predictions use {most:,} of the {available:,} draws, so that they fit into memory.")
    return most


def _write(fitted: Fit, tables: dict[str, pd.DataFrame], folder: Path, ci_prob: float | None) -> set[str]:
    """Write fit, tables and pictures; returns the names of those written."""
    fitted.save(folder / "fit.nc")
    written = {"fit.nc", *tables}
    for name, table in tables.items():
        try:
            table.to_csv(folder / name, index=not name.startswith("predictions"))
        except OSError as error:
            raise CommandError(f"cannot write {folder / name}: {error.strerror}.") from error
    for name, draw in _pictures(fitted, ci_prob).items():
        try:
            _save_picture(draw(), folder / name)
            written.add(name)
        except HierlogitError as error:
            _note(f"{name} was not drawn: {error}")
    return written


def _pictures(fitted: Fit, ci_prob: float | None) -> dict[str, Callable[[], Any]]:
    """Functions that draw, by the name of the file; says which are left out and why."""
    import matplotlib as mpl

    mpl.use("agg")
    import hierlogit as hl

    drawers: dict[str, Callable[[], Any]] = {}
    model, predictor = fitted.model, curve_predictor(fitted.model)
    if _has_ratios(model):
        drawers["forest.png"] = lambda: hl.plots.forest(fitted, ci_prob=ci_prob)
    else:
        _note("no forest.png: the model has no fixed effect besides the intercept.")
    if not model.design.groups:
        _note("no caterpillar.png, curves.png and cluster_check.png: the model has no random terms.")
        return drawers
    drawers["caterpillar.png"] = lambda: hl.plots.caterpillar(fitted, ci_prob=ci_prob)
    if predictor is None:
        _note("no curves.png: the fixed part has no predictor.")
    else:
        drawers["curves.png"] = lambda: hl.plots.curves(fitted, predictor, ci_prob=ci_prob)
    seed = fitted.report.seed
    drawers["cluster_check.png"] = lambda: hl.plots.cluster_check(fitted, seed=seed, ci_prob=ci_prob)
    return drawers


def _save_picture(axes: Any, path: Path) -> None:
    import matplotlib.pyplot as plt
    import numpy as np

    import hierlogit as hl

    figure = np.asarray(axes, dtype=object).ravel()[0].figure
    try:
        figure.savefig(path, dpi=150, metadata={"Description": hl.plots.text_alternative(figure)})
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}.") from error
    finally:
        plt.close(figure)


# What follows prints.


def _console(*, errors: bool = False) -> Console:
    return Console(stderr=errors, highlight=False, markup=False, emoji=False)


def _say(text: str, style: str = "") -> None:
    _console().print(Text(text, style=style))


def _note(text: str) -> None:
    _console().print(Text(f"note: {text}", style="dim"), soft_wrap=True)


def _fail(text: str) -> None:
    # No wrapping: a formula's marks must stay under what they mark.
    message = Text("error: ", style="bold red")
    message.append(text, style="default")
    _console(errors=True).print(message, soft_wrap=True)


@contextmanager
def _plain_messages() -> Iterator[None]:
    """Turn errors into one message and an exit status, and warnings into one line each."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = Text("warning: ", style="bold yellow")
        line.append(" ".join(str(message).split()), style="default")
        _console(errors=True).print(line, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", HierlogitWarning)
        warnings.showwarning = show
        try:
            yield
        except HierlogitError as error:
            _fail(str(error))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            _fail("interrupted before there were draws to keep.")
            raise typer.Exit(INTERRUPTED) from error


def _say_model(model: Model) -> None:
    width = _console().width
    for line in repr(model).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 10)
        _say(textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def _say_report(fitted: Fit) -> None:
    report = fitted.report
    measures = ", ".join(f"{name} {value:.4g}" for name, value in report.measures.items())
    seconds = sum(report.seconds.values())
    _say(f"\n{report.engine}: {report.status} in {seconds:.0f} s, seed {report.seed}", style="bold")
    if measures:
        _say(measures, style="dim")


def _say_estimates(fitted: Fit, tables: dict[str, pd.DataFrame]) -> None:
    design = fitted.model.design
    summary = tables["summary.csv"]
    shown = [name for name in summary.columns if name not in {"component", "ess_tail", "mcse_mean", "mcse_sd"}]
    fixed = summary.loc[summary["component"] == "fixed", shown]
    if len(fixed):
        _say(f"\nFixed effects on the logit scale; the event is {design.outcome.event}", style="bold")
        if "odds_ratios.csv" in tables:
            fixed = fixed.assign(odds_ratio=tables["odds_ratios.csv"]["median"].reindex(fixed.index))
        _show(fixed.reset_index())
        where = ", within a cluster" if design.groups else ""
        _say(f"odds_ratio: median of exp(effect){where}", style="dim")
    for group in design.groups:
        part = summary.loc[summary["component"] == group.name, shown]
        _say(f"\nVariance components: {group.name}, {len(group.levels):,} clusters, logit scale", style="bold")
        name = group.name.replace("/", "|")
        part.index = part.index.str.replace(rf"^(sd|cor)_{re.escape(name)}\[", r"\1[", regex=True)
        _show(part.reset_index())
    for group in design.groups[:1]:
        predicted = tables[_predictions_file(fitted.model, group)]
        left = f"first {HEAD} of {len(predicted):,} rows" if len(predicted) > HEAD else f"{len(predicted)} rows"
        _say(f"\nPredicted probability of {design.outcome.event} by {group.name}, {left}", style="bold")
        _show(predicted.head(HEAD))


def _grid(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, justify in columns:
        chosen: Any = justify
        table.add_column(Text(name), justify=chosen, overflow="fold", no_wrap=justify == "right")
    return table


def _show(frame: pd.DataFrame) -> None:
    """Print a table: text to the left, numbers rounded and to the right."""
    import pandas as pd

    numeric = {str(name): pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns}
    table = _grid(*((name, "right" if number else "left") for name, number in numeric.items()))
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(rounded(name, value)) for name, value in zip(numeric, row, strict=True)))
    _console().print(table)


def rounded(column: str, value: Any) -> str:
    """Write one cell of a table with the digits that mean something.

    Examples
    --------
    >>> rounded("mean", -1.07272), rounded("ess_bulk", 651.13), rounded("mean", -0.00452), rounded("district", 7)
    ('-1.073', '651', '-0.0045', '7')
    """
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):  # the column does not apply
        return ""
    if column.startswith("ess"):
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.0001 or abs(value) >= 1e5:
        return f"{value:.1e}"
    decimals = 4 if 0 < abs(value) < 0.01 else 3 if abs(value) < 100 else 1
    return f"{value:.{decimals}f}"
