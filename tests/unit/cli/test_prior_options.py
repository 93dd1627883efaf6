"""Priors written on the command line."""

import pytest

from hierlogit import priors
from hierlogit.cli.output import CommandError
from hierlogit.cli.prior_options import FAMILIES, read_priors
from hierlogit.errors import PriorError


def test_families_with_positions_and_names():
    given = ["beta=StudentT(4, 0, sigma=2.5)", "C(x, levels=['a', 'b'])[b] = Normal( -1, 1e-1 )", "cor=LKJ(2)"]
    assert read_priors(given) == {
        "beta": priors.StudentT(4, 0, 2.5),
        "C(x, levels=['a', 'b'])[b]": priors.Normal(-1, 0.1),
        "cor": priors.LKJ(2),
    }
    assert read_priors([]) is None


def test_families_are_those_of_the_package():
    assert {"Normal", "HalfNormal", "Exponential", "LKJ", "Decov"} <= set(FAMILIES)
    assert not {"Prior", "CoefficientPrior", "ScalePrior"} & set(FAMILIES)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("beta", "a name and a family"),
        ("=Normal(0, 1)", "a name and a family"),
        ("beta=Normal", "a name and a family"),
        ("beta=Normall(0, 1)", "no family of priors 'Normall'.*Did you mean 'Normal'"),
        ("beta=Normal(zero, 1)", "'zero' is not a number"),
        ("beta=Normal(0, 1, 2, 3)", r"written Normal\(mu, sigma\)"),
        ("beta=Normal(0, scale=1)", r"written Normal\(mu, sigma\)"),
        ("beta=__import__('os').system('true')", "a name and a family|no family|not a number"),
        ("beta=Normal(__import__('os'), 1)", "a name and a family"),
    ],
)
def test_what_is_no_prior_is_refused(option, message):
    with pytest.raises(CommandError, match=message):
        read_priors([option])


def test_two_priors_of_a_parameter_are_refused():
    with pytest.raises(CommandError, match="two priors are given for 'sd'"):
        read_priors(["sd=Exponential(1)", "sd=HalfNormal(1)"])


@pytest.mark.parametrize("option", ["sd=Exponential(-1)", "sd=Exponential(nan)", "sd=Exponential(1e999)"])
def test_numbers_that_a_family_does_not_take_are_its_own_error(option):
    with pytest.raises(PriorError, match="Exponential"):
        read_priors([option])
