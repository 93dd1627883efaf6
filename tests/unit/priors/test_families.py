"""Prior families against SciPy and against integration; defaults; whose prior ends up where."""

import re
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

import bambi as bmb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import hierlogit as hl
from hierlogit.design.design import Design, build_design
from hierlogit.errors import PriorError
from hierlogit.formula.parser import parse
from hierlogit.priors import (
    COEFFICIENT_FAMILIES,
    LKJ,
    SD_FAMILIES,
    Cauchy,
    CoefficientPrior,
    Decov,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    Laplace,
    LogNormal,
    Normal,
    Prior,
    ScalePrior,
    StudentT,
)
from hierlogit.priors.defaults import Priors, default_priors, resolve_priors

place = st.floats(-10, 10)
size = st.floats(0.2, 20)
anywhere = st.floats(-50, 50, allow_subnormal=False)

FAMILIES: dict[str, tuple[st.SearchStrategy[Prior], Callable[[Any], Any]]] = {
    "Normal": (st.builds(Normal, place, size), lambda p: stats.norm(p.mu, p.sigma)),
    "StudentT": (st.builds(StudentT, size, place, size), lambda p: stats.t(p.nu, p.mu, p.sigma)),
    "Cauchy": (st.builds(Cauchy, place, size), lambda p: stats.cauchy(p.alpha, p.beta)),
    "Laplace": (st.builds(Laplace, place, size), lambda p: stats.laplace(p.mu, p.b)),
    "HalfNormal": (st.builds(HalfNormal, size), lambda p: stats.halfnorm(scale=p.sigma)),
    "HalfCauchy": (st.builds(HalfCauchy, size), lambda p: stats.halfcauchy(scale=p.beta)),
    "Exponential": (st.builds(Exponential, size), lambda p: stats.expon(scale=1 / p.lam)),
    "Gamma": (st.builds(Gamma, size, size), lambda p: stats.gamma(p.alpha, scale=1 / p.beta)),
    "LogNormal": (st.builds(LogNormal, place, size), lambda p: stats.lognorm(p.sigma, scale=np.exp(p.mu))),
}


# ---- densities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
def test_densities_are_those_of_scipy(family: str, data: st.DataObject) -> None:
    strategy, twin = FAMILIES[family]
    prior = data.draw(strategy)
    x = np.array([data.draw(anywhere), data.draw(size), -1.0])
    np.testing.assert_allclose(prior.logpdf(x), twin(prior).logpdf(x), rtol=1e-9, atol=1e-9)
    assert prior.logpdf(x.reshape(3, 1)).shape == (3, 1)


@given(size, size, st.floats(0, 50))
def test_the_half_t_is_a_folded_t(nu: float, sigma: float, x: float) -> None:
    np.testing.assert_allclose(
        HalfStudentT(nu, sigma).logpdf(x), stats.t(nu, 0, sigma).logpdf(x) + np.log(2), rtol=1e-9
    )
    assert HalfStudentT(nu, sigma).logpdf(-x - 1e-9) == -np.inf


@pytest.mark.parametrize(
    "prior",
    [
        Normal(1, 2),
        StudentT(3, 1, 2),
        Cauchy(1, 2),
        Laplace(1, 2),
        HalfNormal(2),
        HalfStudentT(3, 2),
        HalfCauchy(2),
        Exponential(0.7),
        Gamma(2, 0.5),
        Gamma(0.7, 1),
        LogNormal(0.3, 0.8),
    ],
    ids=str,
)
def test_densities_integrate_to_one(prior: Prior) -> None:
    def density(x: float) -> float:
        return float(np.exp(prior.logpdf(x)))

    parts: list[tuple[float, float]] = [(0, 1), (1, 30), (30, np.inf)]
    if isinstance(prior, CoefficientPrior):
        parts += [(-b, -a) for a, b in parts]
    assert sum(integrate.quad(density, *part)[0] for part in parts) == pytest.approx(1, abs=1e-6)


