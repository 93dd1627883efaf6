"""The class `Model`: a formula and a table, with methods that fit the model or translate it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

# First, because Numba is imported there. Its loops take longer at the end of a chain of imports, where Python may
# reserve memory for each call of a function anew.
from . import numba_support as _numba_support  # noqa: F401
from .engines.registry import resolve_engine
from .errors import DataWarning, ModelError, warn
from .fits.arguments import NO_POSTERIOR, refuse_sampling_weights
from .fits.findings import gravest_first
from .fits.identification import findings_before_fits
from .foreign_options import refuse_options
from .model_spec import ModelSpec
from .progress import shown
from .translations.latex import latex

if TYPE_CHECKING:
    import bambi
    import pymc

    from .engines.engine import Engine
    from .fits.fit import Fit


class Model(ModelSpec):
    """Mixed-effects logistic regression model of a table: ``logit p = offset + X beta + Z b``.

    Parameters
    ----------
    formula : str
        ``outcome ~ fixed effects + (effects | grouping factor)``, for example
        ``"use ~ age + urban + (1 + urban | district)"``. A formula without random terms is plain logistic regression.
    data : table
        One row for each observation: a pandas or polars frame, also a lazy one, Arrow data, a DuckDB relation, a
        mapping of columns, or the name of a .parquet, .feather, .arrow or .csv file. Only columns of the formula are
        read from lazy frames and from files of Parquet and Arrow. If these have more than a million rows, rows that are
        alike in all of these columns are counted there and become one row.
    priors : mapping of str to Prior or bambi.Prior, optional
        Priors that replace the defaults, by class (``"beta"``, ``"sd"``, ``"cor"``, ``"phi"``) or by parameter
        (``"age"``, ``"sd_district"``); see `hierlogit.priors.defaults.resolve_priors`.
    missing : {"drop", "error"}
        What to do with rows that have missing values in columns of the formula, or no trials: drop them, with a warning
        that gives their number, or raise an error.
    collinear : {"drop", "error"}
        What to do with columns of the design that are linear combinations of those before them, as where a combination
        of levels has no rows: drop them as R does, with a warning that names them, or raise an error.
    namespace : mapping of str to object, optional
        Functions and values that the formula can use besides the columns, such as the knots of a spline or a matrix of
        contrasts: ``{"knots": [20, 40], "steps": matrix}`` for ``bs(x, knots=knots) + C(f, steps)``.
    weights : FrequencyWeights or SamplingWeights, optional
        Columns with counts of identical rows, ``hl.FrequencyWeights("n")``, or with weights of a sample,
        ``hl.SamplingWeights("w", clusters={"school": "w_school"})``. Numbers of trials belong in the formula.
    family : {"binomial", "betabinomial"}
        Distribution of the successes of a row, given its linear predictor; binary outcomes are binomial with one trial.
        Beta-binomial counts vary more than binomial ones: the probability of a row has a beta distribution with the
        mean p and the precision ``phi``, ``Beta(p phi, (1 - p) phi)``, so that the successes of m trials have the
        variance ``m p (1 - p) (phi + m) / (phi + 1)`` and any two trials of a row the correlation ``1 / (phi + 1)``.
        It needs rows with several trials.
    **others
        Options of other packages, such as ``link`` or ``nAGQ``: there are none here, and an error says what is written
        instead.

    Attributes
    ----------
    formula : Formula
    design : Design
    priors : Priors
    weights : FrequencyWeights or SamplingWeights or None

    Raises
    ------
    FormulaError, DesignError, PriorError
        If the text, the data or the priors cannot be used; the message says where and what to do.
    ModelError
        If there are other options.

    Warns
    -----
    DataWarning
        If rows are dropped, or the rows cannot tell some parameter: an sd that is not identified, more parameters than
        events, predictors of random slopes far from zero. Each fit has the same findings; `hierlogit.check_data` has
        more of them.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> model.design.n_rows
    220
    """

    def _warn(self) -> None:
        for finding in gravest_first(findings_before_fits(self)):
            warn(f"{finding.evidence} {finding.remedy}", DataWarning)

    if not TYPE_CHECKING:  # type checkers report unknown attributes themselves

        def __getattr__(self, name: str) -> object:
            from .fits.fit import ELSEWHERE

            if name in ELSEWHERE:
                raise AttributeError(
                    f"a Model has no attribute '{name}'. Fit it first, fit = model.fit(), and use {ELSEWHERE[name]}.",
                    name=name,
                )
            # Raises Python's error again, or that of a property which could not be computed.
            return object.__getattribute__(self, name)

    def fit(self, engine: Engine | str = "nuts", **others: Any) -> Fit[Self]:
        """Fit of the model by an engine.

        Parameters
        ----------
        engine : Engine or str
            An engine with its options, such as ``hl.NUTS(draws=2000, seed=1)``, or its name: ``"nuts"``, ``"laplace"``,
            ``"agq"``, ``"map"`` or ``"importance"``.
        **others
            Options of an engine belong to the engine; an error says where.

        Returns
        -------
        Fit
            Posterior draws in ArviZ's groups, diagnostics and, for likelihood fits, the estimate.

        Raises
        ------
        EngineError
            If there is no such engine, or it cannot fit this model.
        ModelError
            If there are other options.

        Examples
        --------
        >>> import hierlogit as hl
        >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
        >>> model.fit("laplace").estimate.beta.round(2)
        array([ 2.96, -1.61])
        """
        refuse_options("model.fit", others, ("engine",))
        chosen = resolve_engine(engine)
        with shown(getattr(chosen, "progress", True)):
            return chosen.run(self)

    def to_pymc(self) -> pymc.Model:
        """The model as a PyMC model, with non-centred effects, LKJ correlations, named dims and coords.

        ``pm.model_to_graphviz(model.to_pymc())`` draws the graph.

        Returns
        -------
        pymc.Model

        Raises
        ------
        ModelError
            If the model has sampling weights.

        Examples
        --------
        >>> import hierlogit as hl
        >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
        >>> list(model.to_pymc().named_vars)
        ['slopes_scaled', 'intercept_at_means', 'beta', 'sd_ID', 'u_ID', 'b_ID', 'y']
        """
        from .density.pymc_graph import build_graph

        refuse_sampling_weights(self, "model.to_pymc", NO_POSTERIOR, ModelError)
        return build_graph(self)

    def to_bambi(self) -> bambi.Model:
        """The model as a Bambi model with the same priors, if Bambi can express it.

        Returns
        -------
        bambi.Model

        Raises
        ------
        ModelError
            If Bambi cannot express the model; for example, it has no correlated random effects or sampling weights.

        Examples
        --------
        >>> import hierlogit as hl
        >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
        >>> model.to_bambi().formula
        Formula('y ~ week_gt2 + (1|ID)')
        """
        from .translations.bambi_model import bambi_model

        refuse_sampling_weights(self, "model.to_bambi", NO_POSTERIOR, ModelError)
        return bambi_model(self)

    def to_latex(self) -> str:
        r"""The model as an ``aligned`` block of LaTeX, with its priors.

        Returns
        -------
        str

        Examples
        --------
        >>> import hierlogit as hl
        >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
        >>> print(model.to_latex().splitlines()[1])
        \text{y}_i &\sim \operatorname{Bernoulli}(p_i) \\
        """
        return latex(self)
