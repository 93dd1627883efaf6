"""Model → a PyMC program that needs nothing of this package, with the table that it reads.

The program builds what `hierlogit.density.pymc_graph.build_graph` builds, variable by variable, under the same names.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..priors.families import CoefficientPrior, Decov, Exponential, Prior, ScalePrior
from .column_sources import Source, column_code, gives, literal, plain_table, quoted, sources, written_call

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Name of the file that a program reads.
DATA_FILE = "data.csv"
#: Columns of text that a program may have.
WIDTH = 100
#: Significant digits of numbers in a program, and of those that are written in place of a rule that gives them.
DIGITS, FEW_DIGITS = 12, 4
#: Levels of a factor in an order of their own that are written out.
MOST_WRITTEN = 12


@dataclass(frozen=True)
class Program:
    """A program and what it reads.

    Attributes
    ----------
    code : str
    data : pandas.DataFrame
        The rows, with the columns that the program cannot compute itself behind the model's own.
    """

    code: str
    data: pd.DataFrame


def pymc_program(model: ModelSpec) -> Program:
    """Write a model as a program.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    Program

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> program = pymc_program(model)
    >>> [line for line in program.code.splitlines() if "Exponential" in line]
    ['    sd_ID = pm.Exponential("sd_ID", lam=1.0, dims="ID_effect")']
    """
    table = _Table(plain_table(model.design.table.frame))
    groups = _named(model)
    before = [
        *_outcome(model, table),
        *_fixed_columns(model, table),
        *_offset(model, table),
        *(line for base, group in groups for line in _clusters(base, group, table)),
        *_coords(model, groups),
    ]
    graph = [
        *_fixed_part(model),
        *(line for base, group in groups for line in _random_effects(model, base, group)),
        *_likelihood(model),
    ]
    lines = [
        *_head(model),
        *_reading(table),
        *before,
        "with pm.Model(coords=coords) as model:",
        *(f"    {line}" if line else "" for line in graph),
        *_sampling(model),
    ]
    return Program("\n".join(lines) + "\n", table.whole)


class _Table:
    """The rows that a program reads; columns that it cannot compute are added to them."""

    def __init__(self, plain: pd.DataFrame) -> None:
        self.plain = plain
        self._prepared: dict[str, npt.NDArray[Any]] = {}

    def add(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a column, and return how the program names it."""
        while name in self.plain or name in self._prepared:
            name += "_"
        self._prepared[name] = values
        return column_code(name)

    def code_of(self, source: Source, values: FloatArray) -> str:
        """How the program computes a column of a design, or reads it."""
        return source.code or self.add(source.label, values)

    @property
    def prepared(self) -> list[str]:
        """Names of the columns that were added."""
        return list(self._prepared)

    @property
    def whole(self) -> pd.DataFrame:
        """All columns."""
        return pd.concat([self.plain, pd.DataFrame(self._prepared, index=self.plain.index)], axis=1)


def _named(model: ModelSpec) -> list[tuple[str, GroupBlock]]:
    """Grouping factors, each with what its variables are called in the program."""
    bases: list[str] = []
    for group in model.design.groups:
        base = re.sub(r"\W+", "_", group.name).strip("_") or "cluster"
        base = f"g_{base}" if base[0].isdigit() or keyword.iskeyword(base) else base
        while base in bases:
            base += "_"
        bases.append(base)
    return list(zip(bases, model.design.groups, strict=True))


def _head(model: ModelSpec) -> list[str]:
    kind = "A mixed-effects logistic regression" if model.design.groups else "A logistic regression"
    return [
        f"# {kind}, written out in PyMC:",
        "#",
        *textwrap.wrap(model.formula.line, WIDTH, initial_indent="#     ", subsequent_indent="#         "),
        "#",
        f"# It reads {DATA_FILE} from the folder that it is started in: python program.py",
        "",
        "import numpy as np",
        "import pandas as pd",
        "import pymc as pm",
        "import pytensor.tensor as pt",
        "",
    ]


def _section(title: str) -> str:
    return f"# ---- {title} ".ljust(WIDTH - 20, "-")


