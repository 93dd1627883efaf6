"""`Model` → `explain`: the model as words, as mathematics and as a PyMC program."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path

import pandas as pd

from ..display import Content, Facts, Folded, Shown, View, element
from ..errors import ModelError
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from .latex import latex
from .mathml import mathml
from .pymc_program import DATA_FILE, pymc_program
from .words import Paragraph, words

PROGRAM_FILE = "program.py"


@dataclass(frozen=True, repr=False)
class Explanation(Shown):
    """A model in three languages.

    Attributes
    ----------
    formula : str
    paragraphs : tuple of Paragraph
        The model in words, part by part.
    latex : str
        As an ``aligned`` block, to be set in display mathematics.
    code : str
        A program in PyMC that needs nothing of this package and has the same posterior. It reads ``data.csv``.
    data : pandas.DataFrame
        What that file holds: the model's rows, and the columns that the program cannot compute itself.
    """

    formula: str
    paragraphs: tuple[Paragraph, ...]
    latex: str
    code: str
    data: pd.DataFrame

    @property
    def words(self) -> str:
        """The model in words, as plain text."""
        return "\n\n".join(paragraph.plain() for paragraph in self.paragraphs)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write the program and what it reads, ``program.py`` and ``data.csv``.

        Parameters
        ----------
        folder : str or path
            Made if it is not there.

        Returns
        -------
        Path
            Of the program.

        Raises
        ------
        ModelError
            If a file of one of these names with other content is there already, or cannot be written.
        """
        place = Path(folder)
        files = {place / PROGRAM_FILE: self.code, place / DATA_FILE: self.data.to_csv(index=False)}
        try:
            place.mkdir(parents=True, exist_ok=True)
            for path, content in files.items():
                if path.exists() and path.read_bytes() != content.encode():
                    raise ModelError(f"{path} is there already with other content: move it away, or name a new folder.")
            for path, content in files.items():
                path.write_bytes(content.encode())
        except OSError as error:
            raise ModelError(f"cannot write to {place}: {error}.") from error
        return place / PROGRAM_FILE

    def _view(self) -> View:
        mathematics = Content(mathml(self.latex, priors=True))
        program = Content(element("pre", element("code", escape(self.code))))
        also = (
            ".latex, the same as mathematics; .code, a PyMC program of its own, of "
            f"{len(self.code.splitlines()):,} lines; .save(folder), that program with its data"
        )
        return View(
            self.formula,
            (
                *(paragraph.facts() for paragraph in self.paragraphs),
                Facts((("also", also),)),
                Folded("In mathematics", mathematics),
                Folded("In PyMC", program),
            ),
        )


def explain(model: ModelSpec | Fit) -> Explanation:
    """Say what a model is: in words, as mathematics, and as a PyMC program that runs on its own.

    Parameters
    ----------
    model : Model or Fit
        A fit's model is explained.

    Returns
    -------
    Explanation
        Notebooks show words, mathematics and program; ``.words``, ``.latex`` and ``.code`` are text, and
        ``.save(folder)`` writes the program beside the data that it reads.

    See Also
    --------
    Model.to_pymc, Model.to_bambi, Model.to_latex : The translations as objects.

    Notes
    -----
    The program builds the graph of `Model.to_pymc` variable by variable, under the same names, so that its posterior is
    that of ``Model.fit("nuts")``. Transformations of the formula are written out with NumPy and pandas where these have
    them; columns of splines, of contrasts other than those against a reference level, and of your own functions are
    read from the file.

    Examples
    --------
    >>> import hierlogit as hl
    >>> made = hl.explain(hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")))
    >>> print(made.paragraphs[1].plain())
    Fixed effects: The log-odds are a sum of these, the same in all clusters.
      Intercept  the log-odds where all columns below are 0, in a typical cluster
      week_gt2   the change of the log-odds for one more unit of week_gt2
    >>> [line for line in made.code.splitlines() if line.startswith("y = ")]
    ['y = data["y"].to_numpy(dtype=int)']
    """
    chosen = model.model if isinstance(model, Fit) else model
    program = pymc_program(chosen)
    return Explanation(chosen.formula.line, words(chosen), latex(chosen), program.code, program.data)