def test_the_density_at_zero() -> None:
    assert Exponential(2).logpdf(0) == pytest.approx(np.log(2))
    assert Gamma(1, 3).logpdf(0) == pytest.approx(np.log(3))
    assert Gamma(2, 3).logpdf(0) == -np.inf
    assert LogNormal(0, 1).logpdf([0, -1]).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("prior", [Normal(1, 2), StudentT(4, -1, 2), Cauchy(1, 2), Laplace(1, 2)], ids=str)
@given(factor=st.floats(0.01, 100), x=anywhere)
def test_rescaled_is_the_prior_of_a_multiple(prior: CoefficientPrior, factor: float, x: float) -> None:
    changed = prior.rescaled(factor)
    assert type(changed) is type(prior)
    np.testing.assert_allclose(changed.logpdf(factor * x), prior.logpdf(x) - np.log(factor), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("prior", "factor"), [(Normal(1, 1e-300), 0.97), (Normal(1e99, 1), 1e10)])
def test_priors_beyond_floats_after_rescaling_are_refused_as_they_were_given(prior: Normal, factor: float) -> None:
    with pytest.raises(PriorError, match=r"^the prior Normal\(mu=1.*standard deviation is"):
        prior.rescaled(factor)


# ---- LKJ and decov -----------------------------------------------------------------------------------------------


def correlations(*entries: Any) -> Any:
    """Matrices with these entries above the diagonal: (1, 2) for two effects, (1, 2), (1, 3), (2, 3) for three."""
    q = {1: 2, 3: 3}[len(entries)]
    shape = np.broadcast(*entries).shape
    R = np.zeros((*shape, q, q)) + np.eye(q)
    for (i, j), value in zip([(0, 1)] if q == 2 else [(0, 1), (0, 2), (1, 2)], entries, strict=True):
        R[..., i, j] = R[..., j, i] = value
    return R


@pytest.mark.parametrize("eta", [0.8, 1, 2, 5.5])
def test_lkj_integrates_to_one_for_two_effects(eta: float) -> None:
    total, _ = integrate.quad(lambda r: float(np.exp(LKJ(eta).logpdf(correlations(r)))), -1, 1)
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("eta", [1, 2, 5.5])
def test_lkj_integrates_to_one_for_three_effects(eta: float) -> None:
    # Canonical partial correlations cover the cube: r23 = r12 r13 + c sqrt((1 - r12^2)(1 - r13^2)).
    nodes, weights = np.polynomial.legendre.leggauss(40)
    r12, r13, c = np.meshgrid(nodes, nodes, nodes, indexing="ij")
    root = np.sqrt((1 - r12**2) * (1 - r13**2))
    density = np.exp(LKJ(eta).logpdf(correlations(r12, r13, r12 * r13 + c * root))) * root
    total = np.einsum("i,j,k,ijk", weights, weights, weights, density)
    assert total == pytest.approx(1, abs=2e-4)


def test_lkj_1_is_uniform() -> None:
    np.testing.assert_allclose(LKJ(1).logpdf(correlations(np.array([-0.9, 0, 0.5]))), -np.log(2))


@pytest.mark.parametrize(("concentration", "shape", "scale"), [(1, 1, 1), (2, 1.5, 0.7), (3, 2, 2)])
def test_decov_integrates_to_one_for_two_effects(concentration: float, shape: float, scale: float) -> None:
    prior = Decov(concentration, shape, scale)
    # In polar coordinates; the density in the radius is smooth and falls off exponentially.
    total, _ = integrate.dblquad(
        lambda radius, angle: radius * float(np.exp(prior.logpdf([radius * np.cos(angle), radius * np.sin(angle)]))),
        0,
        np.pi / 2,
        0,
        60 * scale,
    )
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("k", [2, 3])
def test_decov_is_the_distribution_it_describes(k: int) -> None:
    prior, rng, n = Decov(2, 1.5, 0.7), np.random.default_rng(5), 400_000
    tau = rng.gamma(prior.shape, prior.scale, n)
    sd = tau[:, None] * np.sqrt(k * rng.dirichlet(np.full(k, prior.concentration), n))
    # Any density q that is positive where p is has E_p[q / p] = 1, which the right p alone fulfils for every q.
    for twin in (stats.gamma(3, scale=0.4), stats.gamma(4, scale=0.3)):
        ratio = np.exp(twin.logpdf(sd).sum(axis=1) - prior.logpdf(sd))
        assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / np.sqrt(n))
        assert ratio.std() / np.sqrt(n) < 0.01