def _reading(table: _Table) -> list[str]:
    text = [name for name in table.plain if not pd.api.types.is_numeric_dtype(table.plain[name])]
    types = "".join(f"{quoted(str(name))}: str, " for name in text).removesuffix(", ")
    lines = [_section("Data: one row for each observation"), ""]
    if text:
        lines.append("# Text is text, also where it looks like a number or like a missing value.")
        lines += _call(
            "data", "pd.read_csv", [quoted(DATA_FILE)], {"dtype": f"{{{types}}}", "keep_default_na": "False"}
        )
    else:
        lines.append(f"data = pd.read_csv({quoted(DATA_FILE)})")
    if table.prepared:
        lines += [
            "",
            "# These columns of the file were computed beforehand, since a formula of their own would be long:",
            *(f"#     {name}" for name in table.prepared),
        ]
    return [*lines, ""]


def _outcome(model: ModelSpec, table: _Table) -> list[str]:
    response, outcome = model.design.response, model.design.outcome
    if outcome.binomial:
        lines = ["# Successes and trials of each row.", f"y = {column_code(response.column)}.to_numpy()"]
        if isinstance(response.trials, int):
            return [*lines, f"trials = {response.trials}", ""]
        total = f"{column_code(response.column)} + {column_code(str(response.failures))}"
        trials = f"({total})" if response.trials is None else column_code(str(response.trials))
        return [*lines, f"trials = {trials}.to_numpy()", ""]
    values = table.plain[response.column]
    code = column_code(response.column)
    if not gives(code, outcome.y, table.plain):
        event = values.iloc[int(np.flatnonzero(outcome.y)[0])]
        code = f"({code} == {literal(event)})"
    return [f"# The outcome: 1 where {_one_line(outcome.event)}, else 0.", f"y = {code}.to_numpy(dtype=int)", ""]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fixed_columns(model: ModelSpec, table: _Table) -> list[str]:
    design = model.design
    slopes = [j for j, label in enumerate(design.fixed_effects) if label != "Intercept"]
    if not slopes:
        return []
    labels = [design.fixed_effects[j] for j in slopes]
    beside = " besides the intercept" if design.has_intercept else ""
    lines = [f"# Columns of the fixed effects{beside}.", "columns = {"]
    for label, j, source in zip(labels, slopes, sources(labels, design.X[:, slopes], table.plain), strict=True):
        lines.append(f"    {quoted(label)}: {table.code_of(source, design.X[:, j])},")
    lines += ["}", "X = pd.DataFrame(columns).to_numpy(dtype=float)", ""]
    centred = "centred and " if design.has_intercept else ""
    lines += [
        f"# The sampler is given {centred}scaled columns: those of the data may be far from zero, or of",
        "# very different sizes, which would slow it down.",
    ]
    if design.has_intercept:
        lines.append("means = X.mean(axis=0)")
    lines.append("sds = X.std(axis=0, ddof=1)")
    if np.any(design.X[:, slopes].std(axis=0) <= 1e-12):
        lines.append("sds[sds < 1e-12] = 1.0  # of a column that does not vary")
    return [*lines, ""]


def _offset(model: ModelSpec, table: _Table) -> list[str]:
    design = model.design
    if not design.offset.any():
        return []
    texts = _offsets_of(model.formula.fixed)
    codes = [written_call(text, table.plain) for text in texts]
    code = " + ".join(str(one) for one in codes)
    if None in codes or not gives(code, design.offset, table.plain):
        code = table.add("offset", design.offset)
    return ["# What is added to the log-odds with a coefficient of 1.", f"offset = np.asarray({code}, dtype=float)", ""]


def _offsets_of(fixed: str) -> list[str]:
    """What stands in the round brackets of each ``offset()`` of a formula.

    Examples
    --------
    >>> _offsets_of("x + offset(log(n)) + offset(w)")
    ['log(n)', 'w']
    """
    found = []
    for place in re.finditer(r"\boffset\s*\(", fixed):
        depth, start = 1, place.end()
        for end in range(start, len(fixed)):
            depth += (fixed[end] == "(") - (fixed[end] == ")")
            if depth == 0:
                found.append(fixed[start:end])
                break
    return found


