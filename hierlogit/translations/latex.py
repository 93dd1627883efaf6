"""Model -> LaTeX."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..priors.families import Decov, Prior

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}


def latex(model: ModelSpec) -> str:
    r"""Write the likelihood, the random effects and the priors as an ``aligned`` block.

    Parameters
    ----------
    model : Model

    Returns
    -------
    str
        To be set in display mathematics; needs amsmath.

    Examples
    --------
    >>> import hierlogit as hl
    >>> print(hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria")).to_latex().splitlines()[1])
    \text{y}_i &\sim \operatorname{Bernoulli}(p_i) \\
    """
    lines = [_likelihood(model), _predictor(model)]
    for t, group in enumerate(model.design.groups, start=1):
        lines += _effects(t, group)
    lines += _priors(model)
    body = " \\\\\n".join(lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def text(words: str) -> str:
    r"""Words in text mode, with what LaTeX would read as commands escaped.

    Examples
    --------
    >>> print(text("a_b"))
    \text{a\_b}
    """
    return "\\text{" + re.sub(r"[\\{}_%&#$^~]", lambda found: _SPECIAL[found.group()], words) + "}"


def _likelihood(model: ModelSpec) -> str:
    name = text(model.design.outcome.name)
    if model.design.outcome.binomial:
        return f"{name}_i &\\sim \\operatorname{{Binomial}}(m_i, p_i)"
    return f"{name}_i &\\sim \\operatorname{{Bernoulli}}(p_i)"


def _predictor(model: ModelSpec) -> str:
    fixed = ["o_i"] if model.design.offset.any() else []
    for k, label in enumerate(model.design.fixed_effects):
        fixed.append(f"\\beta_{{{k}}}" + _times(label))
    lines = [f"\\operatorname{{logit}}(p_i) &= {' + '.join(fixed) or '0'}"]
    for t, group in enumerate(model.design.groups, start=1):
        cluster = f"{text(group.name)}[i]"
        effects = [f"b^{{({t})}}_{{{k}\\,{cluster}}}{_times(label)}" for k, label in enumerate(group.effects)]
        lines.append(f"&\\quad {{}}+ {' + '.join(effects)}")
    return " \\\\\n".join(lines)


def _times(label: str) -> str:
    return "" if label == "Intercept" else f"\\,{text(label)}_i"


def _effects(t: int, group: GroupBlock) -> list[str]:
    """Distribution of the effects of one grouping factor, a line for each set that may correlate."""
    lines = []
    for number, members in enumerate(group.sets, start=1):
        names = [f"b^{{({t})}}_{{{k}j}}" for k in members]
        sds = [f"\\sigma^{{({t})}}_{{{k}}}" for k in members]
        if len(members) == 1:
            line = f"{names[0]} &\\sim \\operatorname{{Normal}}(0, {sds[0]})"
        else:
            D, R = _matrix("D", t, number, group), _matrix("R", t, number, group)
            line = (
                f"({', '.join(names)})^\\top &\\sim \\operatorname{{Normal}}\\left(0, {D} {R} {D}\\right), \\quad "
                f"{D} = \\operatorname{{diag}}({', '.join(sds)})"
            )
        lines.append(f"{line}, \\quad j = 1, \\dots, {len(group.levels)}\\ {text(group.name)}")
    return lines


def _matrix(letter: str, t: int, number: int, group: GroupBlock) -> str:
    """Symbol of a matrix of one set of effects, numbered where the factor has several such sets."""
    several = sum(len(members) > 1 for members in group.sets) > 1
    return f"{letter}^{{({t})}}" + (f"_{{{number}}}" if several else "")


def _priors(model: ModelSpec) -> list[str]:
    priors, design = model.priors, model.design
    lines = []
    for k, label in enumerate(design.fixed_effects):
        left = f"\\beta_{{{k}}}"
        if label == "Intercept" and len(design.fixed_effects) > 1:
            left = "\\beta_0 + \\textstyle\\sum_k \\beta_k \\bar{x}_k"
        lines.append(f"{left} &\\sim {_distribution(priors.fixed[label])}")
    for t, group in enumerate(design.groups, start=1):
        held = priors.sd[group.name]
        for members in group.sets:
            joint = isinstance(held[members[0]], Decov)
            for k in members[:1] if joint else members:
                left = ", ".join(f"\\sigma^{{({t})}}_{{{m}}}" for m in (members if joint else (k,)))
                lines.append(f"{left} &\\sim {_distribution(held[k])}")
        for number, members in enumerate(group.sets, start=1):
            if len(members) > 1:
                lines.append(f"{_matrix('R', t, number, group)} &\\sim {_distribution(priors.cor[group.name])}")
    return lines


def _distribution(prior: Prior) -> str:
    inside = ", ".join(f"{value:.4g}" for value in prior.arguments().values())
    return f"\\operatorname{{{type(prior).__name__}}}({inside})"