@given(size, size, st.floats(0.01, 10))
def test_decov_of_one_effect_is_a_gamma(shape: float, scale: float, x: float) -> None:
    np.testing.assert_allclose(Decov(2, shape, scale).logpdf([x]), Gamma(shape, 1 / scale).logpdf(x))


DRAWN: list[tuple[Prior, Any]] = [
    (Normal(1, 0.2), stats.norm(1, 0.2)),
    (StudentT(3, -1, 2), stats.t(3, -1, 2)),
    (Cauchy(2, 0.5), stats.cauchy(2, 0.5)),
    (Laplace(1, 3), stats.laplace(1, 3)),
    (HalfNormal(0.5), stats.halfnorm(scale=0.5)),
    (HalfCauchy(2), stats.halfcauchy(scale=2)),
    (Exponential(3), stats.expon(scale=1 / 3)),
    (Gamma(2.5, 4), stats.gamma(2.5, scale=1 / 4)),
    (LogNormal(0.3, 0.8), stats.lognorm(0.8, scale=np.exp(0.3))),
    (Decov(2, 1.5, 3), stats.gamma(1.5, scale=3)),
]


@pytest.mark.parametrize(("prior", "distribution"), DRAWN, ids=[str(prior) for prior, _ in DRAWN])
def test_draws_have_the_distribution(prior: Prior, distribution: Any) -> None:
    drawn = prior.draw(np.random.default_rng(1), 4000)
    assert drawn.shape == (4000,)
    assert stats.kstest(drawn, distribution.cdf).pvalue > 1e-3


def test_draws_of_the_half_t_are_those_of_the_t_without_their_signs() -> None:
    drawn = HalfStudentT(4, 2).draw(np.random.default_rng(1), 4000)
    assert stats.kstest(drawn, lambda x: 2 * stats.t(4, 0, 2).cdf(x) - 1).pvalue > 1e-3


def test_every_family_is_drawn_from() -> None:
    assert {type(prior) for prior, _ in DRAWN} | {HalfStudentT} == {*COEFFICIENT_FAMILIES, *SD_FAMILIES}


def test_joint_draws_of_sds_have_the_scale_and_the_shares() -> None:
    prior = Decov(concentration=2, shape=1.5, scale=0.7)
    drawn = prior.draw_jointly(np.random.default_rng(1), 4000, 3)
    total = (drawn**2).sum(axis=1)
    assert stats.kstest(np.sqrt(total / 3), stats.gamma(1.5, scale=0.7).cdf).pvalue > 1e-3
    assert stats.kstest(drawn[:, 1] ** 2 / total, stats.beta(2, 4).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("eta", "size"), [(0.5, 2), (2.0, 2), (1.0, 4), (3.0, 5)])
