"""Output on the terminal: the model, tables, notes and errors; the only module that prints."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import HierlogitError, HierlogitWarning
from ..formatting import cell, plain

if TYPE_CHECKING:
    import pandas as pd

    from ..fits.fit import Fit
    from ..model_spec import ModelSpec

#: Rows of the cluster predictions shown on the terminal.
HEAD = 8
#: Exit statuses.
BAD_INPUT, INTERRUPTED = 2, 130


def console(*, errors: bool = False) -> Console:
    """A console that prints text literally, since labels such as urban[Y] are not markup."""
    return Console(stderr=errors, highlight=False, markup=False, emoji=False)


def say(text: str, style: str = "") -> None:
    """Print a text."""
    console().print(Text(text, style=style))


def note(text: str) -> None:
    """Print a note."""
    console().print(Text(f"note: {text}", style="dim"), soft_wrap=True)


def fail(text: str) -> None:
    """Print an error to stderr, without wrapping lines, so that marks stay under the part of a formula they mark."""
    message = Text("error: ", style="bold red")
    message.append(text, style="default")
    console(errors=True).print(message, soft_wrap=True)


@contextmanager
def plain_messages() -> Iterator[None]:
    """Context in which errors become a message with an exit status, and warnings become a line each."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = Text("warning: ", style="bold yellow")
        line.append(" ".join(str(message).split()), style="default")
        console(errors=True).print(line, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", HierlogitWarning)
        warnings.showwarning = show
        try:
            yield
        except HierlogitError as error:
            fail(str(error))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            fail("interrupted before there were draws to keep.")
            raise typer.Exit(INTERRUPTED) from error


def say_model(model: ModelSpec) -> None:
    """Print the model, wrapped to the width of the terminal."""
    width = console().width
    for line in repr(model).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 10)
        say(textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def say_report(fitted: Fit) -> None:
    """Print status, seed and convergence measures of the fit."""
    diagnostics = fitted.diagnostics
    measures = ", ".join(f"{name} {plain(cell(name, value))}" for name, value in diagnostics.measures.items())
    seconds = sum(diagnostics.seconds.values())
    say(f"\n{diagnostics.engine}: {diagnostics.status} in {seconds:.0f} s, seed {diagnostics.seed}", style="bold")
    if measures:
        say(measures, style="dim")


def say_estimates(fitted: Fit, summary: pd.DataFrame, ratios: pd.DataFrame | None, predicted: pd.DataFrame) -> None:
    """Print fixed effects with their odds ratios, variance components, and the first predictions."""
    design = fitted.model.design
    shown = [name for name in summary.columns if name not in {"component", "ess_tail", "mcse_mean", "mcse_sd"}]
    fixed = summary.loc[summary["component"] == "fixed", shown]
    if len(fixed):
        say(f"\nFixed effects on the logit scale; the event is {design.outcome.event}", style="bold")
        if ratios is not None:
            middle = "median" if "median" in ratios else "estimate"
            fixed = fixed.assign(odds_ratio=ratios[middle].reindex(fixed.index))
        show_table(fixed.reset_index())
        if ratios is not None:
            exponential = "median of exp(effect)" if middle == "median" else "exp(effect)"
            say(f"odds_ratio: {exponential}{', within a cluster' if design.groups else ''}", style="dim")
    for group in design.groups:
        part = summary.loc[summary["component"] == group.name, shown]
        say(f"\nVariance components: {group.name}, {len(group.levels):,} clusters, logit scale", style="bold")
        part.index = part.index.str.replace(rf"^(sd|cor)_{re.escape(group.result_name)}\[", r"\1[", regex=True)
        show_table(part.reset_index())
    if design.groups:
        left = f"first {HEAD} of {len(predicted):,} rows" if len(predicted) > HEAD else f"{len(predicted)} rows"
        say(f"\nPredicted probability of {design.outcome.event} by {design.groups[0].name}, {left}", style="bold")
        show_table(predicted.head(HEAD))


def say_files(files: dict[str, str]) -> None:
    """Print the names of files with their descriptions."""
    table = grid(("file", "left"), ("content", "left"))
    for name, description in files.items():
        table.add_row(Text(name), Text(description))
    console().print(table)


def grid(*columns: tuple[str, str]) -> Table:
    """An empty table with these columns, each with its alignment."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, justify in columns:
        chosen: Any = justify
        table.add_column(Text(name), justify=chosen, overflow="fold", no_wrap=justify == "right")
    return table


def show_table(frame: pd.DataFrame) -> None:
    """Print a table: text aligned to the left, numbers rounded and aligned to the right."""
    import pandas as pd

    numeric = {str(name): pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns}
    table = grid(*((name, "right" if number else "left") for name, number in numeric.items()))
    for row in frame.itertuples(index=False):
        # Whole numbers may be labels of clusters, which have no thousands.
        cells = [
            plain(cell(name, value)) if isinstance(value, float) else str(value)
            for name, value in zip(numeric, row, strict=True)
        ]
        table.add_row(*map(Text, cells))
    console().print(table)
