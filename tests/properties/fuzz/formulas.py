"""Formulas for the fuzz tests: valid ones, nearly valid ones and hostile text, over the columns of `tables.study`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hierlogit.errors import FormulaError
from hierlogit.formula.tokens import tokenize

from .tables import CODE, Rows

RESPONSES = ["{y}"] * 4 + [
    "{word}", "{flag}", "{y}[1]", "{y}[0]", "{word}['no']", "{word}[yes]", "{flag}[False]", "p({s}, {n})",
    "proportion({s}, {n})", "p({s}, 9)", "cbind({s}, {d})", "cbind({s}, {n} - {s})",
]  # fmt: skip
NUMBERS = [
    "{x}", "{x}", "{z}", "{w}", "I({x}**2)", "scale({x})", "center({z})", "log({z})", "log1p({z})", "np.log({z})",
    "sqrt({z})", "exp({x})", "abs({x})", "{{{x} * {z}}}", "I({x} / {z})", "I({x} > 0)", "standardize({x})",
    "within({x}, {g})", "between({x}, {g})", "bs({z}, df=4)", "bs({z}, 3)", "poly({x}, 2)", "poly({z}, 3)",
    "bs({x}, knots=[0, 1])", "np.exp(-{z})",
]  # fmt: skip
FACTORS = [
    "{t}", "{t}", "{u}", "{lg}", "C({w})", "C({t}, Sum)", "C({u}, Treatment('hi'))", "S({t})", "T({t}, 'b')",
    "C({t}, levels=['c', 'b', 'a'])", "C({t}, Treatment)", "{h}", "C({lg})", "C({u}, Helmert)", "C({u}, Diff)",
    "C({t}, Diff)", "C({w}, Diff)", "C({u}, Poly)",
]  # fmt: skip
SHAPES = [
    "{n1}", "{f1}", "{n1} + {f1}", "{n1} + {n2}", "{n1} * {f1}", "{f1} * {f2}", "{f1} / {n1}", "{n1}:{f1}",
    "{f1}:{f2}", "({n1} + {f1})**2", "{n1} * {n2}", "1", "0 + {f1}", "0 + {n1}", "{f1} - 1", "{f1} + {f2}",
    "{n1} + {f1} + {n1}:{f1}", "0", "{n1} + {n2} + {f1}", "{f1} * {f2} * {n1}",
]  # fmt: skip
OFFSETS = [""] * 6 + [" + offset({z})", " + offset(log({n}))", " + offset(2)", " + offset({x})", " + offset(log({z}))"]
EFFECTS = [
    "1", "1", "1", "1 + {x}", "{x}", "0 + {x}", "1 + {z}", "{lg}", "0 + {t}", "1 + {x} + {z}", "scale({x})", "{t}",
    "poly({x}, 2)", "1 + I({x}**2)",
]  # fmt: skip
GROUPS = ["{g}"] * 5 + ["{h}", "{k}", "{g}:{h}", "{g}/{k}", "{t}", "{w}", "{u}"]


@st.composite
def valid(draw: st.DrawFn, fixed_only: bool = False) -> str:
    """A formula with the roles of columns in place of their names."""
    texts = {"n1": NUMBERS, "n2": NUMBERS, "f1": FACTORS, "f2": FACTORS}
    parts = {place: draw(st.sampled_from(terms)) for place, terms in texts.items()}
    fixed = draw(st.sampled_from(SHAPES)).format(**parts) + draw(st.sampled_from(OFFSETS))
    groups = [] if fixed_only else draw(st.lists(st.sampled_from(GROUPS), min_size=0, max_size=2, unique=True))
    bars = [f"({draw(st.sampled_from(EFFECTS))} {draw(st.sampled_from(['|', '|', '||']))} {group})" for group in groups]
    return " + ".join([f"{draw(st.sampled_from(RESPONSES))} ~ {fixed}", *bars])


VOCABULARY = [
    "+", "-", "*", "/", ":", "**", "(", ")", "{{", "}}", "[", "]", "|", "||", "~", ",", "=", "==", "<", "^", "%",
    "%in%", "0", "1", "2", "-1", "0.5", "1e999", "{x}", "{g}", "{y}", "{t}", "`a b`", "'s'", "None", "True", "f(",
    "I(", "log(", "(1 | {g})", ".", "@", "!", ";", "\\", "lambda", "for", "if", "x.y", "np", "np.pi", "np.random",
    "offset", "s({x})", "mo({x})", "factor({t})", "({x} | {g})", "offset({y})", "- offset({z})", "scale({t})",
    "log({x})", "bs({t})", "C({x}, ", "poly({x}, 99)", "bs({z}, df=1)", "bs({z}, df=999)", "poly({w}, 9)",
    "C({t}, Treatment('zz'))", "C({t}, Nonsense)", "C({x}, Diff)", "C({t}, Diff(1))", "C({u}, Diff", "Diff",
]  # fmt: skip


@st.composite
def nearly_valid(draw: st.DrawFn) -> str:
    """A valid formula with one or two words taken out, doubled, exchanged or put in."""
    text = draw(valid())
    try:
        words = [token.text for token in tokenize(text.replace("{", "").replace("}", ""))[:-1]]
    except FormulaError:
        words = text.split()
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(words)))
        words[place : place + draw(st.integers(0, 2))] = draw(st.lists(st.sampled_from(VOCABULARY), max_size=2))
    return " ".join(words)


#: Text that would do something if it were evaluated as Python, wherever it stands.
HOSTILE = [
    CODE,
    "open('canary', 'w')",
    "exec(\"open('canary', 'w')\")",
    "eval('1')",
    "x.__class__.__mro__",
    "np.save('canary', x)",
    "np.ndarray.tofile(x, 'canary')",
    "x.tofile('canary')",
    "np.lib.npyio.DataSource('.')",
    "getattr(np, 'save')('canary', x)",
    "(lambda: 1)()",
    "[i for i in range(3)]",
    "{i: 1}",
    "f'{1}'",
    "x if x else z",
    "x := 1",
    "np.random.normal(size=3)",
    "I(__import__('os'))",
    "log(x, out=z)",
    "log(x, where=False)",
    "exp(exp(exp(x)))",
    "np.linalg.inv(x)",
    "np.array([1, 2])",
    "np.zeros(3)",
    "np.sum(x)",
    "np.mean",
    "abs('x')",
    "bs(x, df='3')",
    "poly(x, -1)",
    "poly(x, 2.5)",
    "bs(x, degree=-1)",
    "bs(x, knots=x)",
    "within(x, x)",
    "between(t, g)",
    "center(t)",
    "scale(lg)",
    "C(1)",
    "I('a')",
    "I(True)",
    "offset('a')",
    "x**x",
    "x**99",
    "x ** (1/3)",
    "1/0",
    "I(1/0)",
    "I(x/0)",
    "x//2",
    "x @ z",
    "x & z",
    "not x",
    "a\x00b",
    "`" + CODE + "`",
    "x + " * 200 + "x",
    "(" * 300,
    "I(" * 100 + "x" + ")" * 100,
    "~" * 50,
    "🙂",
    "x\u200b",
    "\u202ex",
]


@st.composite
def hostile(draw: st.DrawFn) -> Any:
    """Text, or no text, that is no formula at all or tries to do something else."""
    text = draw(st.one_of(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE), st.text(max_size=30)))
    places = [
        f"y ~ {text}", f"y ~ x + {text}", f"y ~ x + (1 | {text})", f"y ~ x + ({text} | g)", f"{text} ~ x", text,
        f"y[{text}] ~ x", f"p(s, {text}) ~ x", f"y ~ I({text})", f"y ~ log({text})", f"y ~ offset({text})",
        f"cbind(s, {text}) ~ x", f"y ~ C(t, levels={text})", f"y ~ bs(x, df={text})", f"y ~ C(t, Treatment({text}))",
        f"p({text}, n) ~ x",
    ]  # fmt: skip
    return draw(st.sampled_from(places))


def written(template: str, rows: Rows) -> str:
    """The formula of a template with the names that the columns have."""
    try:
        return template.format(**rows.written)
    except (ValueError, KeyError, IndexError):
        return template
