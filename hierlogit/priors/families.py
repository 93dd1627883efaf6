"""Prior families with their log densities, scores and random draws.

Arguments have the same names as in PyMC and Bambi, but nothing here needs PyMC.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from html import escape
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..display import element
from ..errors import PriorError
from ..validation import LARGEST_NUMBER, probability, real_array, real_number, shortened

FloatArray = npt.NDArray[np.float64]

#: Standardised values whose squares may be beyond the range of floats; one is then nothing beside the square.
FAR_OUT = 1e120
#: Scales, rates and shapes below this are refused: one over it would be beyond the range of floats, or nearly.
SMALLEST_SCALE = 1e-300


@dataclass(frozen=True)
class Prior:
    """A distribution with fixed arguments.

    `logpdf` returns the log density at an array of values, of the same shape.
    """

    #: Arguments that must be positive; all of them must be finite.
    positive: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for argument, value in self.arguments().items():
            above = 0 if argument in self.positive else None
            number = real_number(f"{type(self).__name__}: {argument}", value, PriorError, above=above)
            if argument in self.positive and number < SMALLEST_SCALE:
                raise PriorError(
                    f"{type(self).__name__}: {argument}={shortened(value)} must be a finite number above 0, not below "
                    f"{SMALLEST_SCALE:g}."
                )
            object.__setattr__(self, argument, number)

    def arguments(self) -> dict[str, float]:
        """Names and values of the arguments, in order."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={value:.4g}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({inside})"

    def _repr_html_(self) -> str:
        return element("code", escape(str(self)))

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        raise NotImplementedError

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise; one-sided at the ends of the support."""
        raise NotImplementedError

    def log_density_and_score(self, x: float) -> tuple[float, float]:
        """Log density at one number, and its derivative; searches for a maximum evaluate them thousands of times."""
        return float(self.logpdf(x)), float(self.score(x))

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        raise NotImplementedError


class CoefficientPrior(Prior):
    """Prior of a coefficient on the logit scale: a location-scale family on the whole line."""

    location: ClassVar[str] = "mu"
    scale: ClassVar[str] = "sigma"

    def rescaled(self, factor: float) -> Self:
        """The prior that `factor` times the coefficient has.

        Raises
        ------
        PriorError
            If it is beyond the range of floats.
        """
        location, scale = getattr(self, self.location) * factor, getattr(self, self.scale) * factor
        if scale < SMALLEST_SCALE or max(abs(location), scale) > LARGEST_NUMBER:
            raise PriorError(
                f"the prior {self} cannot be used for a column whose standard deviation is {factor:.3g}: in units of "
                f"it, {self.location} is {location:.3g} and {self.scale} {scale:.3g}, beyond the range from "
                f"{SMALLEST_SCALE:g} to {LARGEST_NUMBER:g}. Give a less extreme prior, or change the column's unit."
            )
        return replace(self, **{self.location: location, self.scale: scale})

    def widened(self, factor: float) -> Self:
        """The prior with the same location and `factor` times the scale."""
        return replace(self, **{self.scale: getattr(self, self.scale) * factor})

    def _standard(self, x: npt.ArrayLike) -> FloatArray:
        location, scale = float(getattr(self, self.location)), float(getattr(self, self.scale))
        with _beyond_floats():
            return (_points(x) - location) / scale


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
        with _beyond_floats():
            return -0.5 * z * z - math.log(self.sigma) - 0.5 * math.log(2 * math.pi)

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        with _beyond_floats():
            return -self._standard(x) / self.sigma

    def log_density_and_score(self, x: float) -> tuple[float, float]:
        """Log density at one number, and its derivative, by the arithmetic of `logpdf` and `score` without arrays."""
        z = (x - self.mu) / self.sigma
        return -0.5 * z * z - math.log(self.sigma) - 0.5 * math.log(2 * math.pi), -z / self.sigma

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return self.mu + self.sigma * random.standard_normal(count)


@dataclass(frozen=True)
class StudentT(CoefficientPrior):
    """Student's t with `nu` degrees of freedom, location `mu` and scale `sigma`."""

    nu: float
    mu: float = 0.0
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("nu", "sigma")

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return _student_t_logpdf(self._standard(x), self.nu) - math.log(self.sigma)

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        with _beyond_floats():
            return -(self.nu + 1) * _tail_slope(self._standard(x), self.nu) / self.sigma

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        with _beyond_floats():
            return self.mu + self.sigma * random.standard_t(self.nu, count)


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
        return -math.log(math.pi * self.beta) - _log1p_square(self._standard(x))

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        with _beyond_floats():
            return -2 * _tail_slope(self._standard(x), 1.0) / self.beta

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        with _beyond_floats():
            return self.alpha + self.beta * random.standard_cauchy(count)


