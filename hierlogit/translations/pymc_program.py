"""Translation of a model to a PyMC program that does not need this package, with the table that it reads.

Both the program and the graph of `hierlogit.density.pymc_graph` are made from `hierlogit.density.variables`.
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

from ..density.variables import FixedVariables, GroupVariables, ModelVariables, Variable, model_variables
from ..priors.families import CoefficientPrior, Decov, Exponential, Prior
from .column_sources import Source, column_code, gives, literal, plain_table, quoted, sources, written_call

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Name of the file that a program reads.
DATA_FILE = "data.csv"
#: Width of the program in characters.
WIDTH = 100
#: Significant digits of numbers, and with how many a rule is replaced by a number.
DIGITS, FEW_DIGITS = 12, 4
#: Largest number of levels that are written out if they are not in sorted order.
MOST_WRITTEN = 12


@dataclass(frozen=True)
class Program:
    """A program and the data that it reads.

    Attributes
    ----------
    code : str
    data : pandas.DataFrame
        The rows of the model, followed by the columns that the program cannot compute itself.
    """

    code: str
    data: pd.DataFrame


def pymc_program(model: ModelSpec) -> Program:
    """A PyMC program of a model.

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
    variables = model_variables(model)
    groups = _named(variables)
    before = [
        *_outcome(model, table),
        *_fixed_columns(model, table),
        *_offset(model, table),
        *(line for base, of_group in groups for line in _clusters(base, of_group.group, table)),
        *_coords(variables, groups),
    ]
    graph = [
        *_fixed_part(model, variables.fixed),
        *(line for base, of_group in groups for line in _random_effects(base, of_group)),
        *_likelihood(variables),
    ]
    lines = [
        *_head(model),
        *_reading(table, counted=model.design.table.counts is not None),
        *before,
        "with pm.Model(coords=coords) as model:",
        *(f"    {line}" if line else "" for line in graph),
        *_sampling(variables),
    ]
    return Program("\n".join(_without_breaks(line) for line in lines) + "\n", table.whole)


def _without_breaks(line: str) -> str:
    """A comment on one line, even if it contains a name with a line break: what follows would be code."""
    return " ".join(line.splitlines()) if line.lstrip().startswith("#") else line


