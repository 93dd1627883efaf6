"""Prior families, the defaults scaled to a design, and the user's own priors put in their place.

Every family is a value with its density; nothing here needs PyMC. Arguments have the names PyMC and Bambi use.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .design import Design, GroupBlock
from .errors import PriorError
from .table import listed

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """A distribution with fixed arguments.

    `logpdf` returns the log density at an array of values, of the same shape.
    """

    #: Arguments that must be positive; all of them must be finite.
    positive: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for argument, value in self.arguments().items():
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise PriorError(f"{type(self).__name__}: {argument}={value!r} must be a number.")
            if not np.isfinite(value) or (argument in self.positive and value <= 0):
                allowed = "positive and finite" if argument in self.positive else "finite"
                raise PriorError(f"{type(self).__name__}: {argument}={value:g} must be {allowed}.")
            object.__setattr__(self, argument, float(value))

    def arguments(self) -> dict[str, float]:
        """Names and values of the arguments, in order."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={value:.4g}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({inside})"

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        raise NotImplementedError


class CoefficientPrior(Prior):
    """Prior of a coefficient on the logit scale: a location-scale family on the whole line."""

    location: ClassVar[str] = "mu"
    scale: ClassVar[str] = "sigma"

    def rescaled(self, factor: float) -> Self:
        """Prior of `factor` times the coefficient."""
        return replace(
            self,
            **{self.location: getattr(self, self.location) * factor, self.scale: getattr(self, self.scale) * factor},
        )

    def _standard(self, x: npt.ArrayLike) -> FloatArray:
        return (np.asarray(x, dtype=float) - getattr(self, self.location)) / getattr(self, self.scale)


@dataclass(frozen=True)
class Normal(CoefficientPrior):
    """Normal with mean `mu` and standard deviation `sigma`.

    Examples
    --------
    >>> round(float(Normal(0, 2.5).logpdf(0)), 4)
    -1.8352
    """

    mu: float = 0.0
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("sigma",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        z = self._standard(x)
        return -0.5 * z * z - np.log(self.sigma) - 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class StudentT(CoefficientPrior):
    """Student's t with `nu` degrees of freedom, location `mu` and scale `sigma`."""

    nu: float
    mu: float = 0.0
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("nu", "sigma")

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return _student_t_logpdf(self._standard(x), self.nu) - np.log(self.sigma)


@dataclass(frozen=True)
class Cauchy(CoefficientPrior):
    """Cauchy with location `alpha` and scale `beta`."""

    alpha: float = 0.0
    beta: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("beta",)
    location: ClassVar[str] = "alpha"
    scale: ClassVar[str] = "beta"

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return -np.log(np.pi * self.beta) - np.log1p(self._standard(x) ** 2)


@dataclass(frozen=True)
class Laplace(CoefficientPrior):
    """Laplace (double exponential) with location `mu` and scale `b`."""

    mu: float = 0.0
    b: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("b",)
    scale: ClassVar[str] = "b"

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return -np.abs(self._standard(x)) - np.log(2 * self.b)


class ScalePrior(Prior):
    """Prior of the standard deviation of a random effect: a family on the positive line."""

    def _log_positive(self, x: npt.ArrayLike, inside: FloatArray) -> FloatArray:
        return np.where(np.asarray(x) < 0, -np.inf, inside)


@dataclass(frozen=True)
class HalfNormal(ScalePrior):
    """Absolute value of a normal with mean 0 and standard deviation `sigma`."""

    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("sigma",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, Normal(0.0, self.sigma).logpdf(x) + np.log(2))


@dataclass(frozen=True)
class HalfStudentT(ScalePrior):
    """Absolute value of a Student's t with `nu` degrees of freedom and scale `sigma`."""

    nu: float
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("nu", "sigma")

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, StudentT(self.nu, 0.0, self.sigma).logpdf(x) + np.log(2))


@dataclass(frozen=True)
class HalfCauchy(ScalePrior):
    """Absolute value of a Cauchy with scale `beta`."""

    beta: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("beta",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, Cauchy(0.0, self.beta).logpdf(x) + np.log(2))


@dataclass(frozen=True)
class Exponential(ScalePrior):
    """Exponential with rate `lam`; its mean is ``1 / lam``."""

    lam: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("lam",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, np.log(self.lam) - self.lam * np.asarray(x, dtype=float))


