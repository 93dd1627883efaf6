"""The class `Estimate`: the maximum found by a likelihood engine, with its uncertainty and the conditional modes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .design.grouping import result_name
from .display import MOST, Column, Facts, Part, Shown, ShownAsCall, Table, View
from .error_levels import combined_df
from .errors import FitError
from .formatting import cell, criterion
from .student_t import two_sided_p_value
from .validation import text, unknown_names

if TYPE_CHECKING:
    import xarray as xr

    from .design.design import Design

FloatArray = npt.NDArray[np.float64]

#: An sd whose standard error is more times it than this has no Wald interval: on the log scale, its ends would be
#: thousands of times the estimate and a thousandth of it.
LARGEST_RELATIVE_ERROR = 2.5
#: A correlation further from zero than this counts as 1 or -1.
NEARLY_ONE = 1 - 1e-6


#: What makes the clusters where each row is one.
ROWS = "rows"


@dataclass(frozen=True, repr=False)
class Clustered(ShownAsCall):
    """Clusters from whose differences a covariance matrix of estimates is computed, in place of the model.

    Attributes
    ----------
    kind : {"robust", "jackknife"}
        From the scores of the clusters at the estimates, or from the estimates without each cluster.
    group : str
        What makes the clusters.
    index : ndarray of int, shape (n,)
        Number of each row's cluster.
    model_covariance : ndarray, shape (m, m)
        What the covariance matrix would be if the model were right.
    """

    kind: str
    group: str
    index: npt.NDArray[np.intp]
    model_covariance: FloatArray

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.index.max()) + 1

    @property
    def described(self) -> str:
        """How the covariance matrix was computed, in words: ``robust, by 60 clusters of district``."""
        return f"{self.kind}, by {self.count:,} clusters of {self.group}"


@dataclass(frozen=True, repr=False)
class Estimate(Shown):
    """The maximum of the likelihood or of the posterior density, with its uncertainty and the conditional modes.

    Attributes
    ----------
    nodes : int
        Quadrature nodes in each dimension; 1 for Laplace's method.
    penalised : bool
        Whether the posterior density was maximised (MAP), not the likelihood.
    log_likelihood : float
        Marginal log-likelihood at the estimates, with the binomial coefficients.
    fixed_effects : tuple of str, length p
        Labels of the fixed effects.
    effects : mapping of str to tuple of str, length q
        By grouping factor, labels of the effects that vary over its clusters.
    beta : ndarray, shape (p,)
        Fixed effects.
    cholesky : mapping of str to ndarray, shape (q, q)
        By grouping factor, the lower triangular Cholesky factor L of the covariance matrix ``L L'`` of its effects.
    covariance : ndarray, shape (m, m)
        Covariance matrix of the fixed effects, the free entries of the Cholesky factors and, for beta-binomial
        outcomes, ``1 / sqrt(phi)``, from the observed information or, if `clustered` is given, from differences between
        clusters. Rows and columns of parameters at a boundary are zero, those of infinite estimates and of parameters
        that are not identified are NaN; all entries are NaN where the information is not positive definite.
    entries : tuple of (str, int, int)
        Grouping factor, row and column of each entry of a Cholesky factor.
    boundary : tuple of str
        Names of sds that are zero, of correlations that are 1 or -1, and of phi if it is infinite.
    modes : mapping of str to ndarray, shape (J, q)
        By grouping factor, the conditional modes of the effects on the logit scale.
    conditional_sds : mapping of str to ndarray, shape (J, q)
        By grouping factor, the conditional standard deviations of the effects, given the estimates.
    n_parameters : int
        Number of parameters: fixed effects, sds, correlations and phi, including those at a boundary.
    n_rows : int
        Number of rows, as used by the BIC.
    df : ndarray, shape (p,)
        Degrees of freedom of the fixed effects, whose t values are compared with the t distribution; infinite for the
        normal distribution.
    restricted : bool
        Whether the restricted likelihood was maximised, with the fixed effects integrated out too.
    weighted : bool
        Whether the model has sampling weights: `log_likelihood` is then a pseudo-likelihood, in which weights of the
        top level are divided by their mean, and there are no information criteria.
    clustered : Clustered or None
        The clusters from which the covariance matrix is computed, as by `hierlogit.robust`.
    phi : float or None
        Precision of beta-binomial outcomes, infinite where the data vary no more than binomial ones; None for binomial
        outcomes.
    """

    nodes: int
    penalised: bool
    log_likelihood: float
    fixed_effects: tuple[str, ...]
    effects: Mapping[str, tuple[str, ...]]
    beta: FloatArray
    cholesky: Mapping[str, FloatArray]
    covariance: FloatArray
    entries: tuple[tuple[str, int, int], ...]
    boundary: tuple[str, ...]
    modes: Mapping[str, FloatArray]
    conditional_sds: Mapping[str, FloatArray]
    n_parameters: int
    n_rows: int
    df: FloatArray
    restricted: bool = False
    weighted: bool = False
    clustered: Clustered | None = None
    phi: float | None = None

    @property
    def model_covariance(self) -> FloatArray:
        """Covariance matrix from the observed information, shape (m, m), also where `covariance` is another."""
        return self.covariance if self.clustered is None else self.clustered.model_covariance

    @property
    def phi_se(self) -> float:
        """Standard error of phi, by the delta method; NaN at a boundary and for binomial outcomes."""
        if self.phi is None or not np.isfinite(self.phi):
            return float("nan")
        # phi is the power -2 of the parameter of the covariance matrix.
        return float(2.0 * self.phi**1.5 * np.sqrt(self.covariance[-1, -1]))

    def phi_deviations(self) -> FloatArray:
        """Deviations of phi, as `deviations`, shape (m,); NaN where it has no standard error."""
        if self.phi is None or not self.phi_se > 0:
            return np.full(len(self.covariance), np.nan)
        return np.asarray(-2.0 * self.phi**1.5 * self.deviations()[:, -1])

    @property
    def vector(self) -> FloatArray:
        """The parameters that `covariance` is of, shape (m,)."""
        entries = [self.cholesky[name][a, b] for name, a, b in self.entries]
        return np.array([*self.beta, *entries, *([] if self.phi is None else [self.phi**-0.5])])

    @property
    def method(self) -> str:
        """How the random effects were integrated out, such as ``"Laplace"`` or ``"quadrature with 25 nodes"``."""
        return "Laplace" if self.nodes == 1 else f"quadrature with {self.nodes} nodes"

    @property
    def likelihood(self) -> str:
        """Which likelihood was maximised, in words."""
        if self.weighted:
            return "maximum pseudo-likelihood"
        return "restricted maximum likelihood" if self.restricted else "maximum likelihood"

    @property
    def kind_of_likelihood(self) -> str:
        """What stands before the word log-likelihood: ``"restricted "``, ``"pseudo-"`` or nothing."""
        return "restricted " if self.restricted else "pseudo-" if self.weighted else ""

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of the fixed effects, shape (p,)."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diag(self.covariance)[: len(self.beta)])

    def deviations(self) -> FloatArray:
        """Deviations of the parameters whose cross-products are the covariance matrix, shape (m, m); NaN as zero."""
        covariance = np.where(np.isnan(self.covariance), 0.0, self.covariance)
        sds = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        units = np.where(sds > 0, sds, 1.0)
        variances, axes = np.linalg.eigh(covariance / np.outer(units, units))
        deviations: FloatArray = sds * (axes * np.sqrt(np.maximum(variances, 0.0))).T
        return deviations

    @property
    def z_values(self) -> FloatArray:
        """Fixed effects divided by their standard errors, shape (p,): z, or t with few clusters. NaN without one."""
        errors = self.standard_errors
        return np.divide(self.beta, errors, out=np.full_like(errors, np.nan), where=errors > 0)

    @property
    def p_values(self) -> FloatArray:
        """Wald's two-sided p-values of the tests that a fixed effect is zero, by the t distribution, shape (p,)."""
        return two_sided_p_value(self.z_values, self.df)

    @property
    def has_t_tests(self) -> bool:
        """Whether the fixed effects are compared with the t distribution, and not with the normal distribution."""
        return bool(np.any(np.isfinite(self.df)))

    @property
    def kind_of_df(self) -> str:
        """Which degrees of freedom the t tests have, in words: ``between-within``, or ``at most 24``."""
        return "between-within" if self.clustered is None else f"at most {self.clustered.count - 1:,}"

    @property
    def complete_df(self) -> FloatArray:
        """Degrees of freedom of the fixed effects that missing values have not reduced, shape (p,)."""
        return self.df

    @property
    def other_df(self) -> FloatArray:
        """Degrees of freedom of the sds and correlations, in the order of `spread_covariance`, and of phi."""
        return np.full(len(self._spread()[0]) + (self.phi is not None), np.inf)

    def with_df(self, df: FloatArray) -> Self:
        """The estimate with other degrees of freedom of the fixed effects, as they are without missing values."""
        return replace(self, df=df)

    def df_of(self, deviations: FloatArray) -> FloatArray:
        """Degrees of freedom of functions of the parameters with these `deviations`, shape (r, k)."""
        return combined_df(deviations, self.deviations().T, self.df)

    def reduced_df(self, deviations: FloatArray, complete: FloatArray) -> FloatArray:  # noqa: ARG002  of pooled ones
        """Degrees of freedom of functions of the parameters, given those without missing values, shape (k,)."""
        return complete

    @property
    def missing_information(self) -> dict[str, FloatArray]:
        """What missing values cost in each parameter, as columns of a table: nothing."""
        return {}

    @property
    def tests(self) -> dict[str, FloatArray]:
        """The tests that each fixed effect is zero, as columns of a table: statistics, degrees of freedom, p-values."""
        if not self.has_t_tests:
            return {"z": self.z_values, "p_value": self.p_values}
        return {"t": self.z_values, "df": self.df, "p_value": self.p_values}

    @property
    def deviance(self) -> float:
        """Minus twice the marginal log-likelihood; an error with sampling weights, as `aic` and `bic`."""
        if self.weighted:
            raise FitError(
                "there is no deviance, AIC or BIC with sampling weights: what was maximised is a pseudo-likelihood, "
                "which estimates that of the whole population. Test coefficients by hl.summary(fit) or "
                "hl.hypotheses(fit)."
            )
        return -2 * self.log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return self.deviance + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's (Bayesian) information criterion, with the number of rows as in lme4."""
        return self.deviance + float(np.log(self.n_rows)) * self.n_parameters

    def _cholesky_of(self, group: str) -> FloatArray:
        known = list(self.cholesky)
        if text("group", group, FitError) not in known:
            raise FitError(unknown_names("group", [group], known, "grouping factor"))
        return self.cholesky[group]

    def sd(self, group: str) -> FloatArray:
        """Standard deviations of the effects of a grouping factor, shape (q,)."""
        return np.asarray(np.sqrt((self._cholesky_of(group) ** 2).sum(axis=1)))

    def cor(self, group: str) -> FloatArray:
        """Correlations of the effects of a grouping factor, shape (q, q); 0 where an sd is zero."""
        unit = self.unit_rows(group)
        R: FloatArray = unit @ unit.T
        np.fill_diagonal(R, 1.0)
        return R

    def unit_rows(self, group: str) -> FloatArray:
        """The rows of a Cholesky factor, each of length one; zero where an sd is zero."""
        L, sd = self._cholesky_of(group), self.sd(group)
        return np.divide(L, sd[:, None], out=np.zeros_like(L), where=sd[:, None] > 0)

    def spread_covariance(self) -> tuple[list[tuple[str, int, int]], FloatArray, FloatArray]:
        """Sds and correlations with their covariance matrix, by the delta method.

        Returns
        -------
        places : list of (str, int, int)
            By grouping factor, the sds, then the correlations: the factor and two effects, the same twice for an sd.
        values : ndarray
        covariance : ndarray
            Covariance matrix of the values; zero for correlations of 1 or -1, NaN where those of the entries are.
        """
        places, values, jacobian = self._spread()
        p, last = len(self.beta), len(self.beta) + len(self.entries)
        of_entries = self.covariance[p:last, p:last]
        unknown = np.isnan(np.diag(of_entries))
        covariance: FloatArray = jacobian @ np.where(np.isnan(of_entries), 0.0, of_entries) @ jacobian.T
        affected = np.any(jacobian[:, unknown] != 0, axis=1)
        covariance[affected] = covariance[:, affected] = np.nan
        return places, values, covariance

    def spread_deviations(self) -> FloatArray:
        """Deviations of sds and correlations, as `deviations`, shape (m, s); NaN for those without a standard error."""
        p = len(self.beta)
        deviations: FloatArray = self.deviations()[:, p : p + len(self.entries)] @ self._spread()[2].T
        known = np.diag(self.spread_covariance()[2]) > 0
        return np.where(known, deviations, np.nan)

    def _spread(self) -> tuple[list[tuple[str, int, int]], FloatArray, FloatArray]:
        """Places and values of sds and correlations, and their derivatives in the entries of the Cholesky factors."""
        places: list[tuple[str, int, int]] = []
        for name, L in self.cholesky.items():
            places += [(name, i, i) for i in range(len(L))]
            # The lower triangle of a set of correlated effects is free, and nothing between two sets.
            places += [(name, i, j) for i, j in sorted((b, a) for of, a, b in self.entries if of == name and a != b)]
        sds = {name: self.sd(name) for name in self.cholesky}
        cors = {name: self.cor(name) for name in self.cholesky}
        values = np.array([sds[name][i] if i == j else cors[name][i, j] for name, i, j in places])
        columns = {entry: k for k, entry in enumerate(self.entries)}
        jacobian = np.zeros((len(places), len(self.entries)))
        for row, (name, i, j) in enumerate(places):
            sd, unit = sds[name], self.unit_rows(name)
            # An sd is the length of a row of L, a correlation the product of two rows of length one.
            for a, slope in (
                ((i, unit[i]),)
                if i == j
                else (
                    (i, (unit[j] - values[row] * unit[i]) / (sd[i] or np.inf)),
                    (j, (unit[i] - values[row] * unit[j]) / (sd[j] or np.inf)),
                )
            ):
                for b in range(a + 1):
                    if (name, a, b) in columns:
                        jacobian[row, columns[name, a, b]] = slope[b]
        at_end = np.array([i != j for _, i, j in places], dtype=bool) & (np.abs(values) > NEARLY_ONE)
        jacobian[at_end] = 0.0
        return places, values, jacobian

    def vague_scales(self) -> list[str]:
        """Labels of the sds, and phi, whose standard errors are so large that the Wald interval has no upper end."""
        vague, p = [], len(self.beta)
        rows: dict[tuple[str, int], list[int]] = {}
        for k, (name, a, _) in enumerate(self.entries):
            rows.setdefault((name, a), []).append(k)
        for (name, a), members in rows.items():
            L = self.cholesky[name][a, [self.entries[k][2] for k in members]]
            places = p + np.array(members)
            if not L.any():
                continue
            # The derivative of the logarithm of an sd, the length of a row of L.
            slope = L / float(L @ L)
            if float(slope @ self.covariance[np.ix_(places, places)] @ slope) > LARGEST_RELATIVE_ERROR**2:
                vague.append(self.spread_label(name, a, a))
        if self.phi is not None and self.phi_se > LARGEST_RELATIVE_ERROR * self.phi:
            vague.append("phi")
        return vague

    def spread_label(self, group: str, i: int, j: int) -> str:
        """Label of an sd or a correlation, as results have it: ``sd_district[Intercept]``."""
        effects, name = self.effects[group], result_name(group)
        return f"sd_{name}[{effects[i]}]" if i == j else f"cor_{name}[{effects[i]}, {effects[j]}]"

    def _view(self) -> View:
        what = "Posterior mode" if self.penalised else f"{self.likelihood[0].upper()}{self.likelihood[1:]}"
        title = f"{what}, random effects integrated out by {self.method}" if self.cholesky else what
        return View(title, (Facts(self.facts()), *self.tables()))

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Log-likelihood and its size, for a view of the estimate or of its fit."""
        size = f"with {self.n_parameters} parameters and {self.n_rows:,} rows"
        criteria = "" if self.weighted else f"; AIC {criterion(self.aic)}, BIC {criterion(self.bic)}"
        fit = f"{criterion(self.log_likelihood)}{criteria}, {size}"
        boundary = (("boundary", "; ".join(self.boundary)),) if self.boundary else ()
        errors = (("standard errors", self.clustered.described),) if self.clustered else ()
        tests = (("tests", f"t, with {self.kind_of_df} degrees of freedom"),) if self.has_t_tests else ()
        name = f"{self.kind_of_likelihood}log-likelihood"
        return ((name, fit), *errors, *tests, *boundary)

    def tables(self) -> tuple[Part, ...]:
        """Fixed effects, and sds and correlations, with their standard errors, for a view."""
        return tuple(self._tables())

    def _tables(self) -> Iterator[Table]:
        if self.fixed_effects:
            columns = {"estimate": self.beta, "se": self.standard_errors}
            if not self.penalised:
                columns |= self.tests
            yield _table("fixed effect (logit scale)", self.fixed_effects, columns)
        places, values, covariance = self.spread_covariance()
        if places:
            labels = [self.spread_label(*place) for place in places]
            with np.errstate(invalid="ignore"):
                errors = np.sqrt(np.diag(covariance))
            columns = {"estimate": values, "se": np.where(errors > 0, errors, np.nan)}
            yield _table("sd or correlation (logit scale)", labels, columns)
        if self.phi is not None:
            columns = {"estimate": np.array([self.phi]), "se": np.array([self.phi_se])}
            yield _table("precision of the beta distribution", ["phi"], columns)


def _table(name: str, labels: Sequence[str], columns: Mapping[str, FloatArray]) -> Table:
    shown = [Column(name, tuple(labels), number=False, label=True)]
    shown += [Column(key, tuple(cell(key, float(v)) for v in values)) for key, values in columns.items()]
    return Table(tuple(shown), len(labels), "hl.summary(fit)", head=MOST)


def to_dataset(estimate: Estimate) -> xr.Dataset:
    """The estimate as arrays and attributes that can be written to a file.

    See Also
    --------
    from_dataset : The inverse.
    """
    import xarray as xr

    variables: dict[str, Any] = {
        "beta": ("p", estimate.beta),
        "covariance": (("m", "n"), estimate.covariance),
        "df": ("p", estimate.df),
    }
    for k, name in enumerate(estimate.cholesky):
        variables[f"cholesky_{k}"] = ((f"effect_{k}", f"effect_{k}_bis"), estimate.cholesky[name])
        variables[f"modes_{k}"] = ((f"level_{k}", f"effect_{k}"), estimate.modes[name])
        variables[f"conditional_sds_{k}"] = ((f"level_{k}", f"effect_{k}"), estimate.conditional_sds[name])
    plain = {name: getattr(estimate, name) for name in _PLAIN}
    if estimate.clustered is not None:
        variables["cluster"] = ("row", estimate.clustered.index)
        variables["model_covariance"] = (("m", "n"), estimate.clustered.model_covariance)
        plain["clustered"] = [estimate.clustered.kind, estimate.clustered.group]
    return xr.Dataset(variables, attrs={"estimate": json.dumps({**plain, "groups": list(estimate.cholesky)})})


def from_dataset(stored: xr.Dataset, design: Design) -> Estimate:
    """The estimate from the dataset that `to_dataset` made, with the labels of the model's design."""
    record = json.loads(stored.attrs["estimate"])
    groups = record.pop("groups")
    record["entries"] = tuple((str(name), int(a), int(b)) for name, a, b in record["entries"])
    record["boundary"] = tuple(record["boundary"])
    by_group: dict[str, Any] = {
        field: {name: stored[f"{field}_{k}"].to_numpy() for k, name in enumerate(groups)}
        for field in ("cholesky", "modes", "conditional_sds")
    }
    beta, covariance = stored["beta"].to_numpy(), stored["covariance"].to_numpy()
    # Fits saved before there were degrees of freedom have draws from normal distributions.
    df = stored["df"].to_numpy() if "df" in stored else np.full(len(beta), np.inf)
    effects = {group.name: group.effects for group in design.groups}
    if "clustered" in record:
        index, model_covariance = stored["cluster"].to_numpy(), stored["model_covariance"].to_numpy()
        kind, group = record["clustered"]
        record["clustered"] = Clustered(kind, group, index, model_covariance)
    return Estimate(
        fixed_effects=design.fixed_effects,
        effects=effects,
        beta=beta,
        covariance=covariance,
        df=df,
        **by_group,
        **record,
    )


#: Attributes of an estimate that are not arrays.
_PLAIN = (
    "nodes",
    "penalised",
    "log_likelihood",
    "entries",
    "boundary",
    "n_parameters",
    "n_rows",
    "restricted",
    "weighted",
    "phi",
)