def _clusters(base: str, group: GroupBlock, table: _Table) -> list[str]:
    """The number and the label of each row's cluster, and the columns of what varies over clusters."""
    lines = [_section(f"Clusters: {group.name}"), "", "# Number of each row's cluster, counted from 0, and the labels."]
    lines += _numbers(base, group, table)
    if group.effects == ("Intercept",):
        return [*lines, ""]
    lines += ["", "# Columns of what varies over these clusters.", f"columns_{base} = {{"]
    for k, source in enumerate(sources(group.effects, group.Z, table.plain)):
        code = "1.0" if np.all(group.Z[:, k] == 1) else table.code_of(source, group.Z[:, k])
        lines.append(f"    {quoted(source.label)}: {code},")
    return [*lines, "}", f"Z_{base} = pd.DataFrame(columns_{base}, index=data.index).to_numpy(dtype=float)", ""]


def _numbers(base: str, group: GroupBlock, table: _Table) -> list[str]:
    plain, columns = table.plain, list(group.columns)
    listed = ", ".join(quoted(name) for name in columns)
    if len(columns) == 1:
        if np.array_equal(pd.factorize(plain[columns[0]], sort=True)[0], group.index):
            return [f"{base}_index, {base}_labels = pd.factorize({column_code(columns[0])}, sort=True)"]
    elif np.array_equal(plain.groupby(columns).ngroup().to_numpy(), group.index):
        return [
            f"cells = data.groupby([{listed}])",
            f"{base}_index = cells.ngroup().to_numpy()",
            f'{base}_labels = [":".join(map(str, cell)) for cell in cells.size().index]',
        ]
    levels = group.levels.tolist()
    if len(columns) == 1 and len(levels) <= MOST_WRITTEN and set(plain[columns[0]].unique()) == set(levels):
        written = ", ".join(literal(level) for level in levels)
        return [
            f"{base}_labels = [{written}]",
            f"{base}_index = pd.Categorical({column_code(columns[0])}, categories={base}_labels).codes",
        ]
    number = table.add(f"{group.name}: number", group.index)
    label = table.add(f"{group.name}: label", group.levels[group.index])
    return [
        f"{base}_index = {number}.to_numpy()",
        f"{base}_labels = {label}.groupby({base}_index).first().to_numpy()",
    ]


def _coords(model: ModelSpec, groups: Sequence[tuple[str, GroupBlock]]) -> list[str]:
    design, coords = model.design, {"obs": "data.index"}
    slopes = [label for label in design.fixed_effects if label != "Intercept"]
    if design.fixed_effects:
        beside = '["Intercept", *columns]' if slopes else '["Intercept"]'
        coords["fixed_effect"] = beside if design.has_intercept else "list(columns)"
    if slopes:
        coords["slope"] = "list(columns)"
    for base, group in groups:
        effect_dim = model.effect_dim(group)
        effects = '["Intercept"]' if group.effects == ("Intercept",) else f"list(columns_{base})"
        coords |= {model.dim(group): f"{base}_labels", effect_dim: effects}
        if group.correlated:
            coords[f"{effect_dim}_bis"] = effects
        for members, suffix in _correlated_sets(group):
            if suffix:
                some = f"{effects}[{members[0]}:{members[-1] + 1}]"
                coords |= {f"{effect_dim}{suffix}": some, f"{effect_dim}{suffix}_bis": some}
    entries = [f"    {quoted(name)}: {code}," for name, code in coords.items()]
    return [_section("Model"), "", "# Labels of every dimension.", "coords = {", *entries, "}", ""]


def _correlated_sets(group: GroupBlock) -> list[tuple[tuple[int, ...], str]]:
    """Sets of effects that may correlate, each with what tells its variables from those of other sets."""
    several = len(group.sets) > 1
    return [(members, f"_{k}" if several else "") for k, members in enumerate(group.sets) if len(members) > 1]


def _fixed_part(model: ModelSpec) -> list[str]:
    design, priors = model.design, model.priors.fixed
    slopes = [j for j, label in enumerate(design.fixed_effects) if label != "Intercept"]
    zero = "np.zeros(len(data))"
    if not design.fixed_effects:
        return ["# The log-odds of each row: what its clusters add.", f"eta = {_with_offset(model, zero)}", ""]
    lines, parts = [], []
    if design.has_intercept:
        what = " where all columns are at their means" if slopes else ""
        lines += [f"# Log-odds{' in a typical cluster' if design.groups else ''}{what}."]
        lines += _variable("intercept_at_means", "intercept_at_means", priors["Intercept"])
        parts.append("intercept_at_means")
    if slopes:
        lines += ["# Change of the log-odds for one standard deviation of each column."]
        held = [priors[design.fixed_effects[j]] for j in slopes]
        lines += _slopes([design.fixed_effects[j] for j in slopes], held, design.column_sds[slopes])
        centred = "(X - means) / sds" if design.has_intercept else "X / sds"
        parts.append(f"pt.dot({centred}, slopes_scaled)")
    lines += ["", "# The coefficients of the columns as they are in the data.", *_coefficients(model, slopes)]
    total = " + ".join(parts)
    if not slopes:
        total += f" + {zero}"
    return [*lines, "", "# The log-odds of each row.", f"eta = {_with_offset(model, total)}", ""]