@dataclass(frozen=True)
class Gamma(ScalePrior):
    """Gamma with shape `alpha` and rate `beta`; its mean is ``alpha / beta``."""

    alpha: float
    beta: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        from scipy.special import gammaln, xlogy

        values = np.maximum(np.asarray(x, dtype=float), 0.0)
        inside = xlogy(self.alpha - 1, values) - self.beta * values + self.alpha * np.log(self.beta)
        return self._log_positive(x, inside - gammaln(self.alpha))


@dataclass(frozen=True)
class LogNormal(ScalePrior):
    """Exponential of a normal with mean `mu` and standard deviation `sigma`."""

    mu: float = 0.0
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("sigma",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        values = np.asarray(x, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values)
            inside = Normal(self.mu, self.sigma).logpdf(logs) - logs
        return np.where(values > 0, inside, -np.inf)


@dataclass(frozen=True)
class Decov(ScalePrior):
    """Joint prior of the standard deviations of one random term, as in rstanarm's ``decov``.

    With k effects that may correlate, ``sd_i = tau * sqrt(k * pi_i)`` with ``tau ~ Gamma(shape, rate=1/scale)`` and
    ``pi ~ Dirichlet(concentration)``. A single effect has ``sd ~ Gamma(shape, rate=1/scale)``. The correlation matrix
    keeps a prior of its own, which in rstanarm is ``LKJ(regularization)`` with regularization 1.

    References
    ----------
    Goodrich, Gabry, Ali and Brilleman, rstanarm, "Priors for covariance matrices" (help page ``priors``).
    """

    concentration: float = 1.0
    shape: float = 1.0
    scale: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("concentration", "shape", "scale")

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Joint log density of the standard deviations on the last axis of `x`, shape ``x.shape[:-1]``."""
        from scipy.special import gammaln, xlogy

        sd = np.asarray(x, dtype=float)
        k = sd.shape[-1]
        total = (sd**2).sum(axis=-1)
        tau = np.sqrt(total / k)
        density: FloatArray = Gamma(self.shape, 1 / self.scale).logpdf(tau)
        if k == 1:
            return density
        shares = sd**2 / total[..., None]
        dirichlet = xlogy(self.concentration - 1, shares).sum(axis=-1)
        dirichlet += gammaln(k * self.concentration) - k * gammaln(self.concentration)
        # Change of variables (tau, pi) -> sd: d(sd^2) = total^(k-1) d(total) d(pi), and d(total) = 2 k tau d(tau).
        jacobian = k * np.log(2) + np.log(sd).sum(axis=-1) - (k - 1) * np.log(total) - np.log(2 * k * tau)
        return density + dirichlet + jacobian


@dataclass(frozen=True)
class LKJ(Prior):
    """LKJ prior of a correlation matrix: density proportional to ``det(R) ** (eta - 1)``.

    References
    ----------
    Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100: 1989-2001, equation 16.
    """

    eta: float = 2.0
    positive: ClassVar[tuple[str, ...]] = ("eta",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density of correlation matrices, shape (..., q, q), with its constant; shape ``x.shape[:-2]``."""
        from scipy.special import betaln

        R = np.asarray(x, dtype=float)
        q = R.shape[-1]
        i = np.arange(1, q)
        half = self.eta + (q - i - 1) / 2
        constant = np.sum((2 * self.eta - 2 + q - i) * (q - i) * np.log(2) + (q - i) * betaln(half, half))
        logdet = np.linalg.slogdet(R)[1]
        return np.asarray((self.eta - 1) * logdet - constant)


def _student_t_logpdf(z: FloatArray, nu: float) -> FloatArray:
    from scipy.special import gammaln

    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return constant - (nu + 1) / 2 * np.log1p(z * z / nu)


COEFFICIENT_FAMILIES: tuple[type[CoefficientPrior], ...] = (Normal, StudentT, Cauchy, Laplace)
SD_FAMILIES: tuple[type[ScalePrior], ...] = (
    HalfNormal,
    HalfStudentT,
    HalfCauchy,
    Exponential,
    Gamma,
    LogNormal,
    Decov,
)

#: Scale of the default priors of coefficients: 2.5 on the logit scale for one standard deviation of a predictor.
COEFFICIENT_SCALE = 2.5
DEFAULT_ETA = 2.0


@dataclass(frozen=True)
class Priors:
    """The prior of every parameter of a model.

    Attributes
    ----------
    fixed : mapping of str to CoefficientPrior
        By label of the fixed effect. That of ``Intercept`` is for the intercept at the predictors' means.
    sd : mapping of str to tuple of ScalePrior
        By grouping factor, one for each of its effects. A `Decov` stands at each effect it covers.
    cor : mapping of str to LKJ
        By grouping factor, for those with correlated effects.
    """

    fixed: Mapping[str, CoefficientPrior]
    sd: Mapping[str, tuple[ScalePrior, ...]]
    cor: Mapping[str, LKJ]

    def table(self, design: Design) -> list[tuple[str, str]]:
        """Label and text of each prior, for the model's repr."""
        rows = [(label, str(prior)) for label, prior in self.fixed.items()]
        for group in design.groups:
            for effect, prior in zip(group.effects, self.sd[group.name], strict=True):
                rows.append((f"sd_{group.name}[{effect}]", str(prior)))
            if group.name in self.cor:
                rows.append((f"cor_{group.name}", str(self.cor[group.name])))
        return rows


def default_priors(design: Design) -> Priors:
    """Weakly informative priors scaled to the data.

    The intercept at the predictors' means is Normal(0, 2.5), a coefficient Normal(0, 2.5 / sd(x)); the sd of a random
    effect is exponential with mean 1 / sd(z), 1 for an intercept; correlations are LKJ(2). None of them depends on
    the mean of a predictor.
    """
    fixed = {
        label: Normal(0.0, COEFFICIENT_SCALE / sd)
        for label, sd in zip(design.fixed_effects, design.column_sds, strict=True)
    }
    sd = {group.name: tuple(Exponential(s) for s in design.effect_sds(group)) for group in design.groups}
    cor = {group.name: LKJ(DEFAULT_ETA) for group in design.groups if group.correlated}
    return Priors(fixed, sd, cor)


def resolve_priors(design: Design, given: Mapping[str, Any] | None = None) -> Priors:
    """Put the user's priors in place of the defaults.

    Parameters
    ----------
    design : Design
    given : mapping of str to Prior or bambi.Prior, optional
        By class, ``"Intercept"``, ``"beta"`` (all other fixed effects), ``"sd"``, ``"cor"``; or by parameter: the
        label or the term of a fixed effect (``"urban[Y]"``, ``"livch"``, or ``"beta[urban[Y]]"``), ``"sd_district"``,
        ``"sd_district[urban[Y]]"``, ``"cor_district"``, and Bambi's ``"1|district"``. The more particular key wins.
        Where a column has the name of a class or of another parameter, its coefficient is ``"beta[...]"`` only.

    Raises
    ------
    PriorError
        If a key names nothing in the model or a prior is not of a family allowed there; the message lists them.

    Examples
    --------
    >>> from hierlogit.formula import parse
    >>> from hierlogit.design import build_design
    >>> rows = {"y": [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]}
    >>> design = build_design(parse("y ~ x + (1 | g)"), rows)
    >>> str(resolve_priors(design, {"sd": HalfNormal(2)}).sd["g"][0])
    'HalfNormal(sigma=2)'
    """
    priors = default_priors(design)
    fixed, sd, cor = dict(priors.fixed), dict(priors.sd), dict(priors.cor)
    keys = _keys(design)
    chosen = [(key, _target(key, keys), prior) for key, prior in (given or {}).items()]
    for key, (rank, kind, places), prior in sorted(chosen, key=lambda item: -item[1][0]):
        if kind == "fixed":
            fixed.update(dict.fromkeys(places, _of_family(key, prior, COEFFICIENT_FAMILIES)))
        elif kind == "cor":
            cor.update(dict.fromkeys(places, _of_family(key, prior, (LKJ,))))
        else:
            family = _of_family(key, prior, SD_FAMILIES)
            if isinstance(family, Decov) and rank == _ONE_PARAMETER:
                raise PriorError(
                    f"prior of '{key}': Decov is joint over the effects of a term; give it to 'sd_<group>'."
                )
            for group, effect in places:
                held = list(sd[group])
                held[effect] = family
                sd[group] = tuple(held)
    _refuse_split_decov(design, sd)
    return Priors(fixed, sd, cor)


_CLASS, _SEVERAL, _ONE_PARAMETER = 2, 1, 0
_Target = tuple[int, str, tuple[Any, ...]]


def _keys(design: Design) -> dict[str, _Target]:
    """Every key a user may give a prior by, with how particular it is and what it stands for."""
    labels = design.fixed_effects
    slopes = tuple(label for label in labels if label != "Intercept")
    keys: dict[str, _Target] = {}
    for term in dict.fromkeys(design.fixed_terms):
        members = tuple(label for label, owner in zip(labels, design.fixed_terms, strict=True) if owner == term)
        keys[term] = (_SEVERAL, "fixed", members)
        keys[f"beta[{term}]"] = keys[term]
    for label in labels:
        keys[label] = keys[f"beta[{label}]"] = (_ONE_PARAMETER, "fixed", (label,))
    for group in design.groups:
        keys.update(_group_keys(group))
    everywhere = tuple((group.name, i) for group in design.groups for i in range(len(group.effects)))
    classes: dict[str, tuple[str, tuple[Any, ...]]] = {
        "beta": ("fixed", slopes),
        "sd": ("sd", everywhere),
        "cor": ("cor", tuple(group.name for group in design.groups if group.correlated)),
    }
    keys.update({name: (_CLASS, kind, places) for name, (kind, places) in classes.items() if places})
    return keys


def _group_keys(group: GroupBlock) -> dict[str, _Target]:
    every = tuple((group.name, i) for i in range(len(group.effects)))
    keys: dict[str, _Target] = {f"sd_{group.name}": (_SEVERAL, "sd", every)}
    for i, effect in enumerate(group.effects):
        one: _Target = (_ONE_PARAMETER, "sd", ((group.name, i),))
        keys[f"sd_{group.name}[{effect}]"] = one
        keys[f"{'1' if effect == 'Intercept' else effect}|{group.name}"] = one
    if group.correlated:
        keys[f"cor_{group.name}"] = (_ONE_PARAMETER, "cor", (group.name,))
    return keys


def _target(key: str, keys: Mapping[str, _Target]) -> _Target:
    if key in keys:
        return keys[key]
    near = difflib.get_close_matches(str(key), keys, n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    shown = [name for name in keys if not name.startswith("beta[") and "|" not in name]
    raise PriorError(f"there is no parameter '{key}' to give a prior to. The model has: {', '.join(shown)}.{meant}")


def _of_family(key: str, prior: Any, allowed: tuple[type[Prior], ...]) -> Any:
    if type(prior).__module__.split(".")[0] == "bambi":
        prior = _from_bambi(key, prior, allowed)
    if not isinstance(prior, allowed):
        names = [family.__name__ for family in allowed]
        raise PriorError(
            f"prior of '{key}': got {prior}, which is no family allowed there. Choose one of "
            f"{listed(names)} from hierlogit.priors."
        )
    return prior


def _from_bambi(key: str, prior: Any, allowed: tuple[type[Prior], ...]) -> Prior:
    """A bambi.Prior by its name and arguments; that of a random effect holds the sd's prior as its sigma."""
    arguments = dict(prior.args)
    nested = {name: value for name, value in arguments.items() if hasattr(value, "args")}
    if nested and issubclass(allowed[0], ScalePrior) and set(nested) == {"sigma"} and prior.name == "Normal":
        if np.any(np.asarray(arguments.get("mu", 0)) != 0):
            raise PriorError(f"prior of '{key}': {prior} has a mean, but random effects are deviations around 0.")
        return _from_bambi(key, nested["sigma"], allowed)
    if nested:
        raise PriorError(f"prior of '{key}': {prior} depends on other priors ({listed(list(nested))}); give numbers.")
    aliases = {"Lognormal": "LogNormal"}
    name = aliases.get(prior.name, prior.name)
    families = {family.__name__: family for family in allowed}
    if name not in families:
        raise PriorError(
            f"prior of '{key}': bambi's {prior} is not allowed there. Choose one of {listed(list(families))}."
        )
    try:
        return families[name](**{argument: _scalar(value) for argument, value in arguments.items()})
    except TypeError as error:
        known = [item.name for item in fields(families[name])]
        raise PriorError(
            f"prior of '{key}': bambi's {prior} has other arguments than {name} takes here: {listed(known)}."
        ) from error


def _scalar(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.size == 1 else value


def _refuse_split_decov(design: Design, sd: Mapping[str, tuple[ScalePrior, ...]]) -> None:
    for group in design.groups:
        for members in group.sets:
            held = {sd[group.name][i] for i in members}
            if len(held) > 1 and any(isinstance(prior, Decov) for prior in held):
                raise PriorError(
                    f"'sd_{group.name}' has a Decov prior, which is joint over its correlated effects; "
                    "none of them can have another prior beside it."
                )
