"""The grammar of formulas, as tables: what each formula means, and what is said of those that mean nothing."""

import pickle

import pytest
from formulae.model_description import model_description

from hierlogit.errors import FormulaError
from hierlogit.formula.names import check_names
from hierlogit.formula.parser import parse
from hierlogit.formula.terms import NameUse, RandomTerm, Response
from hierlogit.formula.tokens import tokenize

# Right-hand side -> the fixed part, and the random terms as (effects, group), with || as a third item where written.
TERMS = [
    # fixed parts
    ("1", "1", []),
    ("0", "0", []),
    ("-1", "-1", []),
    ("- 1 + x", "-1 + x", []),
    ("x", "x", []),
    ("+ x", "x", []),
    ("x - 1", "x - 1", []),
    ("0 + x", "0 + x", []),
    ("x + z", "x + z", []),
    ("x+z", "x + z", []),
    ("x*z", "x*z", []),
    ("x * z - x:z", "x * z - x:z", []),
    ("x:z:w", "x:z:w", []),
    ("x / z", "x / z", []),
    ("x/(z + w)", "x/(z + w)", []),
    ("(x + z)**2", "(x + z)**2", []),
    ("(x + z + w)**3 - x:z:w", "(x + z + w)**3 - x:z:w", []),
    ("w:(x + z)**2", "w:(x + z)**2", []),
    ("(x + (z - w)):u", "(x + (z - w)):u", []),
    ("age + I(age**2) + urban", "age + I(age**2) + urban", []),
    ("{x**2}", "{x**2}", []),
    ("{(x - 1) / 2} + z", "{(x - 1) / 2} + z", []),
    ("np.log(x)", "np.log(x)", []),
    ("bs(x, df=4)", "bs(x, df=4)", []),
    ("bs(x, df = 4, degree=-1)", "bs(x, df = 4, degree=-1)", []),
    ("poly(x, 2):z", "poly(x, 2):z", []),
    ("C(t, Treatment('a'))", "C(t, Treatment('a'))", []),
    ('C(t, Treatment("a | b"))', 'C(t, Treatment("a | b"))', []),
    ("center(x) + scale(z)", "center(x) + scale(z)", []),
    ("x + offset(log(n))", "x + offset(log(n))", []),
    ("within(x, g) + between(x, g)", "within(x, g) + between(x, g)", []),
    ("f(f(f(x, 1.5), -.5), +z)", "f(f(f(x, 1.5), -.5), +z)", []),
    ("I((x - 1)**2 / (1 + z))", "I((x - 1)**2 / (1 + z))", []),
    ("I(-(x**2)) + I(2**-x)", "I(-(x**2)) + I(2**-x)", []),
    ("I(x == 'a') + I(z >= 2) + I((x < 1) * z)", "I(x == 'a') + I(z >= 2) + I((x < 1) * z)", []),
    ("f(x, by=(z == 1), na=None, all=True)", "f(x, by=(z == 1), na=None, all=True)", []),
    ("f({x + 1}) + f()", "f({x + 1}) + f()", []),
    (
        "f(x, 1):a + f( x,1 ):b + I(a*(b + c)) + (I(a*b + c) | g)",
        "f(x, 1):a + f( x,1 ):b + I(a*(b + c))",
        [("I(a*b + c)", "g")],
    ),
    ("{x} + I(x) + I((x)) + I(`x`)", "{x} + I(x) + I((x)) + I(`x`)", []),
    ("f('\\') + f(('\\'))", "f('\\') + f(('\\'))", []),
    ("`my col` + I(`a + b` + 1)", "`my col` + I(`a + b` + 1)", []),
    ("Petal.Length + größe_2", "Petal.Length + größe_2", []),
    ("x\n  + z\t* w", "x + z * w", []),
    ("x\u00a0+\u00a0z", "x + z", []),
    # random terms
    ("(1 | g)", "1", [("1", "g")]),
    ("(1|g)", "1", [("1", "g")]),
    ("0 + (1 | g)", "0", [("1", "g")]),
    ("x + (1 | g)", "x", [("1", "g")]),
    ("(1 | g) + x", "x", [("1", "g")]),
    ("+ (1 | g) + x", "x", [("1", "g")]),
    ("x + (1 | g) - 1", "x - 1", [("1", "g")]),
    ("(1 | g) - 1", "-1", [("1", "g")]),
    ("0 + x + (1 | g)", "0 + x", [("1", "g")]),
    ("x*z + (1 | g) - x:z", "x*z - x:z", [("1", "g")]),
    ("(1 | g) + x + (1 | h) + z", "x + z", [("1", "g"), ("1", "h")]),
    ("x + (x | g)", "x", [("x", "g")]),
    ("x + (1 + x | g)", "x", [("1 + x", "g")]),
    ("x + ( 1+x|g )", "x", [("1+x", "g")]),
    ("x + (0 + x | g)", "x", [("0 + x", "g")]),
    ("x + (x - 1 | g)", "x", [("x - 1", "g")]),
    ("x + (-1 + x | g)", "x", [("-1 + x", "g")]),
    ("x + (1 | g) + (0 + x | g)", "x", [("1", "g"), ("0 + x", "g")]),
    ("x + (x || g)", "x", [("x", "g", "||")]),
    ("x + (1 + x * z || g)", "x", [("1 + x * z", "g", "||")]),
    ("(1 + I(x**2) + C(t, Treatment('a')) | g)", "1", [("1 + I(x**2) + C(t, Treatment('a'))", "g")]),
    ("(1 + {x} + (a + b)**2 | g)", "1", [("1 + {x} + (a + b)**2", "g")]),
    ("(1\n +   x | g)", "1", [("1 + x", "g")]),
    # grouping factors
    ("(1 | a:b)", "1", [("1", "a:b")]),
    ("(1 | b : a)", "1", [("1", "b:a")]),
    ("(1 | a/b)", "1", [("1", "a"), ("1", "a:b")]),
    ("(1 + x || a/b)", "1", [("1 + x", "a", "||"), ("1 + x", "a:b", "||")]),
    ("(1 | a/b/c)", "1", [("1", "a"), ("1", "a:b"), ("1", "a:b:c")]),
    ("(1 | a:b/c)", "1", [("1", "a:b"), ("1", "a:b:c")]),
    ("(1 | a/b:c)", "1", [("1", "a"), ("1", "a:b:c")]),
    ("(1 | (a/b))", "1", [("1", "a"), ("1", "a:b")]),
    ("(1 | (a/b)/c)", "1", [("1", "a"), ("1", "a:b"), ("1", "a:b:c")]),
    ("(1 | a/(b/c))", "1", [("1", "a"), ("1", "a:b"), ("1", "a:b:c")]),
    ("(1 | (a/b):c)", "1", [("1", "a:c"), ("1", "a:b:c")]),
    ("(1 | (g))", "1", [("1", "g")]),
    ("(1 | `my group`:b)", "1", [("1", "my group:b")]),
    ("(1 | x.g)", "1", [("1", "x.g")]),
]


