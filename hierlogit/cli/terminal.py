"""Output on the terminal: the model, tables, notes and errors; the only module that prints."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import HierlogitError, HierlogitWarning
from ..fits.findings import FINDING_KINDS
from ..formatting import cell, plain
from ..progress import lines_where_unwatched
from .wording import on_command_line

if TYPE_CHECKING:
    import pandas as pd

    from ..fits.diagnostics import Diagnostics
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
    console().print(Text(plain(text), style=style))


def note(text: str) -> None:
    """Print a note."""
    console().print(Text(plain(f"note: {text}"), style="dim"), soft_wrap=True)


def fail(text: str) -> None:
    """Print an error to stderr, without wrapping lines, so that marks stay under the part of a formula they mark."""
    message = Text("error: ", style="bold red")
    message.append(plain(on_command_line(text)), style="default")
    console(errors=True).print(message, soft_wrap=True)


@contextmanager
def plain_messages() -> Iterator[None]:
    """Context in which errors become a message with an exit status, and warnings and progress lines of text."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = Text("warning: ", style="bold yellow")
        line.append(plain(on_command_line(" ".join(str(message).split()))), style="default")
        console(errors=True).print(line, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", HierlogitWarning)
        warnings.showwarning = show
        try:
            with lines_where_unwatched():
                yield
        except HierlogitError as error:
            fail(str(error))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            fail("interrupted before all results were written.")
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
    compiling = diagnostics.seconds.get("compile", 0.0)
    seconds = sum(diagnostics.seconds.values()) - compiling
    after = f" after {compiling:.0f} s of compiling, once for this machine" if compiling else ""
    seed = "" if diagnostics.seed is None else f", seed {diagnostics.seed}"
    say(f"\n{diagnostics.engine}: {_verdict(diagnostics)} in {seconds:.3g} s{after}{seed}", style="bold")
    if measures:
        say(measures, style="dim")


def _verdict(diagnostics: Diagnostics) -> str:
    """The status as a reader needs it, who must not take an estimate that needs attention for a sound one."""
    if diagnostics.status != "check":
        return diagnostics.status.upper() if diagnostics.status == "failed" else diagnostics.status
    sampling = any(FINDING_KINDS[finding.code].topic == "sampling" for finding in diagnostics.findings)
    return "NOT CONVERGED (see the warnings)" if sampling else "finished, but with warnings"


def say_estimates(fitted: Fit, summary: pd.DataFrame, ratios: pd.DataFrame | None, predicted: pd.DataFrame) -> None:
    """Print fixed effects with their odds ratios, variance components, and the first predictions."""
    from ..summaries.wald_profile import PHI

    design = fitted.model.design
    shown = [name for name in summary.columns if name not in {"component", "ess_tail", "mcse_mean", "mcse_sd"}]
    count = len(design.fixed_effects)
    fixed, others = summary[shown].iloc[:count], summary.iloc[count:]
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
        part = others.loc[(others["component"] == group.name) & (others.index != PHI), shown]
        say(f"\nVariance components: {group.name}, {len(group.levels):,} clusters, logit scale", style="bold")
        part.index = part.index.str.replace(rf"^(sd|cor)_{re.escape(group.result_name)}\[", r"\1[", regex=True)
        show_table(part.reset_index())
    if fitted.model.overdispersed:
        say("\nPrecision of the beta-binomial counts", style="bold")
        show_table(others.loc[[PHI], shown].reset_index())
    if design.groups:
        left = f"first {HEAD} of {len(predicted):,} rows" if len(predicted) > HEAD else f"{len(predicted)} rows"
        say(f"\nPredicted probability of {design.outcome.event} by {design.groups[0].name}, {left}", style="bold")
        show_table(predicted.head(HEAD))


def say_files(files: dict[str, str]) -> None:
    """Print the names of files with their descriptions."""
    table = grid(("file", "left"), ("content", "left"))
    for name, description in files.items():
        table.add_row(Text(plain(name)), Text(plain(description)))
    console().print(table)


def grid(*columns: tuple[str, str]) -> Table:
    """An empty table with these columns, each with its alignment."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, justify in columns:
        chosen: Any = justify
        table.add_column(Text(plain(name)), justify=chosen, overflow="fold", no_wrap=justify == "right")
    return table


def show_table(frame: pd.DataFrame) -> None:
    """Print a table: text aligned to the left, numbers rounded and aligned to the right.

    Columns that do not fit side by side follow below, beside the label of each row again, so that no label and no
    header is broken.
    """
    numeric = _numeric(frame)
    cells = {
        name: [_cell(name, value) for value in frame.iloc[:, place]]
        for place, name in enumerate(map(str, frame.columns))
    }
    for names in _blocks(cells, _labels(numeric), console().width):
        table = grid(*((name, "right" if numeric[name] else "left") for name in names))
        for row in zip(*(cells[name] for name in names), strict=True):
            table.add_row(*map(Text, row))
        console().print(table)


def _numeric(frame: pd.DataFrame) -> dict[str, bool]:
    import pandas as pd

    return {str(name): pd.api.types.is_numeric_dtype(kind) for name, kind in frame.dtypes.items()}


def _cell(name: str, value: Any) -> str:
    # Whole numbers may be labels of clusters, which have no thousands.
    return plain(cell(name, value)) if isinstance(value, float) else plain(" ".join(str(value).split()))


def _labels(numeric: dict[str, bool]) -> list[str]:
    """The leading columns of text, which label the rows; the first column if there are none."""
    names = list(numeric)
    texts = [name for place, name in enumerate(names) if not any(numeric[before] for before in names[: place + 1])]
    return texts if len(texts) < len(names) else names[:1]


def _blocks(cells: dict[str, list[str]], labels: list[str], width: int) -> Iterator[list[str]]:
    """Names of the columns of each block that fits into the width: the labels, then as many others as fit."""
    wide = {name: max(map(cell_len, [name, *column])) + 2 for name, column in cells.items()}
    block, used = list(labels), sum(wide[name] for name in labels)
    for name in cells:
        if name in labels:
            continue
        if used + wide[name] > width and len(block) > len(labels):
            yield block
            block, used = list(labels), sum(wide[label] for label in labels)
        block.append(name)
        used += wide[name]
    yield block