def _with_offset(model: ModelSpec, total: str) -> str:
    return f"offset + {total}" if model.design.offset.any() else total


def _coefficients(model: ModelSpec, slopes: Sequence[int]) -> list[str]:
    design = model.design
    if not slopes:
        return ['beta = pm.Deterministic("beta", pt.stack([intercept_at_means]), dims="fixed_effect")']
    lines = ["slopes = slopes_scaled / sds"]
    if not design.has_intercept:
        return [*lines, 'beta = pm.Deterministic("beta", slopes, dims="fixed_effect")']
    at = design.fixed_effects.index("Intercept")
    pieces = [f"slopes[:{at}]"] if at else []
    pieces += ["[intercept]", f"slopes[{at}:]" if at else "slopes"]
    return [
        *lines,
        "intercept = intercept_at_means - pt.dot(means, slopes)",
        f'beta = pm.Deterministic("beta", pt.concatenate([{", ".join(pieces)}]), dims="fixed_effect")',
    ]


def _slopes(labels: Sequence[str], priors: Sequence[CoefficientPrior], sds: FloatArray) -> list[str]:
    """Priors of the scaled slopes: one number where they agree, else those of the coefficients times the sds."""
    scaled = [prior.rescaled(float(sd)) for prior, sd in zip(priors, sds, strict=True)]
    families = {type(prior) for prior in priors}
    if len(families) == 1 and all(_one(values, FEW_DIGITS) is not None for values in _arguments(scaled).values()):
        return _vector("slopes_scaled", "slopes_scaled", labels, scaled, "slope")
    lines = ["# The priors are those of the coefficients as they are in the data, for scaled columns: times sds."]
    if len(families) > 1:
        parts = []
        for k, (label, prior) in enumerate(zip(labels, priors, strict=True)):
            arguments = {
                name: _times_sds(number(value), f"sds[{k}]") if name in (prior.location, prior.scale) else number(value)
                for name, value in prior.arguments().items()
            }
            parts.append(_called(type(prior), f"slopes_scaled[{label}]", arguments))
        return [*lines, *_stacked("slopes_scaled", "slopes_scaled", parts, "slope")]
    arguments = {
        name: _times_sds(_listed(values), "sds") if name in (priors[0].location, priors[0].scale) else _listed(values)
        for name, values in _arguments(priors).items()
    }
    call = [quoted("slopes_scaled")]
    return [*lines, *_call("slopes_scaled", _family(priors[0]), call, {**arguments, "dims": quoted("slope")})]


def _times_sds(code: str, sds: str) -> str:
    """A number times the sds, or a list of numbers."""
    if code in ("0.0", "-0.0"):
        return code
    return f"np.array({code}) * {sds}" if code.startswith("[") else f"{code} * {sds}"


def _random_effects(model: ModelSpec, base: str, group: GroupBlock) -> list[str]:
    name, dims = group.result_name, (model.dim(group), model.effect_dim(group))
    what = "what varies" if len(group.effects) > 1 else "the log-odds"
    lines = [f"# Standard deviations of {what}, over clusters of {group.name}."]
    lines += _sds(model, base, group)
    lines += ['# Effects of the clusters, standardised ("non-centred", which samples better), and as they are.']
    lines += _call(f"u_{base}", "pm.Normal", [quoted(f"u_{name}")], {"mu": "0.0", "sigma": "1.0", "dims": _dims(dims)})
    lines += _effects(model, base, group)
    whole = f"eta = eta + b_{base}[{base}_index, 0]"
    if group.effects != ("Intercept",):
        whole = f"eta = eta + (Z_{base} * b_{base}[{base}_index]).sum(axis=1)"
    return [*lines, whole, ""]