def test_drawn_correlations_have_the_margins_and_the_determinant_of_lkj(eta: float, size: int) -> None:
    L = LKJ(eta).draw_cholesky(np.random.default_rng(1), 4000, size)
    R = L @ L.transpose(0, 2, 1)
    np.testing.assert_allclose(np.einsum("sii->si", R), 1.0)
    assert np.all(np.triu(L, 1) == 0.0)
    # Lewandowski, Kurowicka and Joe (2009): each correlation is 2 Beta(a, a) - 1, a = eta + size / 2 - 1; and the
    # determinant is a product of independent beta variables.
    margin = stats.beta(eta + size / 2 - 1, eta + size / 2 - 1)
    for i, j in zip(*np.tril_indices(size, -1), strict=True):
        assert stats.kstest((R[:, i, j] + 1) / 2, margin.cdf).pvalue > 1e-4
    expected = np.prod([(eta + (size - 1 - k) / 2) / (eta + (size - 1) / 2) for k in range(1, size)])
    assert np.linalg.det(R).mean() == pytest.approx(expected, rel=0.05)


def test_default_decov_of_one_effect_is_exponential() -> None:
    np.testing.assert_allclose(Decov().logpdf([[0.3], [2.0]]), Exponential(1).logpdf([0.3, 2.0]))


# ---- arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Normal(0, 0), "Normal: sigma=0 must be a finite number above 0"),
        (lambda: Normal(0, -1), "sigma=-1 must be a finite number above 0"),
        (lambda: Normal(np.nan, 1), "mu=nan must be a finite number"),
        (lambda: Normal(0, np.inf), "sigma=inf must be a finite number above 0"),
        (lambda: Normal("a", 1), "mu='a' must be a finite number"),  # type: ignore[arg-type]
        (lambda: Normal(True, 1), "mu=True must be a finite number"),
        (lambda: StudentT(0), "nu=0 must be a finite number above 0"),
        (lambda: LKJ(0), "LKJ: eta=0 must be a finite number above 0"),
        (lambda: Decov(scale=-1), "Decov: scale=-1"),
    ],
)
def test_arguments_are_checked(make: Callable[[], Prior], words: str) -> None:
    with pytest.raises(PriorError, match=re.escape(words)):
        make()


def test_priors_are_values() -> None:
    assert Normal(0, 2) == Normal(np.float32(0), np.int64(2))  # type: ignore[arg-type]
    assert hash(Normal(0, 2)) == hash(Normal(0.0, 2.0))
    assert str(Normal(0, 2.5)) == "Normal(mu=0, sigma=2.5)"
    assert str(Exponential(0.123456)) == "Exponential(lam=0.1235)"


# ---- defaults ----------------------------------------------------------------------------------------------------


def table() -> pd.DataFrame:
    rng, n = np.random.default_rng(11), 60
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "x": rng.normal(2, 3, n),
            "z": rng.normal(-1, 0.2, n),
            "t": rng.choice(["a", "b", "c"], n),
            "g": np.arange(n) % 6,
            "h": np.arange(n) % 5,
        }
    )


def design(formula: str = "y ~ x + t + (1 + x | g) + (0 + z | h)", **columns: Any) -> Design:
    return build_design(parse(formula), table().assign(**columns))


def test_default_priors() -> None:
    frame, priors = table(), default_priors(design())
    is_b, is_c = (frame["t"] == "b").std(), (frame["t"] == "c").std()
    sds = {"Intercept": 1, "x": frame["x"].std(), "t[b]": is_b, "t[c]": is_c}
    assert list(priors.fixed) == list(sds)
    for label, prior in priors.fixed.items():
        assert isinstance(prior, Normal)
        assert prior.mu == 0
        assert prior.sigma == pytest.approx(2.5 / sds[label])
    (intercept, slope), (alone,) = priors.sd["g"], priors.sd["h"]
    assert isinstance(slope, Exponential)
    assert isinstance(alone, Exponential)
    assert intercept == Exponential(1)
    # The mean of an exponential is 1 / lam: a standard deviation of z carries an effect of about 1.
    assert slope.lam == pytest.approx(frame["x"].std())
    assert alone.lam == pytest.approx(frame["z"].std())
    assert priors.cor == {"g": LKJ(2)}