@pytest.mark.parametrize(("right", "fixed", "random"), TERMS, ids=[row[0] for row in TERMS])
def test_terms(right: str, fixed: str, random: list[tuple[str, ...]]) -> None:
    formula = parse(f"y ~ {right}")
    assert formula.fixed == fixed
    found = [(term.effects, term.group_name, *([] if term.correlated else ["||"])) for term in formula.random]
    assert found == random


@pytest.mark.parametrize("right", [row[0] for row in TERMS])
def test_formulae_reads_what_is_handed_on(right: str) -> None:
    formula = parse(f"y ~ {right}")
    for part in [formula.fixed, *(term.effects for term in formula.random)]:
        model_description(part)


# Left-hand side -> column, event, trials, failures.
RESPONSES = [
    ("y", "y", None, None, None),
    ("`my y`", "my y", None, None, None),
    ("resp.1", "resp.1", None, None, None),
    ("use[Y]", "use", "Y", None, None),
    ("use['Y']", "use", "Y", None, None),
    ('use["don\'t know"]', "use", "don't know", None, None),
    ("use[`a b`]", "use", "a b", None, None),
    ("`my use` [ Y ]", "my use", "Y", None, None),
    ("y[1]", "y", "1", None, None),
    ("y[True]", "y", "True", None, None),
    ("p(y, n)", "y", None, "n", None),
    ("prop(y,n)", "y", None, "n", None),
    ("proportion(`a b`, `c d`)", "a b", None, "c d", None),
    ("p(y, 12)", "y", None, 12, None),
    ("cbind(y, failed)", "y", None, None, "failed"),
    ("cbind(y, n - y)", "y", None, "n", None),
    ("cbind(incidence, size-incidence)", "incidence", None, "size", None),
    ("cbind(y, 10 - `y`)", "y", None, 10, None),
    ("p", "p", None, None, None),
    ("cbind[1]", "cbind", "1", None, None),
]


