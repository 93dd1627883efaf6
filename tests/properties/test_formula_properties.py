"""Generated formulas: parsing gives back the pieces they were made of, whatever blanks stand between them."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

import pytest
from formulae.model_description import model_description
from formulae.terms.call_resolver import LazyCall, LazyValue
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hierlogit.errors import FormulaError
from hierlogit.formula.names import check_names
from hierlogit.formula.parser import parse
from hierlogit.formula.terms import Formula
from hierlogit.formula.tokens import tokenize

Words = tuple[str, ...]

NAMES = ["age", "urban", "x.1", "livch_2", "größe", "C", "`my col`", "`a | b`", "`~ 'x`"]
# Outcomes cannot be predictors.
OUTCOMES = ["use", "y.1", "count_2", "größte", "p", "`my y`", "`y | b`", "`~ 'y`"]
GROUPS = ["g", "h", "clinic", "`my group`", "k.2"]


def same_call(self: LazyCall, other: object) -> bool:
    return isinstance(other, LazyCall) and str(self) == str(other)


def hash_of_value(self: LazyValue) -> int:
    return hash(str(self))


def read_by_formulae(text: str) -> list[str]:
    """The names of the terms that formulae finds.

    formulae 0.6.2 cannot compare a call with something else, as in ``f(log(x)) + f(x)``, nor compare sums that hold
    constants, as in ``(x + z) * (w + f(1))``. That is no question of grammar, and mended here.
    """
    with patch.object(LazyCall, "__eq__", same_call), patch.object(LazyValue, "__hash__", hash_of_value):
        return [term.name for term in model_description(text).common_terms]


def words(text: str) -> Words:
    return tuple(token.text for token in tokenize(text)[:-1])


def joined(parts: list[Words], separators: list[str]) -> Words:
    result = parts[0]
    for separator, part in zip(separators, parts[1:], strict=False):
        result += (separator, *part)
    return result


def chains(parts: st.SearchStrategy[Words], operators: list[str], longest: int = 3) -> st.SearchStrategy[Words]:
    lists = st.lists(parts, min_size=1, max_size=longest)
    return st.builds(joined, lists, st.lists(st.sampled_from(operators), min_size=longest, max_size=longest))


def in_brackets(inside: st.SearchStrategy[Words], brackets: str = "()") -> st.SearchStrategy[Words]:
    return inside.map(lambda found: (brackets[0], *found, brackets[1]))


def calls(arguments: st.SearchStrategy[Words]) -> st.SearchStrategy[Words]:
    keyword = st.builds(lambda name, value: (name, "=", *value), st.sampled_from(["df", "by"]), arguments)
    plain = st.lists(arguments, min_size=1, max_size=2)
    lists = st.builds(lambda plain, last: plain + last, plain, st.lists(keyword, max_size=1))
    functions = st.sampled_from(["log", "np.log", "bs", "C", "I"])
    return st.builds(lambda name, parts: (name, "(", *joined(parts, [","] * 3), ")"), functions, lists)


names = st.sampled_from(NAMES).map(lambda name: (name,))
constants = st.sampled_from(["1", "2.5", ".5", "'a b'", '"|"', "None", "True"]).map(lambda text: (text,))
arithmetic = st.recursive(
    names | constants,
    lambda inner: (
        chains(inner, ["+", "-", "*", "/"])
        | in_brackets(chains(inner, ["==", "<="], 2))
        | in_brackets(inner).map(lambda found: ("-", *found))
        | in_brackets(inner).map(lambda found: (*found, "**", "2"))
        | calls(in_brackets(inner) | names)
    ),
    max_leaves=6,
)
atoms = names | calls(in_brackets(arithmetic) | names) | in_brackets(arithmetic, "{}")
products = st.recursive(
    atoms,
    lambda inner: (
        chains(inner, [":", "*", "/"])
        | in_brackets(chains(inner, ["+"]))
        | st.builds(lambda one, other: ("(", *one, "+", *other, ")", "**", "2"), atoms, atoms)
    ),
    max_leaves=5,
)
# An operator with a term or a number behind it. Nothing is taken away but the intercept and, at the end, a name.
added = (products | st.sampled_from([("0",), ("1",)])).map(lambda found: ("+", *found))
summands = added | st.just(("-", "1"))


@st.composite
def responses(draw: st.DrawFn) -> tuple[Words, tuple[object, ...]]:
    column, other = draw(st.sampled_from(OUTCOMES)), draw(st.sampled_from(OUTCOMES))
    bare, bare_other = column.strip("`"), other.strip("`")
    level, number = draw(st.sampled_from(["N", "'N'", '"N"', "`N`"])), draw(st.integers(1, 1000))
    function = draw(st.sampled_from(["p", "prop", "proportion"]))
    forms = [
        ((column,), (bare, None, None, None)),
        ((column, "[", level, "]"), (bare, "N", None, None)),
        ((column, "[", str(number), "]"), (bare, str(number), None, None)),
        ((function, "(", column, ",", other, ")"), (bare, None, bare_other, None)),
        ((function, "(", column, ",", str(number), ")"), (bare, None, number, None)),
        (("cbind", "(", column, ",", other, ")"), (bare, None, None, bare_other)),
        (("cbind", "(", column, ",", other, "-", column, ")"), (bare, None, bare_other, None)),
    ]
    return draw(st.sampled_from(forms))


@dataclass(frozen=True)
class Random:
    effects: Words
    bar: str
    group: Words
    groups: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> Words:
        return ("(", *self.effects, self.bar, *self.group, ")")


@st.composite
def random_terms(draw: st.DrawFn) -> Random:
    effects = joined([("1",), *draw(st.lists(products, max_size=2))], ["+", "+"])
    effects = draw(st.sampled_from([effects, ("0", "+", "x"), ("x",), ("x", "-", "1")]))
    columns = draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True))
    bare = tuple(column.strip("`") for column in columns)
    operator = draw(st.sampled_from([":", "/"]))
    groups = (bare,) if operator == ":" else tuple(bare[:size] for size in range(1, len(bare) + 1))
    group = joined([(column,) for column in columns], [operator] * 2)
    group = draw(st.sampled_from([group, ("(", *group, ")")]))
    return Random(effects, draw(st.sampled_from(["|", "||"])), group, groups)


@dataclass(frozen=True)
class Pieces:
    """A formula in pieces: the words of the response and what they mean, and the summands with their signs."""

    response: Words
    meaning: tuple[object, ...]
    right: tuple[Words | Random, ...]

    @property
    def words(self) -> Words:
        rest = tuple(word for part in self.right for word in (("+", *part.words) if isinstance(part, Random) else part))
        return (*self.response, "~", *(rest[1:] if rest[0] == "+" else rest))

    @property
    def random(self) -> list[Random]:
        return [part for part in self.right if isinstance(part, Random)]

    @property
    def fixed(self) -> Words:
        fixed = tuple(word for part in self.right if not isinstance(part, Random) for word in part)
        return (fixed[1:] if fixed[0] == "+" else fixed) if fixed else ("1",)


@st.composite
def pieces(draw: st.DrawFn) -> Pieces:
    response, meaning = draw(responses())
    right = draw(st.lists(summands | random_terms(), min_size=1, max_size=5))
    terms = [(part.effects, frozenset(group)) for part in right if isinstance(part, Random) for group in part.groups]
    assume(len(set(terms)) == len(terms))
    return Pieces(response, meaning, tuple(right))


blanks = st.sampled_from(["", " ", "  ", "\n", "\t", "\r\n   "])


@st.composite
def layouts(draw: st.DrawFn, parts: Pieces) -> str:
    """The words of a formula with blanks of any kind around them."""
    around = draw(st.lists(blanks, min_size=len(parts.words), max_size=len(parts.words)))
    return "".join(blank + word for blank, word in zip(around, parts.words, strict=True)) + draw(blanks)


with_layout = pieces().flatmap(lambda parts: st.tuples(st.just(parts), layouts(parts)))


def parsed(text: str) -> Formula:
    """The formula, without those few that happen to hold two terms of one name."""
    try:
        return parse(text)
    except FormulaError as error:
        assume("cannot be told apart" not in error.message)
        raise


def meaning(formula: Formula) -> object:
    """A formula without its places and blanks."""
    response = formula.response
    random = [(words(term.effects), term.group, term.correlated) for term in formula.random]
    uses = [(use.name, use.where, use.is_call, use.in_call) for use in formula.names]
    left = (response.column, response.event, response.trials, response.failures)
    return (left, words(formula.fixed), random, uses)


@given(with_layout)
def test_parsing_gives_back_the_pieces(made: tuple[Pieces, str]) -> None:
    parts, text = made
    formula = parsed(text)
    response = formula.response
    assert (response.column, response.event, response.trials, response.failures) == parts.meaning
    assert words(formula.fixed) == parts.fixed
    expected = [(term.effects, group, term.bar == "|") for term in parts.random for group in term.groups]
    assert [(words(term.effects), term.group, term.correlated) for term in formula.random] == expected
    assert str(formula) == text


@given(pieces().flatmap(lambda parts: st.tuples(layouts(parts), layouts(parts))))
def test_blanks_do_not_matter(texts: tuple[str, str]) -> None:
    one, other = (parsed(text) for text in texts)
    assert meaning(one) == meaning(other)


@given(with_layout)
def test_spans_hold_what_they_say(made: tuple[Pieces, str]) -> None:
    _, text = made
    formula = parsed(text)
    assert words(text[slice(*formula.response.span)]) == words(formula.response.text)
    for term in formula.random:
        assert words(text[slice(*term.span)]) == words(term.text)
        assert words(text[slice(*term.effects_span)]) == words(term.effects)
        held = {word.strip("`") for word in words(text[slice(*term.group_span)])}
        assert set(term.group) <= held
        for start, stop in (term.span, term.effects_span, term.group_span):
            assert text[start:stop] == text[start:stop].strip()
    for use in formula.names:
        shown = text[slice(*use.span)]
        assert shown in (use.name, f"`{use.name}`")
    assert list(formula.names) == sorted(formula.names, key=lambda use: use.span)


@given(with_layout)
def test_formulae_reads_every_part(made: tuple[Pieces, str]) -> None:
    formula = parsed(made[1])
    for part in [formula.fixed, *(term.effects for term in formula.random)]:
        read_by_formulae(part)


@given(st.lists(summands, min_size=1, max_size=4), st.integers(0, 4))
def test_formulae_finds_the_same_terms_without_the_random_ones(right: list[Words], place: int) -> None:
    parts: list[Words | Random] = [*right]
    parts.insert(place, Random(("1",), "|", ("g",), (("g",),)))
    whole = Pieces(("y",), (), tuple(parts))
    text = " ".join(whole.words)
    assert read_by_formulae(parsed(text).fixed) == read_by_formulae(text)


def error_of(text: str) -> FormulaError | None:
    try:
        check_names(parse(text), ["age"], ["log"])
    except FormulaError as error:
        return error
    return None


def check_error(text: str) -> None:
    """Whatever the text is, nothing but an error with a place and a hint may come of it."""
    error = error_of(text)
    if error is not None:
        assert error.formula == text
        assert error.hint
        assert error.span is not None
        assert 0 <= error.span[0] <= error.span[1] <= len(text)
        assert error.span[0] < error.span[1] or text == ""
        assert error.message in str(error)


@given(st.text())
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    check_error(text)
    check_error(f"y ~ {text}")


@settings(max_examples=300)
@given(st.text(alphabet="yxg01.|~+-*/:()[]{}`'\"=<,^% \n"))
def test_any_text_of_formula_characters_is_a_formula_or_an_error(text: str) -> None:
    check_error(text)
    check_error(f"y ~ {text}")


VOCABULARY = [
    "+",
    "-",
    "*",
    "/",
    ":",
    "**",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "|",
    "||",
    "~",
    ",",
    "=",
    "==",
    "<",
    "^",
    "%",
]
VOCABULARY += ["0", "1", "2", "0.5", "x", "g", "`a b`", "'s'", "None", "f(", "I(", "(1 | g)", "."]
#: How many are spoiled; a profile with more examples spoils more.
SPOILED = 150 if settings.default.max_examples <= 100 else 3000


@settings(max_examples=SPOILED)
@given(pieces(), st.data())
def test_a_spoiled_formula_is_an_error_or_one_that_formulae_reads(parts: Pieces, data: st.DataObject) -> None:
    spoiled = list(parts.words)
    place = data.draw(st.integers(0, len(spoiled) - 1))
    spoiled[place : place + data.draw(st.integers(0, 1))] = data.draw(st.lists(st.sampled_from(VOCABULARY), max_size=2))
    text = " ".join(spoiled)
    try:
        formula = parse(text)
    except FormulaError:
        check_error(text)
        return
    for part in [formula.fixed, *(term.effects for term in formula.random)]:
        read_by_formulae(part)


@pytest.mark.parametrize("text", ["y ~ " + "x + " * 3000 + "x", "y ~ " + "(" * 3000, "y ~ f" + "(f" * 3000])
def test_very_long_formulas(text: str) -> None:
    check_error(text)