@given(shift=st.sampled_from([-2000.0, 2000.0, 1e5]))
def test_default_priors_do_not_depend_on_the_means_of_predictors(shift: float) -> None:
    one = default_priors(design("y ~ x + (1 + x | g)"))
    other = default_priors(design("y ~ x + (1 + x | g)", x=table()["x"] + shift))
    for label, prior in one.fixed.items():
        np.testing.assert_allclose(list(prior.arguments().values()), list(other.fixed[label].arguments().values()))
    assert [prior.arguments()["lam"] for prior in one.sd["g"]] == pytest.approx(
        [prior.arguments()["lam"] for prior in other.sd["g"]]
    )


@settings(max_examples=max(settings.default.max_examples // 4, 1))
@given(scale=st.floats(1e-6, 1e6))
def test_default_priors_follow_the_units_of_predictors(scale: float) -> None:
    one = default_priors(design("y ~ x + (1 + x | g)"))
    other = default_priors(design("y ~ x + (1 + x | g)", x=table()["x"] * scale))
    assert other.fixed["x"].arguments()["sigma"] == pytest.approx(one.fixed["x"].arguments()["sigma"] / scale)
    assert other.sd["g"][1].arguments()["lam"] == pytest.approx(one.sd["g"][1].arguments()["lam"] * scale)


def test_models_without_intercept_or_groups() -> None:
    priors = default_priors(design("y ~ 0 + t"))
    assert set(priors.fixed) == {"t[a]", "t[b]", "t[c]"}
    assert (priors.sd, priors.cor) == ({}, {})
    assert default_priors(design("y ~ x + (1 + x || g)")).cor == {}


# ---- the user's priors -------------------------------------------------------------------------------------------


def resolved(given_priors: dict[Any, Any], formula: str = "y ~ x + t + (1 + x | g) + (0 + z | h)") -> Priors:
    return resolve_priors(design(formula), given_priors)


A, B, C, D = Normal(0, 1), StudentT(3, 0, 1), Cauchy(0, 1), Laplace(0, 1)


@pytest.mark.parametrize(
    ("priors", "expected"),
    [
        ({"beta": A}, {"x": A, "t[b]": A, "t[c]": A}),
        ({"Intercept": A}, {"Intercept": A}),
        ({"t": A}, {"t[b]": A, "t[c]": A}),
        ({"beta[t]": A}, {"t[b]": A, "t[c]": A}),
        ({"t[b]": A}, {"t[b]": A}),
        ({"beta[t[b]]": A}, {"t[b]": A}),
        ({"beta": A, "t": B, "t[c]": C, "Intercept": D}, {"Intercept": D, "x": A, "t[b]": B, "t[c]": C}),
        ({"t[c]": C, "t": B, "beta": A}, {"x": A, "t[b]": B, "t[c]": C}),
    ],
)
def test_the_more_particular_key_wins_for_coefficients(priors: Any, expected: dict[str, Prior]) -> None:
    found = resolved(priors)
    assert found.fixed == {**default_priors(design()).fixed, **expected}
    assert found.sd == default_priors(design()).sd


E, F, G = HalfNormal(1), HalfCauchy(2), Gamma(2, 1)


@pytest.mark.parametrize(
    ("priors", "expected"),
    [
        ({"sd": E}, {"g": (E, E), "h": (E,)}),
        ({"sd_g": E}, {"g": (E, E)}),
        ({"sd_g[x]": E}, {"g": (None, E)}),
        ({"1|g": E}, {"g": (E, None)}),
        ({"x|g": E, "z|h": F}, {"g": (None, E), "h": (F,)}),
        ({"sd_g[x]": G, "sd_g": F, "sd": E}, {"g": (F, G), "h": (E,)}),
        ({"sd": E, "sd_g": Decov()}, {"g": (Decov(), Decov()), "h": (E,)}),
    ],
)
def test_the_more_particular_key_wins_for_sds(priors: Any, expected: dict[str, Any]) -> None:
    found, default = resolved(priors), default_priors(design())
    for group, held in default.sd.items():
        wanted = expected.get(group, (None,) * len(held))
        assert found.sd[group] == tuple(new or old for new, old in zip(wanted, held, strict=True))
    assert found.fixed == default.fixed


def test_the_more_particular_key_wins_for_correlations() -> None:
    formula = "y ~ x + (1 + x | g) + (1 + z | h)"
    assert resolved({"cor": LKJ(1)}, formula).cor == {"g": LKJ(1), "h": LKJ(1)}
    assert resolved({"cor_h": LKJ(5), "cor": LKJ(1)}, formula).cor == {"g": LKJ(1), "h": LKJ(5)}


def test_a_column_of_the_name_of_a_class_is_reached_by_its_full_name() -> None:
    found = resolve_priors(design("y ~ sd + x + (1 | g)", sd=table()["z"]), {"sd": E, "beta[sd]": A})
    assert found.fixed["sd"] == A
    assert found.sd["g"] == (E,)


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        ({"xx": A}, ["no parameter 'xx'", "Its parameters are: Intercept, x, t, t[b]", "cor_g", "Did you mean 'x'?"]),
        ({"sd_gg": E}, ["no parameter 'sd_gg'", "Did you mean 'sd_g'?"]),
        ({"cor_h": LKJ(1)}, ["no parameter 'cor_h'", "Did you mean 'cor_g'?"]),
        ({3: A}, ["priors must be a mapping of names to priors", "3 is not a name"]),
        (
            {"beta": E},
            ["prior of 'beta': HalfNormal(sigma=1) is not allowed", "'Normal', 'StudentT', 'Cauchy', 'Laplace'"],
        ),
        ({"x": LKJ(1)}, ["prior of 'x': LKJ(eta=1) is not allowed"]),
        ({"sd": A}, ["prior of 'sd': Normal(mu=0, sigma=1) is not allowed", "'HalfNormal'", "'Decov'"]),
        ({"cor": A}, ["prior of 'cor'", "the only choice is 'LKJ'"]),
        ({"x": 3}, ["prior of 'x': 3 is not allowed"]),
        ({"x": None}, ["prior of 'x': None is not allowed"]),
        ({"x": Normal}, ["prior of 'x': <class", "Normal"]),
        ({"sd_g[x]": Decov()}, ["Decov is a joint prior", "sd_<group>"]),
        ({"sd_g": Decov(), "sd_g[x]": E}, ["'sd_g' has a Decov prior", "give no other prior to one of them"]),
    ],
)
def test_priors_in_the_wrong_place_are_refused(priors: Any, words: list[str]) -> None:
    with pytest.raises(PriorError) as caught:
        resolved(priors)
    for word in words:
        assert word in str(caught.value)