@pytest.mark.parametrize("row", RESPONSES, ids=[row[0] for row in RESPONSES])
def test_responses(row: tuple[str, str, str | None, str | int | None, str | None]) -> None:
    text, column, event, trials, failures = row
    response = parse(f" {text} ~ x").response
    assert response == Response(text, (1, 1 + len(text)), column, event, trials, failures)
    assert response.binomial == (trials is not None or failures is not None)


# A formula with the part to be marked between « and » -> what the message and the hint contain.
BAD = [
    # the whole
    ("", "no '~'", "y ~ x + (1 | g)"),
    ("«age + urban»", "no '~'", "response to the left"),
    ("«~» x", "no response", "cbind(successes, failures)"),
    ("y «~»", "nothing after '~'", "y ~ 1"),
    ("y ~ x «~» z", "second '~'", "one response"),
    ("y ~ «.»", "'.' is not a column", "list the columns by name"),
    ("y ~ x + «.»", "'.' is not a column", "list the columns by name"),
    # responses
    ("«log(y)» ~ x", "response is not understood", "computed in the data first"),
    ("«y + z» ~ x", "response is not understood", "y['yes']"),
    ("«k/n» ~ x", "response is a proportion", "p(k, n)"),
    ("«`a b` / n» ~ x", "response is a proportion", "p(`a b`, n)"),
    ("y ~ x + (1 | school «id»)", "grouping factor is not understood", "(1 | `school id`)"),
    ("«1» ~ x", "response is not understood", "p(successes, trials)"),
    ("«y[]» ~ x", "response is not understood", "y['yes']"),
    ("«y[-1]» ~ x", "response is not understood", "y['yes']"),
    ("«p(y)» ~ x", "response is not understood", "p(successes, trials)"),
    ("«`p`(y, n, k)» ~ x", "response is not understood", "p(successes, trials)"),
    ("p(y, «0») ~ x", "not a positive whole number", "p(successes, 10)"),
    ("p(y, «2.5») ~ x", "not a positive whole number", "p(successes, 10)"),
    ("cbind(y, «n - z») ~ x", "not trials minus successes", "cbind(y, n - y)"),
    ("p(y, «2 * 3») ~ x", "there is no column in this count", "computed from columns"),
    ("cbind(y, «4») ~ x", "there is no column in this count", "p(k, 10)"),
    ("«y | trials(n)» ~ x", "a bar in the response", "p(successes, trials)"),
    # the outcome on the right-hand side
    ("y ~ x + «y»", "the outcome 'y' is also in the fixed part", "cannot be a predictor as well"),
    ("y ~ I(«y» * x)", "the outcome 'y' is also in the fixed part", "take 'y' out"),
    ("y ~ x + offset(«y»)", "the outcome 'y' is also in the fixed part", ""),
    ("y['yes'] ~ between(«y», g)", "the outcome 'y' is also in the fixed part", ""),
    ("y ~ x + (1 + «y» | g)", "the outcome 'y' is also in the random term", ""),
    ("y ~ x + (1 | g:«y»)", "the outcome 'y' is also in the grouping factor", "cannot be a grouping factor"),
    ("p(k, n) ~ «k»", "the outcome 'k' is also in the fixed part", ""),
    ("p(s * n, n) ~ n + «s»", "the outcome 's' is also in the fixed part", ""),
    ("cbind(k, f) ~ «f»", "the outcome 'f' is also in the fixed part", ""),
    ("cbind(n - f, f) ~ n + «f»", "the outcome 'f' is also in the fixed part", ""),
    # offsets are not subtracted
    ("y ~ x - «offset(o)»", "an offset cannot be subtracted", "offset(-1 * (o))"),
    ("y ~ x + offset(o) - «offset(log(o))»", "an offset cannot be subtracted", "offset(-1 * (log(o)))"),
    ("y ~ x - (z + «offset(o)»)", "an offset cannot be subtracted", ""),
    ("«cbind(y, n, y)» ~ x", "response is not understood", "cbind(successes, failures)"),
    ("«(y» ~ x)", "response is not understood", "A response is y"),
    # characters, quotes, brackets
    ("y ~ x «&» z", "the character '&'", "backticks"),
    ("y ~ d«$»x", "the character '$'", "backticks"),
    ("y ~ x «\u2212» 1", "the character '\u2212'", "type - instead"),
    ("y ~ f(«\u201c»a”)", "the character '\u201c'", 'type " instead'),
    ("y ~ «`»a + b", "` is never closed", "Close it"),
    ("y ~ f(x, «'»a)", "' is never closed", "Close it"),
    ("y ~ «``»", "nothing between the backticks", "`my column`"),
    ("y ~ «_x»", "cannot begin with '_'", "`_x`"),
    ("y ~ «.x»", "cannot begin with '.'", "`.x`"),
    ("y ~ «²»", "the character '²'", "backticks"),
    ("y ~ f(x, «1e5»)", "the number '1e5'", "1000"),
    ("y ~ «2x»", "the number '2x'", "2*x"),
    ("y ~ f(x, «5.»)", "the number '5.'", "0.5"),
    ("y ~ «(»x + z", "'(' is never closed", "')'"),
    ("y ~ x«)»", "')' closes nothing", "Take it away"),
    ("y ~ f(x«]»", "']' does not close '('", "character 6 is closed with ')'"),
    ("y ~ f({x«)»}", "')' does not close '{'", "closed with '}'"),
    ("y ~ " + "(" * 25 + "«(»x" + ")" * 26, "nested more than 25 deep", "in the data"),
    # operators
    ("y ~ age «urban»", "operator is missing before 'urban'", "such as + or *"),
    ("y ~ x «2»", "operator is missing before '2'", "such as + or *"),
    ("y ~ f(x)«(»z)", "operator is missing before '('", "such as + or *"),
    ("y ~ `f`«(»x)", "operator is missing before '('", "without backticks"),
    ("y ~ 1 «x»", "operator is missing before 'x'", "such as + or *"),
    ("y ~ x «+ *» z", "two operators in a row", "Keep one"),
    ("y ~ x «+ -»1", "two operators in a row", "x - 1"),
    ("y ~ x «+»", "'+' has nothing after it", "take it away"),
    ("y ~ «*» x", "'*' has nothing before it", "take it away"),
    ("y ~ (x «:»)", "':' has nothing after it", "Write a term"),
    ("y ~ «()»", "no term in the brackets", "Write a term"),
    ("y ~ «{}»", "no value in the brackets", "Write a value"),
    ("y ~ x«,» z", "',' cannot stand between terms", "added with +"),
    ("y ~ age«^»2", "'^' cannot stand between terms", "I(age**2)"),
    ("y ~ (a + b)«^»2", "'^' cannot stand between terms", "(a + b)**2"),
    ("y ~ a «%in%» b", "'%in%' cannot stand", "a:b"),
    ("y ~ x «=» 1", "'=' cannot stand between terms", "I(x == 1)"),
    ("y ~ x «==» 1", "'==' cannot stand between terms", "I(x == 1)"),
    ("y ~ (x «<» 1)", "'<' cannot stand between terms", "I(x == 1)"),
    ("y ~ urban«[»Y]", "'[' cannot stand between terms", "Only the response"),
    # terms
    ("y ~ «age**2»", "not a sum of terms", "I(age**2)"),
    ("y ~ «f(x)**2»", "not a sum of terms", "I(f(x)**2)"),
    ("y ~ «f(x + z)**2»", "not a sum of terms", "I(f(x + z)**2)"),
    ("y ~ «{x + z}**2»", "not a sum of terms", "(a + b)**2"),
    ("y ~ «(a*b)**2»", "not a sum of terms", "(a + b)**2"),
    ("y ~ (a + b)**«1»", "whole number from 2 to 9", "in pairs"),
    ("y ~ (a + b)**«c»", "whole number from 2 to 9", "in pairs"),
    ("y ~ (a + b)«**»", "whole number from 2 to 9", "in pairs"),
    ("y ~ (a + b)**2«**»2", "'**' cannot stand", "operators are"),
    ("y ~ «2» + x", "number 2 cannot stand here", "I(2*x)"),
    ("y ~ «1»:x", "number 1 cannot stand here", "stand alone"),
    ("y ~ x*«0»", "number 0 cannot stand here", "stand alone"),
    ("y ~ («0» + x)", "number 0 cannot stand here", "outside parentheses"),
    ("y ~ «'a'»", "'a' is not a term", "`my column`"),
    ("y ~ «True» + x", "True is not a term", "functions of columns"),
    ("y ~ «-x»", "no term to take this away from", "I(-x)"),
    ("y ~ 1 «- x» + x", "no term to take this away from", "a*b - a:b"),
    ("y ~ x «- 0»", "'- 0' has no meaning", "0 + or - 1"),
    ("y ~ I((a + b)*c) + «I(a + b*c)»", "cannot be told apart", "like I((a + b)*c):"),
    ("y ~ {a - (b - c)} + «I(a - b - c)»", "cannot be told apart", "in the data first"),
    ("y ~ I((a + b)*c) + (x | g) + «I(a + b*c)»", "cannot be told apart", "like I((a + b)*c):"),
    # arguments of functions
    ("y ~ f«(,»x)", "no value in the brackets", "Write a value"),
    ("y ~ f(x«,»)", "',' has nothing after it", "take it away"),
    ("y ~ f(x «z»)", "operator is missing before 'z'", "such as + or *"),
    ("y ~ f(x«:»z)", "':' cannot stand within a function", "f(a):f(b)"),
    ("y ~ f(x «|» g)", "'|' cannot stand within a function", "(1 | g)"),
    ("y ~ {x «||» g}", "'||' cannot stand within a function", "(1 + x || g)"),
    ("y ~ I(x«^»2)", "'^' cannot stand within a function", "**"),
    ("y ~ I(x «//» 2)", "'//' cannot stand within a function", "in the data first"),
    ("y ~ I(x «%» 2)", "'%' cannot stand within a function", "in the data first"),
    ("y ~ I(x«[»'a'])", "'[' cannot stand within a function", "Only the response"),
    ("y ~ bs(x, knots=[1, «my_knot»])", "'my_knot' cannot stand in a list", "namespace={'my_knots': my_knots}"),
    ("y ~ f((«x», z))", "'x' cannot stand in a list", "numbers and texts"),
    ("y ~ f(x, «[1/0]»)", "a list whose values are not understood", "1/3"),
    ("y ~ f(x, «[2**3]»)", "a list whose values are not understood", "1/3"),
    ("y ~ f(x, «['a' - 1]»)", "a list whose values are not understood", "in quotes"),
    ("y ~ f(x, «[]»)", "there is no value in the brackets", "Write a value"),
    ("y ~ f(x, [1«,» , 2])", "',' has nothing after it", "take it away"),
    ("y ~ f(x, [1 «2»])", "operator is missing before '2'", "such as +"),
    ("y ~ f(x, df=4, «df»=5)", "argument 'df' is given twice", "Keep one"),
    ("y ~ f(df=4, «x + 1»)", "without a name after one", "come first"),
    ("y ~ f(x, by=z «==» 1)", "'==' cannot stand", "by=(z == 1)"),
    ("y ~ f(1 < x «<» 2)", "'<' cannot stand", "One comparison"),
    ("y ~ f(«=» 1)", "'=' has nothing before it", "Write a value"),
    ("y ~ I(«-x**»2)", "not clear what is raised", "-(x**2)"),
    ("y ~ I(x**«2**»3)", "not clear what is raised", "(a**b)**c"),
    ('y ~ C(x, «"it\'s"»)', "a quote within a string", "Rename this level"),
    # random terms
    ("y ~ 1 «|» g", "'|' cannot stand between terms", "(1 | g)"),
    ("y ~ x «||» g", "'||' cannot stand between terms", "(1 + x || g)"),
    ("y ~ («|» g)", "no effects before the bar", "(1 | g)"),
    ("y ~ (1 «|» )", "no grouping factor after the bar", "(1 | g)"),
    ("y ~ (1 | g «|» h)", "a second bar", "(1 | g)"),
    ("y ~ x:«(1|g)»", "can only be added", "+ (1|g)"),
    ("y ~ x * «(1 | g)»", "can only be added", "+ (1 | g)"),
    ("y ~ «(1 | g)» * x", "can only be added", "+ (1 | g)"),
    ("y ~ x - «(1 | g)»", "can only be added", "+ (1 | g)"),
    ("y ~ (x + «(1 | g)»)", "can only be added", "outside other parentheses"),
    ("y ~ («(1 | g)» | h)", "can only be added", "+ (1 | g)"),
    ("y ~ (1 | g) «x»", "operator is missing before 'x'", "such as +"),
    ("y ~ («0» | g)", "no effects", "(0 + x | g)"),
    ("y ~ («1 - 1» | g)", "no effects", "(0 + x | g)"),
    ("y ~ (x «+» | g)", "'+' has nothing after it", "Write a term"),
    ("y ~ («x**2» | g)", "not a sum of terms", "I(x**2)"),
    ("y ~ (1 | g) + «(1 | g)»", "(1 | g) is in the formula twice", "keep one"),
    ("y ~ (1+x | a/b) + «(1 + x | b:a)»", "(1 + x | b:a) is in the formula twice", "keep one"),
    # grouping factors
    ("y ~ (1 | «a + b»)", "cannot be joined by '+'", "(1 | a) + (1 | b)."),
    ("y ~ (1 + x | «a*b»)", "cannot be joined by '*'", "(1 + x | a) + (1 + x | b) + (1 + x | a:b)."),
    ("y ~ (1 | «factor(g)»)", "cannot be computed in the formula", "into the data first"),
    ("y ~ (1 | a:«f(g)»)", "cannot be computed in the formula", "into the data first"),
    ("y ~ (1 | «1»)", "grouping factor is not understood", "(1 | a/b)"),
    ("y ~ (1 | «'g'»)", "grouping factor is not understood", "(1 | a:b)"),
    ("y ~ (1 | a«:»)", "grouping factor is not understood", "(1 | a:b)"),
    ("y ~ (1 | «/»a)", "grouping factor is not understood", "(1 | a/b)"),
    ("y ~ (1 | a «b»)", "grouping factor is not understood", "(1 | a:b)"),
    ("y ~ (1 | a «-» b)", "grouping factor is not understood", "(1 | a:b)"),
    ("y ~ (1 | «(»))", "grouping factor is not understood", "(1 | a:b)"),
    ("y ~ (1 | «a:a»)", "stands twice in a grouping factor", "(1 | a:b)"),
]