class _Table:
    """The table that a program reads; columns that the program cannot compute are added to it."""

    def __init__(self, plain: pd.DataFrame) -> None:
        self.plain = plain
        self._prepared: dict[str, npt.NDArray[Any]] = {}

    def add(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a column, and return the code for it."""
        while name in self.plain or name in self._prepared:
            name += "_"
        self._prepared[name] = values
        return column_code(name)

    def code_of(self, source: Source, values: FloatArray) -> str:
        """Code that computes a column of a design, or reads it from the file."""
        return source.code or self.add(source.label, values)

    @property
    def prepared(self) -> list[str]:
        """Names of the columns that were added."""
        return list(self._prepared)

    @property
    def whole(self) -> pd.DataFrame:
        """All columns."""
        return pd.concat([self.plain, pd.DataFrame(self._prepared, index=self.plain.index)], axis=1)


def _named(variables: ModelVariables) -> list[tuple[str, GroupVariables]]:
    """Variables of each grouping factor, with the base of their names in the program."""
    bases: list[str] = []
    for of_group in variables.groups:
        base = re.sub(r"\W+", "_", of_group.group.name).strip("_") or "cluster"
        base = f"g_{base}" if base[0].isdigit() or keyword.iskeyword(base) else base
        while base in bases:
            base += "_"
        bases.append(base)
    return list(zip(bases, variables.groups, strict=True))


def _head(model: ModelSpec) -> list[str]:
    kind = "A mixed-effects logistic regression" if model.design.groups else "A logistic regression"
    return [
        f"# {kind}, written out in PyMC:",
        "#",
        *textwrap.wrap(model.formula.line, WIDTH, initial_indent="#     ", subsequent_indent="#         "),
        *(line for where, why in model.design.drops for line in _comment(f"Dropped from {where}: {why}.")),
        "#",
        f"# It reads {DATA_FILE} from the folder that it is started in: python program.py",
        "",
        "import numpy as np",
        "import pandas as pd",
        "import pymc as pm",
        "import pytensor.tensor as pt",
        "",
    ]


def _comment(text: str) -> list[str]:
    return ["#", *textwrap.wrap(_one_line(text), WIDTH, initial_indent="# ", subsequent_indent="# ")]


def _section(title: str) -> str:
    return f"# ---- {_one_line(title)} ".ljust(WIDTH - 20, "-")


def _reading(table: _Table, *, counted: bool) -> list[str]:
    text = [name for name in table.plain if not pd.api.types.is_numeric_dtype(table.plain[name])]
    types = "".join(f"{quoted(str(name))}: str, " for name in text).removesuffix(", ")
    each = "observation" if not counted else "combination of predictors, with counts"
    lines = [_section(f"Data: one row for each {each}"), ""]
    if text:
        lines.append("# Read text as text, even if it looks like a number or a missing value.")
        lines += _call(
            "data", "pd.read_csv", [quoted(DATA_FILE)], {"dtype": f"{{{types}}}", "keep_default_na": "False"}
        )
    else:
        lines.append(f"data = pd.read_csv({quoted(DATA_FILE)})")
    if table.prepared:
        lines += [
            "",
            "# These columns of the file were computed beforehand:",
            *(f"#     {_one_line(name)}" for name in table.prepared),
        ]
    return [*lines, ""]


def _outcome(model: ModelSpec, table: _Table) -> list[str]:
    response, outcome, counts = model.design.response, model.design.outcome, model.design.table.counts
    if counts is not None and (not outcome.binomial or isinstance(response.trials, int)):
        each = f" * {response.trials}" if outcome.binomial else ""
        return [
            f"# Events and trials of the rows with the same predictors; the event is {_one_line(outcome.event)}.",
            f"y = {column_code(response.column)}.to_numpy()",
            f"trials = {column_code(counts.column)}.to_numpy(){each}",
            "",
        ]
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
        f"# The sampler gets {centred}scaled columns, since columns far from zero or of very different",
        "# sizes would slow it down.",
    ]
    if design.table.counts is not None:
        lines += [
            "# They are those of all rows, of which each row of the table stands for several.",
            f"rows = {column_code(design.table.counts.column)}.to_numpy()",
            "means = rows @ X / rows.sum()",
            "sds = np.sqrt(rows @ (X - means) ** 2 / (rows.sum() - 1))",
        ]
    else:
        lines += ["means = X.mean(axis=0)"] if design.has_intercept else []
        lines.append("sds = X.std(axis=0, ddof=1)")
    if np.any(design.X[:, slopes].std(axis=0) <= 1e-12):
        lines.append("sds[sds < 1e-12] = 1.0  # columns that do not vary")
    return [*lines, ""]


def _offset(model: ModelSpec, table: _Table) -> list[str]:
    design = model.design
    if not design.offset.any():
        return []
    texts = _offsets_of(model.formula.fixed)
    codes = [written_call(text, table.plain) for text in texts]
    code = " + ".join(str(code_of_offset) for code_of_offset in codes)
    if None in codes or not gives(code, design.offset, table.plain):
        code = table.add("offset", design.offset)
    return ["# Added to the log-odds with a coefficient of 1.", f"offset = np.asarray({code}, dtype=float)", ""]


def _offsets_of(fixed: str) -> list[str]:
    """The arguments of each ``offset()`` in a formula.

    Examples
    --------
    >>> _offsets_of("x + offset(log(n)) + offset(w)")
    ['log(n)', 'w']
    """
    arguments = []
    for place in re.finditer(r"\boffset\s*\(", fixed):
        depth, start = 1, place.end()
        for end in range(start, len(fixed)):
            depth += (fixed[end] == "(") - (fixed[end] == ")")
            if depth == 0:
                arguments.append(fixed[start:end])
                break
    return arguments


def _clusters(base: str, group: GroupBlock, table: _Table) -> list[str]:
    """Code for the number and label of each row's cluster, and for the columns of the random effects."""
    lines = [_section(f"Clusters: {group.name}"), "", "# Number of each row's cluster, counted from 0, and the labels."]
    lines += _numbers(base, group, table)
    if group.effects == ("Intercept",):
        return [*lines, ""]
    lines += ["", "# Columns of the effects that vary over these clusters.", f"columns_{base} = {{"]
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


def _coords(variables: ModelVariables, groups: Sequence[tuple[str, GroupVariables]]) -> list[str]:
    fixed = variables.fixed
    coords = dict.fromkeys(variables.outcome.dims, "data.index")
    if fixed is not None:
        beside = '["Intercept", *columns]' if fixed.slopes else '["Intercept"]'
        coords |= dict.fromkeys(fixed.beta.dims, beside if fixed.intercept else "list(columns)")
        coords |= dict.fromkeys(fixed.slopes.dims if fixed.slopes else (), "list(columns)")
    for base, of_group in groups:
        effects = '["Intercept"]' if of_group.group.effects == ("Intercept",) else f"list(columns_{base})"
        levels, *of_effects = dict.fromkeys([*of_group.b.dims, *(of_group.cor.dims if of_group.cor else ())])
        coords |= {levels: f"{base}_labels", **dict.fromkeys(of_effects, effects)}
        for part, cholesky in zip(of_group.group.set_slices, of_group.cholesky, strict=True):
            new_dims = [dim for dim in (cholesky.dims if cholesky else ()) if dim not in coords]
            coords |= dict.fromkeys(new_dims, f"{effects}[{part.start}:{part.stop}]")
    entries = [f"    {quoted(name)}: {code}," for name, code in coords.items()]
    return [_section("Model"), "", "# Labels of the dimensions.", "coords = {", *entries, "}", ""]


def _fixed_part(model: ModelSpec, fixed: FixedVariables | None) -> list[str]:
    design = model.design
    zero = "np.zeros(len(data))"
    if fixed is None:
        return ["# The log-odds of each row, from its clusters only.", f"eta = {_with_offset(model, zero)}", ""]
    lines, parts = [], []
    if fixed.intercept is not None:
        where = " where all columns are at their means" if fixed.slopes else ""
        lines += [f"# Log-odds{' in a typical cluster' if design.groups else ''}{where}."]
        lines += _random_variable("intercept_at_means", fixed.intercept)
        parts.append("intercept_at_means")
    if fixed.slopes is not None:
        lines += ["# Change in the log-odds for one standard deviation of each column."]
        lines += _slopes(fixed.slopes)
        centred = "(X - means) / sds" if design.has_intercept else "X / sds"
        parts.append(f"pt.dot({centred}, slopes_scaled)")
    lines += ["", "# Coefficients of the unscaled columns.", *_coefficients(model, fixed)]
    total = " + ".join(parts)
    if fixed.slopes is None:
        total += f" + {zero}"
    return [*lines, "", "# The log-odds of each row.", f"eta = {_with_offset(model, total)}", ""]


def _with_offset(model: ModelSpec, total: str) -> str:
    return f"offset + {total}" if model.design.offset.any() else total


def _coefficients(model: ModelSpec, fixed: FixedVariables) -> list[str]:
    if fixed.slopes is None:
        return _deterministic("beta", fixed.beta, "pt.stack([intercept_at_means])")
    lines = ["slopes = slopes_scaled / sds"]
    if fixed.intercept is None:
        return [*lines, *_deterministic("beta", fixed.beta, "slopes")]
    position = model.design.fixed_effects.index("Intercept")
    pieces = [f"slopes[:{position}]"] if position else []
    pieces += ["[intercept]", f"slopes[{position}:]" if position else "slopes"]
    return [
        *lines,
        "intercept = intercept_at_means - pt.dot(means, slopes)",
        *_deterministic("beta", fixed.beta, f"pt.concatenate([{', '.join(pieces)}])"),
    ]


def _slopes(slopes: Variable) -> list[str]:
    """Code for the scaled slopes; unless they have equal priors, the priors are multiplied by the sds."""
    if slopes.free and all(_common_value(values, FEW_DIGITS) is not None for values in slopes.arguments.values()):
        return _random_variable("slopes_scaled", slopes)
    lines = ["# The priors of the unscaled coefficients, multiplied by sds for the scaled columns."]
    priors = [stated.prior for stated in slopes.priors]
    if slopes.free:
        arguments = {
            name: _times_sds(_listed([prior.arguments()[name] for prior in priors]), "sds", priors[0], name)
            for name in slopes.arguments
        }
        return [*lines, *_random_variable("slopes_scaled", slopes, arguments)]
    entries = []
    for k, (prior, part) in enumerate(zip(priors, slopes.parts, strict=True)):
        arguments = {
            name: _times_sds(number(value), f"sds[{k}]", prior, name) for name, value in prior.arguments().items()
        }
        entries.append(_entry(part, arguments))
    return [*lines, *_stacked("slopes_scaled", slopes, entries)]


def _times_sds(code: str, sds: str, prior: Prior, argument: str) -> str:
    """Code for an argument, multiplied by the sds if it is the location or the scale of a coefficient's prior."""
    moved = isinstance(prior, CoefficientPrior) and argument in (prior.location, prior.scale)
    if not moved or code in ("0.0", "-0.0"):
        return code
    return f"np.array({code}) * {sds}" if code.startswith("[") else f"{code} * {sds}"


def _random_effects(base: str, of_group: GroupVariables) -> list[str]:
    group = of_group.group
    effects = "the effects" if len(group.effects) > 1 else "the log-odds"
    lines = [f"# Standard deviations of {effects} over clusters of {_one_line(group.name)}."]
    lines += _sds(base, of_group)
    lines += ["# Effects of the clusters: standardised (non-centred, which samples better) and unscaled."]
    lines += _random_variable(f"u_{base}", of_group.u)
    lines += _effects(base, of_group)
    whole = f"eta = eta + b_{base}[{base}_index, 0]"
    if group.effects != ("Intercept",):
        whole = f"eta = eta + (Z_{base} * b_{base}[{base}_index]).sum(axis=1)"
    return [*lines, whole, ""]


def _effects(base: str, of_group: GroupVariables) -> list[str]:
    """Code for the deviations on the logit scale, from standardised effects, and for their correlations."""
    if of_group.cor is None:
        return _deterministic(f"b_{base}", of_group.b, f"u_{base} * sd_{base}")
    lines, columns, blocks = ["# Correlations, by the Cholesky factor of the correlation matrix."], [], []
    for k, (part, cholesky) in enumerate(zip(of_group.group.set_slices, of_group.cholesky, strict=True)):
        u, sd, chol = f"u_{base}", f"sd_{base}", f"chol_{base}"
        if len(of_group.cholesky) > 1:
            u, sd, chol = (
                f"{u}[:, {part.start}:{part.stop}]",
                f"{sd}[{part.start}:{part.stop}]",
                f"{chol}_{k}",
            )
        if cholesky is None:
            columns.append(f"{u} * {sd}")
            blocks.append("pt.ones((1, 1))")
            continue
        lines += _random_variable(chol, cholesky)
        columns.append(f"pt.dot({u}, ({sd}[:, None] * {chol}).T)")
        blocks.append(f"pt.dot({chol}, {chol}.T)")
    effects = columns[0]
    if len(columns) > 1:
        lines += [f"parts_{base} = [", *(f"    {column}," for column in columns), "]"]
        effects = f"pt.concatenate(parts_{base}, axis=1)"
    cor = blocks[0] if len(blocks) == 1 else f"pt.linalg.block_diag({', '.join(blocks)})"
    return [*lines, *_deterministic("", of_group.cor, cor), *_deterministic(f"b_{base}", of_group.b, effects)]


def _sds(base: str, of_group: GroupVariables) -> list[str]:
    group, sd = of_group.group, of_group.sd
    if sd.free:
        lines = _random_variable(f"sd_{base}", sd)
        scaled = sd.family == Exponential.__name__ and np.allclose(sd.arguments["lam"], group.column_sds, rtol=1e-12)
        if scaled and len(group.effects) > 1:
            comment = "# The rates are the standard deviations of the columns (1 for an intercept)."
            return [comment, *lines]
        return lines
    lines, entries = [], []
    for stated in sd.priors:
        if not isinstance(stated.prior, Decov):
            entries += [_entry(part) for part in stated.parts]
            continue
        name = f"{base}_{group.sets.index(stated.members)}"
        scale, *shares = stated.parts
        lines += ["# Overall size of the sds, and shares of the variance."] if shares else []
        lines += _random_variable(f"tau_{name}", scale)
        lines += [line for share in shares for line in _random_variable(f"shares_{name}", share)]
        q = len(stated.members)
        entries += [f"tau_{name} * pt.sqrt({q} * shares_{name}[{k}])" for k in range(q)] if shares else [f"tau_{name}"]
    return [*lines, *_stacked(f"sd_{base}", sd, entries)]


def _likelihood(variables: ModelVariables) -> list[str]:
    outcome, phi, lines = variables.outcome, variables.phi, []
    arguments = dict.fromkeys(outcome.arguments, "trials")
    if phi is None:
        arguments["logit_p"] = "eta"
    else:
        lines += ["# Precision of the rows' probabilities about their mean.", *_random_variable(phi.name, phi), ""]
        arguments |= {"alpha": f"{phi.name} * pm.math.sigmoid(eta)", "beta": f"{phi.name} * pm.math.sigmoid(-eta)"}
    arguments["observed"] = "y"
    return [*lines, "# The outcomes, given the log-odds.", *_random_variable("", outcome, arguments)]


def _sampling(variables: ModelVariables) -> list[str]:
    names = [variables.fixed.beta.name] if variables.fixed else []
    names += [
        variable.name
        for of_group in variables.groups
        for variable in (of_group.sd, of_group.cor)
        if variable is not None
    ]
    names += [variables.phi.name] if variables.phi else []
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


def _stacked(target: str, variable: Variable, entries: Iterable[str]) -> list[str]:
    """Code for a vector of separate entries."""
    return [
        f"{target} = pm.Deterministic(",
        f"    {quoted(variable.name)},",
        "    pt.stack(",
        "        [",
        *(f"            {entry}," for entry in entries),
        "        ]",
        "    ),",
        f"    dims={_dims(variable.dims)},",
        ")",
    ]


def _deterministic(target: str, variable: Variable, code: str) -> list[str]:
    return _call(target, "pm.Deterministic", [quoted(variable.name), code], {"dims": _dims(variable.dims)})


def _random_variable(target: str, variable: Variable, arguments: Mapping[str, str] | None = None) -> list[str]:
    """Code for a random variable; `arguments` are code and replace the numbers of the variable."""
    given = dict(_arguments(variable) if arguments is None else arguments)
    if variable.dims:
        given["dims"] = _dims(variable.dims)
    return _call(target, f"pm.{variable.family}", [quoted(variable.name)], given)


def _entry(variable: Variable, arguments: Mapping[str, str] | None = None) -> str:
    """Code for a scalar random variable inside a list."""
    inside = ", ".join(f"{key}={value}" for key, value in (arguments or _arguments(variable)).items())
    return f"pm.{variable.family}({quoted(variable.name)}, {inside})"


def _arguments(variable: Variable) -> dict[str, str]:
    """Code for the arguments of a variable; one number for equal entries if the dimensions give their number."""
    code = {}
    for key, value in variable.arguments.items():
        if np.ndim(value):
            listed = _listed(value)
            code[key] = listed if variable.dims else f"np.full({len(value)}, {listed})"
        else:
            code[key] = str(value) if isinstance(value, int) else number(value)
    return code


def _call(target: str, function: str, first: Sequence[str], arguments: Mapping[str, str]) -> list[str]:
    """Code for a call, on one line or, if that is too long, with one argument on each line."""
    given = [*first, *(f"{key}={value}" for key, value in arguments.items())]
    start = f"{target} = {function}(" if target else f"{function}("
    whole = f"{start}{', '.join(given)})"
    if len(whole) <= WIDTH - 4:
        return [whole]
    return [start, *(f"    {argument}," for argument in given), ")"]


def _common_value(values: Sequence[float], digits: int = DIGITS) -> float | None:
    """The number that all values are equal to, up to so many digits; None if they differ."""
    rounded = {float(f"{value:.{digits}g}") for value in values}
    close = np.ptp(values) <= 10.0**-DIGITS * float(np.max(np.abs(values)))
    if not close or len(rounded) > 1:
        return None
    (common,) = rounded
    return common if abs(common - values[0]) <= 10.0**-DIGITS * abs(common) else None


def _listed(values: Sequence[float]) -> str:
    """Code for numbers: a list, or one number if they agree."""
    same = _common_value(values)
    return number(same) if same is not None else f"[{', '.join(number(value) for value in values)}]"


def number(value: float) -> str:
    """Code for a number, without digits that come from rounding errors.

    Examples
    --------
    >>> number(2.5000000000000004), number(1 / 3)
    ('2.5', '0.333333333333')
    """
    return repr(float(f"{value:.{DIGITS}g}"))


def _dims(dims: Sequence[str]) -> str:
    listed = ", ".join(quoted(dim) for dim in dims)
    return f"({listed})" if len(dims) > 1 else listed