@dataclass(frozen=True)
class Laplace(CoefficientPrior):
    """Laplace (double exponential) with location `mu` and scale `b`."""

    mu: float = 0.0
    b: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("b",)
    scale: ClassVar[str] = "b"

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return -np.abs(self._standard(x)) - math.log(2 * self.b)

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise; 0 at the location, where it is not defined."""
        return -np.sign(self._standard(x)) / self.b

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return random.laplace(self.mu, self.b, count)


class ScalePrior(Prior):
    """Prior of the standard deviation of a random effect: a family on the positive half-line."""

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        raise NotImplementedError

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        raise NotImplementedError

    def _log_positive(self, x: npt.ArrayLike, inside: FloatArray) -> FloatArray:
        return np.where(_points(x) < 0, -np.inf, inside)


@dataclass(frozen=True)
class HalfNormal(ScalePrior):
    """Absolute value of a normal with mean 0 and standard deviation `sigma`."""

    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("sigma",)

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        from scipy.special import ndtri

        prob = probability("prob", prob, PriorError)
        return self.sigma * float(ndtri((1 + prob) / 2))

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        return replace(self, sigma=self.sigma * factor)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, Normal(0.0, self.sigma).logpdf(x) + math.log(2))

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        return Normal(0.0, self.sigma).score(x)

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return np.abs(Normal(0.0, self.sigma).draw(random, count))


@dataclass(frozen=True)
class HalfStudentT(ScalePrior):
    """Absolute value of a Student's t with `nu` degrees of freedom and scale `sigma`."""

    nu: float
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("nu", "sigma")

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        from scipy.special import stdtrit

        prob = probability("prob", prob, PriorError)
        return self.sigma * float(stdtrit(self.nu, (1 + prob) / 2))

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        return replace(self, sigma=self.sigma * factor)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, StudentT(self.nu, 0.0, self.sigma).logpdf(x) + math.log(2))

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        return StudentT(self.nu, 0.0, self.sigma).score(x)

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return np.abs(StudentT(self.nu, 0.0, self.sigma).draw(random, count))


@dataclass(frozen=True)
class HalfCauchy(ScalePrior):
    """Absolute value of a Cauchy with scale `beta`."""

    beta: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("beta",)

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        prob = probability("prob", prob, PriorError)
        return self.beta * math.tan(math.pi / 2 * prob)

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        return replace(self, beta=self.beta * factor)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        return self._log_positive(x, Cauchy(0.0, self.beta).logpdf(x) + math.log(2))

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        return Cauchy(0.0, self.beta).score(x)

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return np.abs(Cauchy(0.0, self.beta).draw(random, count))


@dataclass(frozen=True)
class Exponential(ScalePrior):
    """Exponential with rate `lam`; its mean is ``1 / lam``."""

    lam: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("lam",)

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        prob = probability("prob", prob, PriorError)
        return -math.log1p(-prob) / self.lam

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        return replace(self, lam=self.lam / factor)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        with _beyond_floats():
            return self._log_positive(x, math.log(self.lam) - self.lam * _points(x))

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        return np.full(_points(x).shape, -self.lam)

    def log_density_and_score(self, x: float) -> tuple[float, float]:
        """Log density at one number, and its derivative, by the arithmetic of `logpdf` and `score` without arrays."""
        return (-math.inf if x < 0 else math.log(self.lam) - self.lam * x), -self.lam

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return random.standard_exponential(count) / self.lam


@dataclass(frozen=True)
class Gamma(ScalePrior):
    """Gamma with shape `alpha` and rate `beta`; its mean is ``alpha / beta``."""

    alpha: float
    beta: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        from scipy.special import gammaincinv

        prob = probability("prob", prob, PriorError)
        return float(gammaincinv(self.alpha, prob)) / self.beta

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        return replace(self, beta=self.beta / factor)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        from scipy.special import gammaln, xlogy

        values = np.clip(_points(x), 0.0, np.finfo(np.float64).max)
        with _beyond_floats():
            inside = xlogy(self.alpha - 1, values) - self.beta * values + self.alpha * math.log(self.beta)
            return self._log_positive(x, inside - gammaln(self.alpha))

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        if self.alpha == 1:
            return np.full(_points(x).shape, -self.beta)
        with np.errstate(divide="ignore", over="ignore"):
            return (self.alpha - 1) / _points(x) - self.beta

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        return random.standard_gamma(self.alpha, count) / self.beta


