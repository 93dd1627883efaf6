"""Translation of a model to LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..density.variables import FixedVariables, GroupVariables, ModelVariables, model_variables
from ..formatting import latex_escaped
from ..priors.families import Prior

if TYPE_CHECKING:
    from ..model_spec import ModelSpec


def latex(model: ModelSpec) -> str:
    r"""Likelihood, random effects and priors of a model as an ``aligned`` block of LaTeX.

    Parameters
    ----------
    model : Model

    Returns
    -------
    str
        For display mathematics with amsmath.

    Examples
    --------
    >>> import hierlogit as hl
    >>> print(hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria")).to_latex().splitlines()[1])
    \text{y}_i &\sim \operatorname{Bernoulli}(p_i) \\
    """
    variables = model_variables(model)
    lines = [_likelihood(model, variables), _predictor(model), *_codes(model)]
    for t, of_group in enumerate(variables.groups, start=1):
        lines += _effects(t, of_group)
    lines += _priors(variables)
    body = " \\\\\n".join(lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def text(words: str) -> str:
    r"""Words in text mode, with LaTeX's special characters escaped.

    Examples
    --------
    >>> print(text("a_b"))
    \text{a\_b}
    """
    return f"\\text{{{latex_escaped(' '.join(words.split()))}}}"


def _likelihood(model: ModelSpec, variables: ModelVariables) -> str:
    name = text(model.design.outcome.name)
    arguments = "m_i, p_i" if "n" in variables.outcome.arguments else "p_i"
    if variables.phi is not None:
        arguments = "m_i, \\phi p_i, \\phi (1 - p_i)"
    return f"{name}_i &\\sim \\operatorname{{{variables.outcome.family}}}({arguments})"


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


def _codes(model: ModelSpec) -> list[str]:
    """The codes of the levels in the columns of codings other than indicators of a level."""
    design = model.design
    parts = {part.text: part for column in (*design.fixed_parts, *design.varying_parts) for part in column}
    lines = []
    for label, part in parts.items():
        if part.coding is None:
            continue
        codes = part.coding.codes[:, part.position]
        indicated = [level for level, code in zip(part.coding.levels, codes, strict=True) if code]
        if len(indicated) == 1 and codes.sum() == 1 and label.endswith(f"[{indicated[0]}]"):
            continue
        values = [f"{code:.4g}\\ {text(f'for {level}')}" for level, code in zip(part.coding.levels, codes, strict=True)]
        lines.append(f"{text(label)}_i &= {', '.join(values)}")
    return lines


def _times(label: str) -> str:
    return "" if label == "Intercept" else f"\\,{text(label)}_i"


def _effects(t: int, of_group: GroupVariables) -> list[str]:
    """Distribution of the effects of a grouping factor, with a line for each set of correlated effects."""
    lines, group = [], of_group.group
    for number, (members, cholesky) in enumerate(zip(group.sets, of_group.cholesky, strict=True), start=1):
        names = [f"b^{{({t})}}_{{{k}j}}" for k in members]
        sds = [_sd(t, k) for k in members]
        if cholesky is None:
            line = f"{names[0]} &\\sim \\operatorname{{Normal}}(0, {sds[0]})"
        else:
            D, R = _matrix("D", t, number, of_group), _matrix("R", t, number, of_group)
            line = (
                f"({', '.join(names)})^\\top &\\sim \\operatorname{{Normal}}\\left(0, {D} {R} {D}\\right), \\quad "
                f"{D} = \\operatorname{{diag}}({', '.join(sds)})"
            )
        lines.append(f"{line}, \\quad j = 1, \\dots, {len(group.levels)}\\ {text(group.name)}")
    return lines


def _sd(t: int, k: int) -> str:
    return f"\\sigma^{{({t})}}_{{{k}}}"


def _matrix(letter: str, t: int, number: int, of_group: GroupVariables) -> str:
    """Symbol of a matrix of one set of effects, numbered if the factor has several sets of correlated effects."""
    several = sum(cholesky is not None for cholesky in of_group.cholesky) > 1
    return f"{letter}^{{({t})}}" + (f"_{{{number}}}" if several else "")


def _priors(variables: ModelVariables) -> list[str]:
    lines = _fixed_priors(variables.fixed) if variables.fixed else []
    for t, of_group in enumerate(variables.groups, start=1):
        for stated in of_group.sd.priors:
            left = ", ".join(_sd(t, k) for k in stated.members)
            lines.append(f"{left} &\\sim {_distribution(stated.prior)}")
        for number, cholesky in enumerate(of_group.cholesky, start=1):
            for stated in cholesky.priors if cholesky else ():
                lines.append(f"{_matrix('R', t, number, of_group)} &\\sim {_distribution(stated.prior)}")
    if variables.phi is not None:
        lines += [f"\\phi &\\sim {_distribution(stated.prior)}" for stated in variables.phi.priors]
    return lines


def _fixed_priors(fixed: FixedVariables) -> list[str]:
    symbols = {stated: f"\\beta_{{{stated.members[0]}}}" for stated in fixed.priors}
    if fixed.intercept and fixed.slopes:  # its prior is for the log-odds at the predictors' means
        symbols |= dict.fromkeys(fixed.intercept.priors, "\\beta_0 + \\textstyle\\sum_k \\beta_k \\bar{x}_k")
    return [f"{symbol} &\\sim {_distribution(stated.prior)}" for stated, symbol in symbols.items()]


def _distribution(prior: Prior) -> str:
    inside = ", ".join(f"{value:.4g}" for value in prior.arguments().values())
    return f"\\operatorname{{{type(prior).__name__}}}({inside})"
