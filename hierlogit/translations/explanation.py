"""A model explained in words, as mathematics and as a PyMC program."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path

import pandas as pd

from ..display import Content, Facts, Folded, Shown, View, element
from ..errors import ModelError
from ..fits.arguments import NO_POSTERIOR, model_of, refuse_sampling_weights
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..validation import path as checked_path
from ..validation import reason_of
from .latex import latex
from .mathml import mathml
from .pymc_program import DATA_FILE, pymc_program
from .words import Paragraph, words

PROGRAM_FILE = "program.py"


@dataclass(frozen=True, repr=False)
class Explanation(Shown):
    """A model in words, as mathematics and as a PyMC program.

    Attributes
    ----------
    formula : str
    paragraphs : tuple of Paragraph
        The model in words, part by part.
    latex : str
        The model as an ``aligned`` block for display mathematics.
    code : str
        A PyMC program with the same posterior, which does not need this package. It reads ``data.csv``.
    data : pandas.DataFrame
        The content of that file: the model's rows, and the columns that the program cannot compute itself.
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
        """Write the program and its data, ``program.py`` and ``data.csv``.

        Parameters
        ----------
        folder : str or path
            Created if it does not exist.

        Returns
        -------
        Path
            The program.

        Raises
        ------
        ModelError
            If a file with one of these names and other content exists, or the files cannot be written.
        """
        place = checked_path("folder", folder, ModelError)
        files = {place / PROGRAM_FILE: self.code, place / DATA_FILE: self.data.to_csv(index=False)}
        try:
            place.mkdir(parents=True, exist_ok=True)
            for path, content in files.items():
                if path.exists() and path.read_bytes() != content.encode():
                    raise ModelError(f"{path} already exists with other content. Move it away, or name a new folder.")
            for path, content in files.items():
                path.write_bytes(content.encode())
        except OSError as error:
            raise ModelError(f"cannot write to {place}: {reason_of(error)}.") from error
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
    """Explanation of a model in words, as mathematics, and as a PyMC program that runs without this package.

    Parameters
    ----------
    model : Model or Fit
        The model to explain, or a fit of it.

    Returns
    -------
    Explanation
        Notebooks show words, mathematics and program; ``.words``, ``.latex`` and ``.code`` are text, and
        ``.save(folder)`` writes the program with its data.

    See Also
    --------
    Model.to_pymc, Model.to_bambi, Model.to_latex : The translations as objects.

    Notes
    -----
    The program has the same variables with the same names as the graph of `Model.to_pymc`, so that its posterior is
    that of ``Model.fit("nuts")``. Transformations in the formula are written with NumPy and pandas where possible;
    columns of splines, of contrasts other than those with a reference level, and of your own functions are read from
    the file.

    Examples
    --------
    >>> import hierlogit as hl
    >>> explanation = hl.explain(hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")))
    >>> print(explanation.paragraphs[1].plain())
    Fixed effects: The log-odds are a sum of terms with the coefficients below, which are the same in all clusters.
      Intercept  the log-odds where week_gt2 is 0, in a typical cluster
      week_gt2   the change in the log-odds for one more unit of week_gt2
    >>> [line for line in explanation.code.splitlines() if line.startswith("y = ")]
    ['y = data["y"].to_numpy(dtype=int)']
    """
    chosen = model_of(model)
    refuse_sampling_weights(chosen, "hl.explain", NO_POSTERIOR, ModelError)
    program = pymc_program(chosen)
    return Explanation(chosen.formula.line, words(chosen), latex(chosen), program.code, program.data)