def _effects(model: ModelSpec, base: str, group: GroupBlock) -> list[str]:
    """Deviations on the logit scale from standardised effects, and their correlations."""
    name, dims = group.result_name, (model.dim(group), model.effect_dim(group))
    if not group.correlated:
        return _deterministic(f"b_{base}", f"b_{name}", f"u_{base} * sd_{base}", dims)
    lines, columns, blocks = [], [], []
    for members, suffix in _correlated_sets(group):
        some = f"{dims[1]}{suffix}"
        lines += _call(
            f"chol_{base}{suffix}",
            "pm.LKJCorr",
            [quoted(f"chol_cor_{name}{suffix}")],
            {
                "n": str(len(members)),
                "eta": number(model.priors.cor[group.name].eta),
                "dims": _dims((some, f"{some}_bis")),
            },
        )
    for k, members in enumerate(group.sets):
        suffix = f"_{k}" if len(group.sets) > 1 else ""
        one = f"{members[0]}:{members[-1] + 1}"
        u, sd = (f"u_{base}[:, {one}]", f"sd_{base}[{one}]") if suffix else (f"u_{base}", f"sd_{base}")
        if len(members) == 1:
            columns.append(f"{u} * {sd}")
            blocks.append("pt.ones((1, 1))")
        else:
            columns.append(f"pt.dot({u}, ({sd}[:, None] * chol_{base}{suffix}).T)")
            blocks.append(f"pt.dot(chol_{base}{suffix}, chol_{base}{suffix}.T)")
    lines.insert(0, "# Their correlations, by the Cholesky factor of the correlation matrix.")
    cor = blocks[0] if len(blocks) == 1 else f"pt.linalg.block_diag({', '.join(blocks)})"
    effects = columns[0]
    if len(columns) > 1:
        lines += [f"parts_{base} = [", *(f"    {column}," for column in columns), "]"]
        effects = f"pt.concatenate(parts_{base}, axis=1)"
    return [
        *lines,
        *_deterministic("", f"cor_{name}", cor, (dims[1], f"{dims[1]}_bis")),
        *_deterministic(f"b_{base}", f"b_{name}", effects, dims),
    ]


def _deterministic(target: str, name: str, code: str, dims: Sequence[str]) -> list[str]:
    return _call(target, "pm.Deterministic", [quoted(name), code], {"dims": _dims(dims)})


def _sds(model: ModelSpec, base: str, group: GroupBlock) -> list[str]:
    name, effect_dim = f"sd_{group.result_name}", model.effect_dim(group)
    priors = model.priors.sd[group.name]
    if not any(isinstance(prior, Decov) for prior in priors):
        lines = _vector(f"sd_{base}", name, group.effects, priors, effect_dim)
        rates = [prior.lam for prior in priors if isinstance(prior, Exponential)]
        if len(rates) == len(priors) > 1 and np.allclose(rates, group.column_sds, rtol=1e-12):
            lines.insert(
                0, "# The rates are the columns' standard deviations (1 for an intercept): one sd counts alike."
            )
        return lines
    lines, entries = [], [""] * len(priors)
    for k, members in enumerate(group.sets):
        prior = priors[members[0]]
        if not isinstance(prior, Decov):
            for i in members:
                entries[i] = _called(type(priors[i]), f"{name}[{group.effects[i]}]", _numbers_of(priors[i]))
            continue
        lines += _joint_sds(prior, len(members), f"{base}_{k}", f"{group.result_name}_{k}")
        for position, i in enumerate(members):
            entries[i] = f"tau_{base}_{k}" + (
                f" * pt.sqrt({len(members)} * shares_{base}_{k}[{position}])" if len(members) > 1 else ""
            )
    return [*lines, *_stacked(f"sd_{base}", name, entries, effect_dim)]


def _joint_sds(prior: Decov, k: int, base: str, name: str) -> list[str]:
    arguments = {"alpha": number(prior.shape), "beta": number(1 / prior.scale)}
    lines = [
        "# A common size, and shares of the variance.",
        *_call(f"tau_{base}", "pm.Gamma", [quoted(f"tau_{name}")], arguments),
    ]
    if k == 1:
        return lines[1:]
    a = f"np.full({k}, {number(prior.concentration)})"
    return [*lines, *_call(f"shares_{base}", "pm.Dirichlet", [quoted(f"shares_{name}")], {"a": a})]