@dataclass(frozen=True)
class LogNormal(ScalePrior):
    """Exponential of a normal with mean `mu` and standard deviation `sigma`."""

    mu: float = 0.0
    sigma: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("sigma",)

    def quantile(self, prob: float) -> float:
        """Quantile of the standard deviation at probability `prob`."""
        from scipy.special import ndtri

        prob = probability("prob", prob, PriorError)
        with np.errstate(over="ignore"):
            return float(np.exp(self.mu + self.sigma * float(ndtri(prob))))

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviation has."""
        return replace(self, mu=self.mu + math.log(factor))

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Log density at `x`, elementwise."""
        values = _points(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values)
            inside = Normal(self.mu, self.sigma).logpdf(logs) - logs
        return np.where(values > 0, inside, -np.inf)

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the log density at `x`, elementwise."""
        values = _points(x)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope: FloatArray = -((np.log(values) - self.mu) / self.sigma / self.sigma + 1) / values
        return slope

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws, shape (count,)."""
        with _beyond_floats():
            return np.exp(Normal(self.mu, self.sigma).draw(random, count))


@dataclass(frozen=True)
class Decov(ScalePrior):
    """Joint prior of the standard deviations of one random term, as in rstanarm's ``decov``.

    For k effects that may be correlated, ``sd_i = tau * sqrt(k * pi_i)`` with ``tau ~ Gamma(shape, rate=1/scale)`` and
    ``pi ~ Dirichlet(concentration)``. For a single effect, ``sd ~ Gamma(shape, rate=1/scale)``. The correlation matrix
    has a separate prior, which in rstanarm is ``LKJ(regularization)`` with regularization 1.

    References
    ----------
    Goodrich, Gabry, Ali and Brilleman, rstanarm, "Priors for covariance matrices" (help page ``priors``).
    """

    concentration: float = 1.0
    shape: float = 1.0
    scale: float = 1.0
    positive: ClassVar[tuple[str, ...]] = ("concentration", "shape", "scale")

    def quantile(self, prob: float) -> float:
        """Quantile at probability `prob` of the standard deviation of a single effect."""
        return Gamma(self.shape, 1 / self.scale).quantile(prob)

    def widened(self, factor: float) -> Self:
        """The prior that `factor` times the standard deviations has."""
        return replace(self, scale=self.scale * factor)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Joint log density of the standard deviations along the last axis of `x`, shape ``x.shape[:-1]``."""
        from scipy.special import gammaln, xlogy

        sd = _vectors(x)
        k = sd.shape[-1]
        with _beyond_floats():
            total = (sd**2).sum(axis=-1)
        tau = np.sqrt(total / k)
        density: FloatArray = Gamma(self.shape, 1 / self.scale).logpdf(tau)
        if k == 1:
            return density
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # at zero, and outside of the support
            shares = sd**2 / total[..., None]
            dirichlet: FloatArray = xlogy(self.concentration - 1, shares).sum(axis=-1)
            dirichlet += gammaln(k * self.concentration) - k * gammaln(self.concentration)
            # Change of variables from (tau, pi) to sd: d(sd^2) = total^(k-1) d(total) d(pi), d(total) = 2 k tau d(tau).
            jacobian: FloatArray = k * math.log(2) + np.log(sd).sum(axis=-1) - (k - 1) * np.log(total)
            jacobian -= np.log(2 * k * tau)
            outside = (sd < 0).any(axis=-1) | np.isinf(total)
            return np.where(outside, -np.inf, density + dirichlet + jacobian)

    def score(self, x: npt.ArrayLike) -> FloatArray:
        """Derivative of the joint log density in each standard deviation, in the shape of `x`."""
        sd = _vectors(x)
        k = sd.shape[-1]
        with _beyond_floats():
            total = (sd**2).sum(axis=-1, keepdims=True)
        tau = np.sqrt(total / k)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # at zero
            slope: FloatArray = Gamma(self.shape, 1 / self.scale).score(tau) * sd / (k * tau)
            if k == 1:
                return slope
            c = self.concentration
            # Derivative of (2 c - 1) sum log(sd) - (k c - 1) log(total) - log(tau), from Dirichlet and Jacobian.
            slope += (2 * c - 1) / sd - 2 * (k * c - 1) * sd / total - sd / total
        return slope

    def draw(self, random: np.random.Generator, count: int) -> FloatArray:
        """Independent draws of the standard deviation of a single effect, shape (count,)."""
        return Gamma(self.shape, 1 / self.scale).draw(random, count)

    def draw_jointly(self, random: np.random.Generator, count: int, effects: int) -> FloatArray:
        """Independent draws of the standard deviations of several effects, shape (count, effects)."""
        shares = random.dirichlet(np.full(effects, self.concentration), count)
        return self.draw(random, count)[:, None] * np.sqrt(effects * shares)


@dataclass(frozen=True)
class LKJ(Prior):
    """LKJ prior of a correlation matrix R, with density proportional to ``det(R) ** (eta - 1)``.

    References
    ----------
    Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100: 1989-2001, equation 16.
    """

    eta: float = 2.0
    positive: ClassVar[tuple[str, ...]] = ("eta",)

    def logpdf(self, x: npt.ArrayLike) -> FloatArray:
        """Normalised log density of correlation matrices `x`, shape (..., q, q); shape ``x.shape[:-2]``."""
        from scipy.special import betaln

        R = _points(x)
        if R.ndim < 2 or R.shape[-1] != R.shape[-2]:
            raise PriorError(f"LKJ: x has shape {R.shape}; it must be correlation matrices, shape (..., q, q).")
        q = R.shape[-1]
        i = np.arange(1, q)
        half = self.eta + (q - i - 1) / 2
        constant = np.sum((2 * self.eta - 2 + q - i) * (q - i) * np.log(2) + (q - i) * betaln(half, half))
        logdet = np.linalg.slogdet(R)[1]
        return np.asarray((self.eta - 1) * logdet - constant)

    def draw_cholesky(self, random: np.random.Generator, count: int, size: int) -> FloatArray:
        """Cholesky factors of independent draws of the correlation matrix, shape (count, size, size).

        By the onion method, which adds one row after the other: the squared length of its part below the diagonal has a
        beta distribution, and its direction is uniform.
        """
        L = np.zeros((count, size, size))
        L[:, 0, 0] = 1.0
        for k in range(1, size):
            square = random.beta(k / 2, self.eta + (size - 1 - k) / 2, count)
            direction = random.standard_normal((count, k))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            L[:, k, :k] = np.sqrt(square)[:, None] * direction
            L[:, k, k] = np.sqrt(1.0 - square)
        return L


def _points(x: npt.ArrayLike) -> FloatArray:
    return real_array("x", x, PriorError, "numbers")


def _vectors(x: npt.ArrayLike) -> FloatArray:
    sd = _points(x)
    if sd.ndim == 0 or not sd.shape[-1]:
        raise PriorError(
            f"Decov: x has shape {sd.shape}; it must have the standard deviations of a term on its last axis."
        )
    return sd


def _beyond_floats() -> AbstractContextManager[object]:
    """Context for densities beyond the range of floats, which are zero and have an infinite logarithm."""
    return np.errstate(over="ignore")


def _log1p_square(z: FloatArray) -> FloatArray:
    """``log(1 + z^2)``, also where the square is beyond the range of floats."""
    size = np.abs(z)
    far = size > FAR_OUT
    logs: FloatArray = np.log1p(np.where(far, 0.0, size) ** 2)
    return np.where(far, 2 * np.log(np.where(far, size, 1.0)), logs)


def _tail_slope(z: FloatArray, nu: float) -> FloatArray:
    """``z / (nu + z^2)``, also where the square is beyond the range of floats."""
    far = np.abs(z) > FAR_OUT
    near = np.where(far, 0.0, z)
    return np.where(far, 1.0 / np.where(far, z, 1.0), near / (nu + near * near))


def _student_t_logpdf(z: FloatArray, nu: float) -> FloatArray:
    from scipy.special import betaln

    # By the beta function, since the difference of two gamma functions cancels for many degrees of freedom.
    constant = -float(betaln(nu / 2, 0.5)) - 0.5 * math.log(nu)
    with _beyond_floats():
        return constant - (nu + 1) / 2 * _log1p_square(z / math.sqrt(nu))


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
#: Of the precision of beta-binomial outcomes, a single positive number.
PHI_FAMILIES: tuple[type[ScalePrior], ...] = tuple(family for family in SD_FAMILIES if family is not Decov)
