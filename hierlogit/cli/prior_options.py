"""Priors written on the command line, such as ``beta=Normal(0, 1)``, read without evaluating them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from .. import priors
from ..priors.families import Prior
from ..validation import nearest, shortened
from .output import CommandError

#: Families by name.
FAMILIES: dict[str, type[Prior]] = {
    name: family
    for name, family in vars(priors).items()
    if isinstance(family, type) and issubclass(family, Prior) and fields(family)
}
#: A name, which may have an equals sign in it, and the call of a family.
OPTION = re.compile(r"(?P<name>.+)=\s*(?P<call>\w+\s*\([^()]*\))\s*", re.DOTALL)


def read_priors(options: Sequence[str]) -> dict[str, Prior] | None:
    """The priors by parameter; None if there are none.

    Raises
    ------
    CommandError
        If an option is not a name, an equals sign and a family with numbers, or a name appears twice.
    PriorError
        If the numbers do not fit the family.

    Examples
    --------
    >>> read_priors(["beta=Normal(0, 1)", "sd_school=Exponential(lam=2)"])
    {'beta': Normal(mu=0.0, sigma=1.0), 'sd_school': Exponential(lam=2.0)}
    """
    chosen: dict[str, Prior] = {}
    for option in options:
        parts = OPTION.fullmatch(option)
        if parts is None:
            raise CommandError(
                f"--prior needs a name and a family with numbers, such as 'beta=Normal(0, 1)'; got {shortened(option)}."
            )
        name = parts["name"].strip()
        if name in chosen:
            raise CommandError(f"two priors are given for {shortened(name)}; pass --prior once for each name.")
        chosen[name] = _prior(parts["call"], option)
    return chosen or None


def _prior(text: str, option: str) -> Prior:
    """The prior that a family with its arguments describes."""
    name, _, inside = text.partition("(")
    name = name.strip()
    if name not in FAMILIES:
        raise CommandError(
            f"there is no family of priors {shortened(name)}; there are {', '.join(FAMILIES)}.{nearest(name, FAMILIES)}"
        )
    arguments: list[float] = []
    named: dict[str, float] = {}
    for argument in filter(None, (part.strip() for part in inside.rstrip(") ").split(","))):
        keyword, equals, number = argument.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise CommandError(
                f"{shortened(number.strip())} is not a number, in --prior {shortened(option)}."
            ) from None
        if equals:
            named[keyword.strip()] = value
        else:
            arguments.append(value)
    try:
        return FAMILIES[name](*arguments, **named)
    except TypeError:
        raise CommandError(
            f"{name} does not take these arguments: {shortened(option)}. It is written "
            f"{name}({', '.join(field.name for field in fields(FAMILIES[name]))})."
        ) from None
