"""`hierlogit.pool`: fits of one model to several imputed tables, combined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.diagnostics import Diagnostics
from ..fits.findings import Finding, gravest_first, status_of
from ..fits.fit import Fit, M_co
from ..fits.pooled_fit import PooledFit
from ..formatting import number
from ..pooled_estimate import PooledEstimate
from ..validation import kind_of, number_of, shortened
from .agreement import require_agreement

#: Fewer imputations have intervals that depend much on chance.
FEWEST = 5
#: Imputations for each percent of missing information at which results hardly depend on the imputations drawn.
PER_PERCENT = 100


def pool(fits: Iterable[Fit[M_co]]) -> PooledFit[M_co]:
    """Fits of one model to several imputed tables, combined into one fit.

    Parameters
    ----------
    fits : iterable of Fit
        At least two fits of the same formula by the same engine, each to one imputed table. The tables have the same
        rows in the same order, the same clusters and the same levels of categorical columns.

    Returns
    -------
    PooledFit
        Functions of fits take it as they take a `Fit`. Fits by Laplace, AGQ and MAP are combined by Rubin's rules, with
        Barnard and Rubin's degrees of freedom; the draws of fits by a sampler are stacked. What has no meaning across
        imputations, such as a log-likelihood, AIC, likelihood-ratio tests, leave-one-out cross-validation and the
        bootstrap, raises an error that says what to use instead.

    Raises
    ------
    FitError
        If there are fewer than two fits, or they are not of one model.

    Warns
    -----
    DataWarning
        If functions in the formula, such as ``scale(x)``, learn other numbers from each table.

    See Also
    --------
    fit_imputed : Fits the model to each table, and pools the fits.

    Notes
    -----
    Of each coefficient, the pooled estimate is the mean over the m imputations, and its variance
    ``T = W + (1 + 1/m) B`` the mean of the squared standard errors and the variance between imputations. `summary` has
    the fraction of missing information ``fmi``, the relative increase in variance ``riv`` and the share of the variance
    due to missing values, ``lambda``, as R's mice. Sds and correlations of random effects are combined in the same way.

    The degrees of freedom without missing values are between-within or infinite, as in the fits. R's mice takes the
    number of rows less that of coefficients for ``glmer``, with which its degrees of freedom agree if they are many.

    R-hat and effective sample sizes are those within the imputations: the largest R-hat, and the sum of the effective
    sizes. Chains of different imputations differ by design.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, section 3.1; Barnard and Rubin (1999), Biometrika 86:
    948-955; van Buuren (2018), Flexible Imputation of Missing Data, 2nd edition, sections 2.3 and 5.1.

    Examples
    --------
    >>> import hierlogit as hl
    >>> data = hl.datasets.load("contraception")
    >>> tables = [data.assign(age=data["age"] + (data.index % 7 == k)) for k in range(5)]  # stand for imputations
    >>> pooled = hl.pool([hl.Model("use ~ age + (1 | district)", table).fit("laplace") for table in tables])
    >>> hl.summary(pooled)[["estimate", "se", "fmi"]].loc["age"].round(4).to_list()
    [0.0086, 0.0054, 0.0033]
    """
    members = _listed(fits)
    for k, one in enumerate(members):
        require_fit(one, f"fits[{k}]")
        if isinstance(one, PooledFit):
            raise FitError(f"fits[{k}] is pooled already. Pass the fits of the imputations: its attribute .fits.")
    if len(members) < 2:
        raise FitError(
            f"{number_of(len(members), 'fit')} cannot be pooled: the variance between imputations needs at least two, "
            "and results that do not depend on chance 20 or more."
        )
    require_agreement([one.model for one in members], "fits")
    _same_engine(members)
    return PooledFit(members, _diagnostics(members))


def _listed(fits: Any) -> list[Any]:
    if isinstance(fits, Fit) or not isinstance(fits, Iterable) or isinstance(fits, (str, Mapping)):
        raise FitError(f"fits={shortened(fits)} is a {kind_of(fits)}. Pass a list of the fits: hl.pool([fit1, fit2]).")
    return list(fits)


def _same_engine(fits: Sequence[Fit]) -> None:
    """Refuse fits that are computed in different ways, or whose numbers of draws differ."""
    first = _computed(fits[0])
    for k, one in enumerate(fits[1:], start=1):
        for name, value in _computed(one).items():
            if value != first[name]:
                raise FitError(
                    f"fits[{k}] has {name} {value}, and fits[0] {first[name]}: pool fits by one engine with the same "
                    "options. Each imputation must count the same."
                )


def _computed(fit: Fit) -> dict[str, Any]:
    """How a fit was computed, as far as it must be the same for all imputations."""
    estimate = fit.estimate
    if estimate is None:
        sizes = fit.posterior.sizes
        return {"engine": fit.diagnostics.engine, "chains": sizes["chain"], "draws": sizes["draw"]}
    draws = fit.diagnostics.settings.get("draws")
    plain = {"engine": fit.diagnostics.engine, "draws": draws}
    errors = "of the model" if estimate.clustered is None else estimate.clustered.described
    return plain | {"nodes": estimate.nodes, "restricted": estimate.restricted, "standard errors": errors}


def _diagnostics(fits: Sequence[Fit]) -> Diagnostics:
    all_diagnostics = [one.diagnostics for one in fits]
    first = all_diagnostics[0]
    findings = (*_few_imputations(fits), *_of_members(all_diagnostics))
    seconds: dict[str, float] = {}
    for one in all_diagnostics:
        for stage, value in one.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return Diagnostics(
        engine=first.engine,
        exact=first.exact,
        status=status_of(findings),
        findings=gravest_first(findings),
        settings={**first.settings, "imputations": len(fits)},
        seed=first.seed,
        measures=_measures(all_diagnostics) if fits[0].estimate is None else {},
        seconds=seconds,
        versions=first.versions,
    )


def _measures(all_diagnostics: Sequence[Diagnostics]) -> dict[str, float]:
    """The worst of each convergence measure within an imputation; divergences are counted."""
    measures: dict[str, float] = {}
    for name in all_diagnostics[0].measures:
        values = [one.measures[name] for one in all_diagnostics if name in one.measures]
        combine = sum if name == "divergences" else min if name.startswith("min") else max
        measures[name] = float(combine(values))
    return measures


def _few_imputations(fits: Sequence[Fit]) -> list[Finding]:
    """A finding if the results depend on which imputations were drawn."""
    m = len(fits)
    if m < FEWEST:
        evidence = f"There are {m} imputations, too few for intervals that do not depend on chance."
        return [Finding("few_imputations", "warning", evidence, "Impute more tables: 20 or more, better 50.")]
    estimates = [one.estimate for one in fits if one.estimate is not None]
    if not estimates:
        return []
    pooled = PooledEstimate.of(estimates)
    missing = pooled.missing_information["fmi"][: len(pooled.beta)]
    largest = int(np.nanargmax(missing)) if np.isfinite(missing).any() else None
    if largest is None or m >= PER_PERCENT * missing[largest]:
        return []
    evidence = (
        f"{number(100 * float(missing[largest]))} % of the information about '{pooled.fixed_effects[largest]}' is "
        f"missing, and there are {m} imputations: {m} others would give somewhat other standard errors and p-values."
    )
    remedy = f"For results that can be repeated, impute {int(np.ceil(PER_PERCENT * missing[largest]))} tables or more."
    return [Finding("few_imputations", "note", evidence, remedy)]


def _of_members(all_diagnostics: Sequence[Diagnostics]) -> list[Finding]:
    """The findings of the fits, each code once, with the imputations that have it and the gravest evidence."""
    found: dict[str, list[tuple[int, Finding]]] = {}
    for k, one in enumerate(all_diagnostics, start=1):
        for finding in one.findings:
            found.setdefault(finding.code, []).append((k, finding))
    merged = []
    for code, members in found.items():
        gravest = gravest_first([finding for _, finding in members])[0]
        numbers = list(dict.fromkeys(k for k, _ in members))
        texts = {finding.evidence for _, finding in members}
        if len(numbers) == len(all_diagnostics) and len(texts) == 1:
            merged.append(gravest)
            continue
        k = next(k for k, finding in members if finding is gravest)
        evidence = f"In {len(numbers)} of {len(all_diagnostics)} imputations; in imputation {k}: {gravest.evidence}"
        merged.append(Finding(code, gravest.severity, evidence, gravest.remedy))
    return merged