@pytest.mark.parametrize(("marked", "message", "hint"), BAD, ids=[row[0] for row in BAD])
def test_errors_mark_the_place_and_say_what_to_write(marked: str, message: str, hint: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    with pytest.raises(FormulaError) as caught:
        parse(text)
    error = caught.value
    assert message in error.message
    assert hint in (error.hint or "")
    assert error.formula == text
    assert error.span is not None
    start, stop = error.span
    assert text[:start] + "«" + text[start:stop] + "»" + text[stop:] == (marked or "«»")


def test_parts_of_a_random_term() -> None:
    text = "y ~ x + (1 +  x || a/b)"
    expected = [
        RandomTerm("(1 + x || a/b)", (8, 23), "1 + x", (9, 15), group, (19, 22), correlated=False)
        for group in [("a",), ("a", "b")]
    ]
    assert list(parse(text).random) == expected


def test_uses_of_names() -> None:
    formula = parse("p(y, n) ~ bs(`my x`, df=np.round(k)) + {x} + (1 + C(x, 'z') | g/h)")
    assert formula.names == (
        NameUse("y", (2, 3), "response"),
        NameUse("n", (5, 6), "response"),
        NameUse("bs", (10, 12), "fixed part", is_call=True),
        NameUse("my x", (13, 19), "fixed part", in_call=True),
        NameUse("np.round", (24, 32), "fixed part", is_call=True, in_call=True),
        NameUse("k", (33, 34), "fixed part", in_call=True),
        NameUse("x", (40, 41), "fixed part", in_call=True),
        NameUse("C", (50, 51), "random term", is_call=True),
        NameUse("x", (52, 53), "random term", in_call=True),
        NameUse("g", (62, 63), "grouping factor"),
        NameUse("h", (64, 65), "grouping factor"),
    )
    assert formula.columns == ("y", "n", "my x", "k", "x", "g", "h")


@pytest.mark.parametrize(
    "text",
    ["p(k, n) ~ n", "p(k, n) ~ x + (1 | n)", "cbind(k, n - k) ~ log(n)", "p(s * n, n) ~ n", "cbind(n - f, f) ~ n"],
)
def test_trials_can_be_predictors(text: str) -> None:
    assert "n" not in parse(text).response.outcomes


def test_the_fixed_part_goes_on_after_a_random_term() -> None:
    uses = [(use.name, use.where) for use in parse("y ~ (1 + x | g) + z").names]
    assert uses == [("y", "response"), ("x", "random term"), ("g", "grouping factor"), ("z", "fixed part")]


def test_formulas_are_values() -> None:
    text = "use['Y'] ~ age + (1 + urban | district)"
    formula = parse(text)
    assert str(formula) == text
    assert formula == parse(text)
    assert hash(formula) == hash(parse(text))
    assert formula != parse(text + " ")
    assert pickle.loads(pickle.dumps(formula)) == formula
    with pytest.raises(AttributeError):
        formula.fixed = "1"  # type: ignore[misc]


def test_tokens_know_their_place() -> None:
    text = "y ~ `a b`+1.5* f('c')"
    tokens = tokenize(text)
    assert all(text[token.start : token.stop] == token.text for token in tokens)
    kinds = [
        "name",
        "operator",
        "quoted",
        "operator",
        "number",
        "operator",
        "name",
        "operator",
        "string",
        "operator",
        "end",
    ]
    assert [token.kind for token in tokens] == kinds


# ---- names ---------------------------------------------------------------------------------------------------------

COLUMNS = ["woman", "district", "use", "livch", "age", "urban"]
FUNCTIONS = ["log", "C", "bs", "I"]


def test_the_error_of_an_unknown_variable() -> None:
    with pytest.raises(FormulaError) as caught:
        check_names(parse("use ~ age + (1 + urbn | district)"), COLUMNS, FUNCTIONS)
    assert str(caught.value) == (
        "unknown variable 'urbn' in the random term\n"
        "  use ~ age + (1 + urbn | district)\n"
        "                   ^^^^\n"
        "The data has: woman, district, use, livch, age, urban. Did you mean 'urban'?"
    )


UNKNOWN = [
    ("«usee» ~ age", "unknown variable 'usee' in the response", "Did you mean 'use'?"),
    ("use ~ «Age»", "unknown variable 'Age' in the fixed part", "Did you mean 'age'?"),
    ("use ~ «URBAN»", "unknown variable 'URBAN' in the fixed part", "Did you mean 'urban'?"),
    ("use ~ log(«agee»)", "unknown variable 'agee' in the fixed part", "Did you mean 'age'?"),
    ("use ~ «`my age`»", "unknown variable 'my age' in the fixed part", "The data has: woman, district, use"),
    ("use ~ «qqq»", "unknown variable 'qqq' in the fixed part", "age, urban."),
    ("use ~ (1 | «distrct»)", "unknown variable 'distrct' in the grouping factor", "Did you mean 'district'?"),
    ("use ~ (1 | woman/«dist»)", "unknown variable 'dist' in the grouping factor", "The data has"),
    ("use ~ «log»", "unknown variable 'log' in the fixed part", "write log(x)"),
    ("use ~ «knots»", "unknown variable 'knots' in the fixed part", "variable of your program"),
    ("use ~ «np.pi»", "unknown variable 'np.pi' in the fixed part", "The data has"),
    ("use ~ «lgo»(age)", "unknown function 'lgo' in the fixed part", "C, I, bs, log. A function of your program"),
    ("use ~ («lgo»(age) | woman)", "unknown function 'lgo' in the random term", "Did you mean 'log'?"),
    ("use ~ «factor»(livch)", "unknown function 'factor' in the fixed part", "C(x) makes a column categorical"),
    ("use ~ «ns»(age, 3)", "unknown function 'ns' in the fixed part", "bs(x, df=4) is a spline"),
    ("use ~ «s»(age)", "unknown function 's' in the fixed part", "bs(x, df=4) is a spline"),
    ("use ~ «relevel»(livch)", "unknown function 'relevel' in the fixed part", "Treatment('level')"),
    ("use ~ «urban»(age)", "unknown function 'urban' in the fixed part", "is a column of the data"),
    ("use ~ «pd.cut»(age)", "unknown function 'pd.cut' in the fixed part", "The functions are"),
    ("use ~ «np.load»('a')", "unknown function 'np.load' in the fixed part", "functions of numbers, such as np.log"),
    ("use ~ «np.__class__»(age)", "unknown function 'np.__class__' in the fixed part", "functions of numbers"),
    ("use ~ «mine.method»(age)", "unknown function 'mine.method' in the fixed part", "public functions of modules"),
    ("use ~ «age.__class__»", "unknown variable 'age.__class__' in the fixed part", "The data has"),
    ("use ~ (1 | «age.__class__»)", "unknown variable 'age.__class__' in the grouping factor", "The data has"),
]


@pytest.mark.parametrize(("marked", "message", "hint"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_unknown_names(marked: str, message: str, hint: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    with pytest.raises(FormulaError) as caught:
        check_names(parse(text), COLUMNS, FUNCTIONS, variables=["np", "knots", "mine"])
    error = caught.value
    assert message == error.message
    assert hint in (error.hint or "")
    assert error.span is not None
    start, stop = error.span
    assert text[:start] + "«" + text[start:stop] + "»" + text[stop:] == marked


@pytest.mark.parametrize(
    "right",
    ["age", "`age` + np.log(age)", "bs(age, knots=knots)", "own.score(age) + mine(age)", "{age + knots}"],
)
def test_known_names(right: str) -> None:
    functions = [*FUNCTIONS, "np.log", "own.score", "mine"]
    check_names(parse(f"use ~ {right} + (1 | district)"), COLUMNS, functions, variables=["np", "knots", "own"])


def test_all_functions_are_listed_and_the_way_for_others_is_shown() -> None:
    many = [f"f{number}" for number in range(50)]
    with pytest.raises(FormulaError) as caught:
        check_names(parse("use ~ g(age)"), COLUMNS, many)
    assert all(f" {name}" in str(caught.value.hint) for name in many)
    with pytest.raises(FormulaError) as caught:
        check_names(parse("use ~ bs(age, knots=kn)"), COLUMNS, FUNCTIONS)
    assert "namespace={'kn': kn}" in str(caught.value.hint)
    with pytest.raises(FormulaError) as caught:
        check_names(parse("use ~ C(age, contr.sum)"), COLUMNS, ["C", "Sum"])
    assert caught.value.hint == "The same coding is Sum here: C(x, Sum)."
    with pytest.raises(FormulaError) as caught:
        check_names(parse("use ~ C(age, contr.sdif)"), COLUMNS, ["C", "Diff"])
    assert caught.value.hint == "The same coding is Diff here: C(x, Diff)."


def test_habits_are_only_suggested_where_they_help() -> None:
    with pytest.raises(FormulaError) as caught:
        check_names(parse("use ~ factor(age)"), COLUMNS, ["log"])
    assert str(caught.value.hint).startswith("The functions are: log. A function of your program")


def test_long_lists_of_columns_are_cut() -> None:
    with pytest.raises(FormulaError) as caught:
        check_names(parse("y ~ x"), [f"column{number}" for number in range(1, 31)], FUNCTIONS)
    assert "column19, column20 and 10 more." in (caught.value.hint or "")


def test_an_error_in_a_formula_of_several_lines() -> None:
    with pytest.raises(FormulaError) as caught:
        parse("use ~ age\n  + (1 | a + b)")
    assert str(caught.value) == (
        "grouping factors cannot be joined by '+'\n"
        "  use ~ age\n"
        "    + (1 | a + b)\n"
        "           ^^^^^\n"
        "Write (1 | a) + (1 | b)."
    )
