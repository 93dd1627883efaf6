"""The model as mathematics."""

from __future__ import annotations

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.translations.latex import text
from hierlogit.translations.mathml import mathml


def test_every_part_of_the_model_is_there() -> None:
    model = hl.Model(
        "use ~ age + urban + offset(age) + (1 + urban | district) + (0 + age | district)",
        hl.datasets.load("contraception"),
        priors={"age": pr.StudentT(4, 0, 1)},
    )
    lines = model.to_latex().splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert lines[-1] == r"\end{aligned}"
    assert all(line.count("&") == 1 and line.count("{") == line.count("}") for line in lines[1:-1])
    whole = "\n".join(lines)
    assert (
        r"\operatorname{logit}(p_i) &= o_i + \beta_{0} + \beta_{1}\,\text{age}_i + \beta_{2}\,\text{urban[Y]}_i"
        in whole
    )
    assert r"b^{(1)}_{1\,\text{district}[i]}\,\text{urban[Y]}_i" in whole
    assert r"\operatorname{Normal}\left(0, D^{(1)} R^{(1)} D^{(1)}\right)" in whole
    assert (
        r"b^{(1)}_{2j} &\sim \operatorname{Normal}(0, \sigma^{(1)}_{2}), \quad j = 1, \dots, 60\ \text{district}"
        in whole
    )
    assert r"\beta_{1} &\sim \operatorname{StudentT}(4, 0, 1)" in whole
    assert r"R^{(1)} &\sim \operatorname{LKJ}(2)" in whole


def test_two_sets_of_one_factor_have_matrices_of_their_own() -> None:
    whole = hl.Model(
        "use ~ age + (1 + age | district) + (0 + livch | district)", hl.datasets.load("contraception")
    ).to_latex()
    for symbol in ("D^{(1)}_{1}", "D^{(1)}_{2}", r"R^{(1)}_{1} &\sim", r"R^{(1)}_{2} &\sim"):
        assert symbol in whole


def test_counts_and_joint_priors() -> None:
    whole = hl.Model(
        "p(successes, size) ~ 1 + (1 + period_num | herd)", hl.datasets.load("cbpp"), priors={"sd": pr.Decov()}
    ).to_latex()
    assert r"\operatorname{Binomial}(m_i, p_i)" in whole
    assert r"\sigma^{(1)}_{0}, \sigma^{(1)}_{1} &\sim \operatorname{Decov}(1, 1, 1)" in whole


def test_commands_in_names_are_escaped() -> None:
    assert text(r"a_b 50% \x{}") == r"\text{a\_b 50\% \textbackslash{}x\{\}}"


def test_codes_are_written_out_unless_they_indicate_the_level_of_the_label() -> None:
    frame = hl.datasets.load("contraception")
    steps = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    model = hl.Model(
        "use ~ C(livch, Sum):age + urban + (1 + C(livch, steps) || district)", frame, namespace={"steps": steps}
    )
    lines = [line.removesuffix(r" \\") for line in model.to_latex().splitlines() if r"\text{for " in line]
    assert len(lines) == 7
    assert lines[1] == (
        r"\text{C(livch, Sum)[0]}_i &= 1\ \text{for 0}, 0\ \text{for 1}, 0\ \text{for 2}, -1\ \text{for 3+}"
    )
    assert lines[-1].startswith(r"\text{C(livch, steps)[3]}_i &= 0\ \text{for 0}")
    assert "for 3+" in mathml(model.to_latex(), priors=True)
    assert r"\text{for " not in hl.Model("use ~ livch * age + C(woman < 900)", frame).to_latex()