def test_independent_effects_may_have_decov_beside_others() -> None:
    found = resolved({"sd_g": Decov(), "sd_g[x]": E}, "y ~ x + (1 + x || g)")
    assert found.sd["g"] == (Decov(), E)


def test_every_family_has_its_place() -> None:
    assert {family.__name__ for family in COEFFICIENT_FAMILIES} == {"Normal", "StudentT", "Cauchy", "Laplace"}
    assert all(issubclass(family, ScalePrior) for family in SD_FAMILIES)
    for prior in (
        HalfNormal(2),
        HalfStudentT(3, 2),
        HalfCauchy(2),
        Exponential(2),
        Gamma(2, 1),
        LogNormal(0, 1),
        Decov(),
    ):
        assert resolved({"sd_h": prior}).sd["h"] == (prior,)


# ---- bambi -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "prior", "expected"),
    [
        ("x", bmb.Prior("Normal", mu=0, sigma=3), Normal(0, 3)),
        ("x", bmb.Prior("Normal", mu=np.array([1.0]), sigma=np.array(3.0)), Normal(1, 3)),
        ("x", bmb.Prior("StudentT", nu=4, mu=0, sigma=1), StudentT(4, 0, 1)),
        ("x", bmb.Prior("Cauchy", alpha=1, beta=2), Cauchy(1, 2)),
        ("x", bmb.Prior("Laplace", mu=1, b=2), Laplace(1, 2)),
    ],
)
def test_bambis_priors_of_coefficients(key: str, prior: Any, expected: Prior) -> None:
    assert resolved({key: prior}).fixed[key] == expected


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (bmb.Prior("HalfNormal", sigma=2), HalfNormal(2)),
        (bmb.Prior("HalfStudentT", nu=3, sigma=2), HalfStudentT(3, 2)),
        (bmb.Prior("HalfCauchy", beta=2), HalfCauchy(2)),
        (bmb.Prior("Exponential", lam=2), Exponential(2)),
        (bmb.Prior("Gamma", alpha=2, beta=3), Gamma(2, 3)),
        (bmb.Prior("LogNormal", mu=0, sigma=1), LogNormal(0, 1)),
        (bmb.Prior("Lognormal", mu=0, sigma=1), LogNormal(0, 1)),
    ],
)
def test_bambis_priors_of_sds_flat_and_nested(prior: Any, expected: Prior) -> None:
    for given_prior in (prior, bmb.Prior("Normal", mu=0, sigma=prior)):
        assert resolved({"1|g": given_prior}).sd["g"][0] == expected
        assert resolved({"sd": given_prior}).sd["h"] == (expected,)