def _likelihood(model: ModelSpec) -> list[str]:
    name, binomial = quoted(model.outcome_name), model.design.outcome.binomial
    arguments = {"n": "trials"} if binomial else {}
    arguments |= {"logit_p": "eta", "observed": "y", "dims": quoted("obs")}
    kind = "pm.Binomial" if binomial else "pm.Bernoulli"
    call = _call("", kind, [name], arguments)
    return ["# The outcomes, given the log-odds.", *call]


def _sampling(model: ModelSpec) -> list[str]:
    names = ["beta"] if model.design.fixed_effects else []
    for group in model.design.groups:
        names += [f"sd_{group.result_name}"] + ([f"cor_{group.result_name}"] if group.correlated else [])
    listed = ", ".join(quoted(name) for name in names)
    return [
        "",
        'if __name__ == "__main__":',
        "    import arviz as az",
        "",
        "    with model:",
        "        posterior = pm.sample(random_seed=1)",
        f"    print(az.summary(posterior, var_names=[{listed}]))",
    ]


def _vector(target: str, name: str, labels: Sequence[str], priors: Sequence[Prior], dim: str) -> list[str]:
    """A variable with an entry for each label; of several families, one variable for each, put together."""
    if len({type(prior) for prior in priors}) > 1:
        pairs = zip(labels, priors, strict=True)
        parts = [_called(type(prior), f"{name}[{label}]", _numbers_of(prior)) for label, prior in pairs]
        return _stacked(target, name, parts, dim)
    arguments = {key: _listed(values) for key, values in _arguments(priors).items()}
    return _call(target, _family(priors[0]), [quoted(name)], {**arguments, "dims": quoted(dim)})


def _stacked(target: str, name: str, entries: Iterable[str], dim: str) -> list[str]:
    return [
        f"{target} = pm.Deterministic(",
        f"    {quoted(name)},",
        "    pt.stack(",
        "        [",
        *(f"            {entry}," for entry in entries),
        "        ]",
        "    ),",
        f"    dims={quoted(dim)},",
        ")",
    ]


def _variable(target: str, name: str, prior: Prior) -> list[str]:
    return _call(target, _family(prior), [quoted(name)], _numbers_of(prior))


def _called(family: type[Prior], name: str, arguments: Mapping[str, str]) -> str:
    inside = ", ".join(f"{key}={value}" for key, value in arguments.items())
    return f"pm.{family.__name__}({quoted(name)}, {inside})"


def _call(target: str, function: str, first: Sequence[str], arguments: Mapping[str, str]) -> list[str]:
    """A call on one line, or with an argument on each where that would be long."""
    given = [*first, *(f"{key}={value}" for key, value in arguments.items())]
    start = f"{target} = {function}(" if target else f"{function}("
    whole = f"{start}{', '.join(given)})"
    if len(whole) <= WIDTH - 4:
        return [whole]
    return [start, *(f"    {one}," for one in given), ")"]


def _family(prior: Prior) -> str:
    # The families carry PyMC's own names.
    return f"pm.{type(prior).__name__}"


def _arguments(priors: Sequence[Prior] | Sequence[ScalePrior]) -> dict[str, list[float]]:
    return {key: [prior.arguments()[key] for prior in priors] for key in priors[0].arguments()}


def _numbers_of(prior: Prior) -> dict[str, str]:
    return {key: number(value) for key, value in prior.arguments().items()}


def _one(values: Sequence[float], digits: int = DIGITS) -> float | None:
    """The number that all values are, to so many digits."""
    rounded = {float(f"{value:.{digits}g}") for value in values}
    close = np.ptp(values) <= 10.0**-DIGITS * float(np.max(np.abs(values)))
    if not close or len(rounded) > 1:
        return None
    (one,) = rounded
    return one if abs(one - values[0]) <= 10.0**-DIGITS * abs(one) else None


def _listed(values: Sequence[float]) -> str:
    """Numbers as a program writes them: one where they agree."""
    same = _one(values)
    return number(same) if same is not None else f"[{', '.join(number(value) for value in values)}]"


def number(value: float) -> str:
    """A number as a program writes it, without the digits that rounding has left.

    Examples
    --------
    >>> number(2.5000000000000004), number(1 / 3)
    ('2.5', '0.333333333333')
    """
    return repr(float(f"{value:.{DIGITS}g}"))


def _dims(dims: Sequence[str]) -> str:
    return f"({', '.join(quoted(dim) for dim in dims)})"
