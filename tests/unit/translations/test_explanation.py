"""Models in words; the file of their program."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.translations.mathml import mathml
from hierlogit.translations.words import Paragraph, words


def fixed(formula: str, frame: pd.DataFrame) -> dict[str, str]:
    """What is said of each fixed effect."""
    return dict(words(hl.Model(formula, frame))[1].points)


def paragraph(found: tuple[Paragraph, ...], title: str) -> Paragraph:
    return next(one for one in found if one.title == title)


def test_an_interaction_tells_where_the_main_effects_hold() -> None:
    said = fixed("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
    assert said == {
        "Intercept": "the log-odds where `treatment` is itraconazole and `time` is 0, in a typical cluster",
        "treatment[terbinafine]": "how much higher the log-odds are where `treatment` is terbinafine rather than "
        "itraconazole, where `time` is 0",
        "time": "the change in the log-odds for one more unit of `time`, where `treatment` is itraconazole",
        "treatment[terbinafine]:time": "how much higher the coefficient of `time` is where `treatment` is terbinafine "
        "rather than itraconazole",
    }


def test_levels_without_a_reference_are_log_odds() -> None:
    said = fixed("p(successes, size) ~ 0 + period + (1 | herd)", hl.datasets.load("cbpp"))
    assert said["period[p3]"] == "the log-odds where `period` is p3, in a typical cluster"


def test_slopes_by_level_are_coefficients() -> None:
    said = fixed("use ~ age:urban", hl.datasets.load("contraception"))
    assert said["age:urban[Y]"] == "the change in the log-odds for one more unit of `age`, where `urban` is Y"
    said = fixed("use ~ age + age:urban", hl.datasets.load("contraception"))
    assert said["age:urban[Y]"] == "how much higher the coefficient of `age` is where `urban` is Y rather than N"
    assert said["age"].endswith(", where `urban` is N")


def test_effects_of_clusters() -> None:
    frame = hl.datasets.load("contraception")
    found = words(hl.Model("use ~ urban + (1 + urban | district) + (0 + age || district)", frame))
    said = paragraph(found, "Clusters of district")
    assert (
        "Those of `Intercept` and `urban[Y]` are correlated (`cor_district`); all others are independent."
        in said.sentences
    )
    points = dict(said.points)
    assert (
        points["Intercept"]
        == "deviation of the log-odds of all its rows; its standard deviation is `sd_district[Intercept]`"
    )
    assert "0 on average" in points["age"]
    assert "0 on average" not in points["urban[Y]"]
    alone = paragraph(words(hl.Model("use ~ 1 + (1 | district)", frame)), "Clusters of district")
    assert alone.sentences.startswith("Each of the 60 clusters has a deviation, which is added")
    apart = paragraph(words(hl.Model("use ~ age + (1 + age || district)", frame)), "Clusters of district")
    assert "They are independent." in apart.sentences


def test_priors_are_those_of_the_model() -> None:
    model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"), priors={"sd": pr.Decov()})
    said = paragraph(words(model), "Priors")
    assert dict(said.points)["Intercept"].endswith(", where all columns are at their means")
    assert dict(said.points)["sd_ID[Intercept]"].startswith("Decov(")
    assert "Dirichlet" in said.sentences


def test_no_clusters_and_no_fixed_effects() -> None:
    frame = hl.datasets.load("bacteria")
    assert [one.title for one in words(hl.Model("y ~ week_gt2", frame))] == ["Outcome", "Fixed effects", "Priors"]
    assert "cluster" not in words(hl.Model("y ~ week_gt2", frame))[1].plain()
    assert [one.title for one in words(hl.Model("y ~ 0 + (1 | ID)", frame))] == ["Outcome", "Clusters of ID", "Priors"]


def test_what_a_notebook_and_a_terminal_show() -> None:
    made = hl.explain(hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")))
    assert "`" not in repr(made)
    assert "sd_district[Intercept]" in repr(made)
    shown = made._repr_html_()
    assert mathml(made.latex, priors=True) in shown
    assert escape(made.code) in shown
    assert ">the change in the log-odds for one more unit of age</td>" in shown


def test_a_fit_is_explained_by_its_model(make_fit) -> None:
    fit = make_fit("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    assert hl.explain(fit).words == hl.explain(fit.model).words


def test_saving_loses_nothing(tmp_path: Path) -> None:
    made = hl.explain(hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")))
    program = made.save(tmp_path / "new" / "folder")
    assert program.read_text() == made.code
    pd.testing.assert_frame_equal(pd.read_csv(program.parent / "data.csv"), made.data, check_dtype=False)
    made.save(program.parent)
    other = hl.explain(hl.Model("use ~ age", hl.datasets.load("contraception")))
    with pytest.raises(hl.errors.ModelError, match=r"program\.py already exists with other content"):
        other.save(program.parent)
    (tmp_path / "data.csv").write_text("mine\n1\n")
    with pytest.raises(hl.errors.ModelError, match=r"data\.csv already exists"):
        made.save(tmp_path)
    assert (tmp_path / "data.csv").read_text() == "mine\n1\n"
    assert not (tmp_path / "program.py").exists()
    with pytest.raises(hl.errors.ModelError, match="cannot write"):
        made.save(program)


def test_rows_with_an_offset() -> None:
    frame = hl.datasets.load("bacteria").assign(w=np.linspace(0, 1, 220))
    assert "offset" in words(hl.Model("y ~ week_gt2 + offset(w)", frame))[1].sentences


@pytest.mark.parametrize("name", ["new\nline", "a\r\nb", "form\x0cfeed", "line\u2028separator", "x_%&#$~^{}\\"])
def test_names_with_line_breaks_and_special_characters_are_explained(name: str) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.integers(0, 2, 60), name: rng.normal(size=60), "g": np.repeat(range(6), 10)})
    explanation = hl.explain(hl.Model(f"y ~ `{name}` + (1 | g)", data))
    usual = hl.explain(hl.Model("y ~ x + (1 | g)", data.rename(columns={name: "x"})))
    assert len(explanation.latex.splitlines()) == len(usual.latex.splitlines())
    assert explanation._repr_html_().count("<mtr") == usual._repr_html_().count("<mtr") > 0
    assert repr(explanation).count("\n") >= repr(usual).count("\n")