@pytest.mark.parametrize(
    ("key", "prior", "words"),
    [
        ("x", bmb.Prior("Flat"), ["not allowed for this parameter", "'Normal'"]),
        ("x", bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=1)), ["depends on other priors ('sigma')"]),
        ("x", bmb.Prior("Normal", mu=0, sigma=np.array([1.0, 2.0])), ["must be a finite number"]),
        ("x", bmb.Prior("Normal", mu=0, sigma=-1), ["sigma=-1.0 must be a finite number above 0"]),
        ("1|g", bmb.Prior("Weibull", alpha=1, beta=1), ["Weibull", "not allowed for this parameter"]),
        ("1|g", bmb.Prior("Gamma", mu=1, sigma=1), ["other arguments", "'alpha', 'beta'"]),
        ("1|g", bmb.Prior("Exponential", scale=1), ["other arguments", "'lam'"]),
        ("1|g", bmb.Prior("Normal", mu=0, sigma=2), ["not allowed for this parameter"]),
        ("1|g", bmb.Prior("StudentT", nu=3, mu=0, sigma=bmb.Prior("HalfNormal", sigma=1)), ["depends on other"]),
        ("1|g", bmb.Prior("Normal", mu=1, sigma=bmb.Prior("HalfNormal", sigma=1)), ["has a mean", "around 0"]),
        (
            "1|g",
            bmb.Prior("Normal", mu=bmb.Prior("Normal", mu=0, sigma=1), sigma=bmb.Prior("HalfNormal", sigma=1)),
            ["depends on other priors ('mu', 'sigma')"],
        ),
    ],
)
def test_bambis_priors_that_have_no_counterpart(key: str, prior: Any, words: list[str]) -> None:
    with pytest.raises(PriorError) as caught:
        resolved({key: prior})
    for word in [f"'{key}'" if "must be" not in words[0] else "", *words]:
        assert word in str(caught.value)


def test_the_table_of_priors_names_every_parameter() -> None:
    model = hl.Model("y ~ x + (1 + x | g) + (1 | h)", table())
    assert [label for label, _ in model.priors.table(model.design)] == [
        "Intercept",
        "x",
        "sd_g[Intercept]",
        "sd_g[x]",
        "cor_g",
        "sd_h[Intercept]",
    ]


def test_bambis_key_of_a_random_term_stands_for_its_columns() -> None:
    model = hl.Model("use ~ age + (1 + livch || district)", hl.datasets.load("contraception"))
    held = model.with_priors({"livch|district": HalfNormal(2), "livch[1]|district": HalfNormal(3)}).priors.sd[
        "district"
    ]
    assert [str(prior) for prior in held[1:]] == ["HalfNormal(sigma=3)"] + ["HalfNormal(sigma=2)"] * 2
    with pytest.raises(PriorError, match="priors must be a mapping"):
        model.with_priors([HalfNormal(2)])


# ---- numbers of any kind, and numbers at the edge --------------------------------------------------------------------

EVERY_FAMILY: tuple[type[Prior], ...] = (*COEFFICIENT_FAMILIES, *SD_FAMILIES, LKJ)


def _with(family: type[Prior], name: str, value: Any) -> Prior:
    arguments = {item.name: 1.0 for item in fields(family)}
    return family(**(arguments | {name: value}))


@pytest.mark.parametrize(
    ("family", "name"), [(family, item.name) for family in EVERY_FAMILY for item in fields(family)]
)
def test_arguments_are_numbers_of_any_kind_and_kept_as_floats(family: type[Prior], name: str) -> None:
    for value in (np.float32(0.5), np.int8(3), Decimal("0.5"), Fraction(1, 3), 10**100):
        kept = getattr(_with(family, name, value), name)
        assert type(kept) is float
        assert kept == float(value)
    refused = ["1", b"1", None, True, np.bool_(True), 1j, [1.0], np.array([1.0]), 10**400, -(10**400)]
    refused += [Fraction(10**500, 3), Decimal("1e999"), Decimal("NaN"), Decimal("sNaN"), float("nan"), float("inf")]
    for value in refused:
        with pytest.raises(PriorError, match=f"{family.__name__}: {name}=.* must be a finite number"):
            _with(family, name, value)


@given(
    family=st.sampled_from([family for family in EVERY_FAMILY if family not in (Decov, LKJ)]),
    size=st.floats(1e-300, 1e100),
    shape=st.floats(1e-6, 1e6),
    x=st.floats(allow_nan=False, allow_infinity=False),
)
def test_densities_beyond_the_range_of_floats_are_zero_without_warnings(
    family: type[Prior], size: float, shape: float, x: float
) -> None:
    last = [item.name for item in fields(family)][-1]
    arguments = {item.name: shape for item in fields(family)} | {last: size}
    prior = family(**arguments)
    at = abs(x) if issubclass(family, ScalePrior) else x
    assert prior.logpdf(at) < np.inf or at == 0
    assert not np.isnan(prior.score(at)) or at == 0


@pytest.mark.parametrize("nu", [0.5, 3.0, 1e6, 1e12])
def test_student_t_keeps_its_digits_far_out_and_with_many_degrees_of_freedom(nu: float) -> None:
    assert float(StudentT(nu).logpdf(1.3)) == pytest.approx(float(stats.t.logpdf(1.3, nu)), rel=1e-8)
    far = StudentT(3.0)
    # Beyond the square root of the largest float the density still falls as z^-4.
    assert float(far.logpdf(1e250) - far.logpdf(1e150)) == pytest.approx(-400 * np.log(10))
    assert float(Cauchy().logpdf(1e200)) == pytest.approx(-np.log(np.pi) - 400 * np.log(10))
    assert float(far.score(1e200)) == pytest.approx(-4e-200)
    assert float(Normal(0, 1e-99).logpdf(1e154)) == -np.inf
    assert float(StudentT(1e99).logpdf(1.3)) == pytest.approx(float(stats.norm.logpdf(1.3)))


@pytest.mark.parametrize("prior", [HalfNormal(1), HalfStudentT(3, 1), HalfCauchy(1), Exponential(1), Gamma(2, 1)])
def test_densities_at_missing_decimals_are_missing(prior: ScalePrior) -> None:
    assert np.isnan(prior.logpdf([Decimal("sNaN"), Decimal("NaN")])).all()
    assert prior.logpdf([Decimal("-0.5")]).tolist() == [-np.inf]
