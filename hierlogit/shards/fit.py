"""The class `ShardedFit`: estimates of a model whose rows are in shards, and the effects of its clusters as files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..display import Facts, Folded, Sentences, Shown, View
from ..engines.maximum.cluster_covariance import finite_errors_of, with_clusters
from ..errors import FitError
from ..formatting import number
from ..parallel.workers import AnyExecutor, check_executor
from ..result_table import ResultTable
from ..summaries.intervals import Interval
from ..summaries.profiling import profile_ends_in_turn
from ..summaries.wald_profile import profile_table, wald_table
from ..validation import choice
from .factors import chosen_factor
from .new_folder import new_folder
from .predictions import CLUSTERS, WritePredictions
from .robust import robust_covariance

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..fits.diagnostics import Diagnostics
    from .objective import Sums
    from .predictions import Clusters
    from .spec import ShardedSpec

COVARIANCES = ("model", "robust")
INTERVALS = ("wald", "profile")


class ShardedFit(Shown):
    """A model of shards at the maximum of its likelihood.

    Attributes
    ----------
    model : ShardedModel
    estimate : Estimate
        As for fits in memory, but without the modes of the clusters, which `ranef` writes to files.
    diagnostics : Diagnostics
    """

    model: ShardedSpec
    estimate: Estimate
    diagnostics: Diagnostics
    _sums: Sums

    def __init__(self, model: ShardedSpec, estimate: Estimate, diagnostics: Diagnostics, sums: Sums) -> None:
        self.__dict__.update(model=model, estimate=estimate, diagnostics=diagnostics, _sums=sums)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a ShardedFit is immutable: make a new one instead of setting '{name}'.")

    def summary(
        self,
        *,
        interval: str = "wald",
        ci_prob: float | None = None,
        covariance: str = "model",
        cluster: str | None = None,
        executor: AnyExecutor | None = None,
    ) -> ResultTable:
        """Fixed effects, sds and correlations with standard errors and intervals, as by `hierlogit.summary`.

        Parameters
        ----------
        interval : {"wald", "profile"}
            Profile intervals take some dozens of rounds over the shards for each parameter.
        ci_prob : float, optional
            Probability of the intervals; ArviZ's default if not given.
        covariance : {"model", "robust"}
            Where the standard errors come from: the model, or differences between clusters, as with `robust`.
        cluster : str, optional
            For robust standard errors: the clusters, as for `robust`.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated for profiles and for scores of clusters; in this process if not given.

        Returns
        -------
        ResultTable
            One row for each parameter, with ``component``, ``estimate``, ``se``, the ends of the interval, and for the
            fixed effects ``z`` and ``p_value``.

        Raises
        ------
        FitError
            If the interval or the covariance is not available for this fit.
        StudyError
            If the executor cannot run the tasks.
        """
        prob = Interval.of(ci_prob, None).prob
        check_executor(executor)
        choice("interval", interval, INTERVALS, FitError)
        estimate = self.estimate
        if choice("covariance", covariance, COVARIANCES, FitError) == "robust":
            estimate = self.robust(cluster, executor=executor).estimate
        elif cluster is not None:
            raise FitError("cluster= is for covariance='robust': pass both, or leave both out.")
        if interval == "wald":
            return wald_table(estimate, prob)
        objective = self.model.objective(estimate.nodes, executor, penalised=estimate.penalised)
        return profile_table(estimate, prob, profile_ends_in_turn(objective, estimate, prob))

    def robust(self, cluster: str | None = None, *, executor: AnyExecutor | None = None) -> ShardedFit:
        """The fit with cluster-robust standard errors, as by `hierlogit.robust`.

        Each shard adds up the scores of its clusters, and their outer products: no more comes together.

        Parameters
        ----------
        cluster : str, optional
            The clusters, which are taken to be independent: a grouping factor, or any column of the shards in whose
            values the clusters of all factors lie, such as the region of sites. If not given, the grouping factor in
            which all others are nested.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given.

        Returns
        -------
        ShardedFit
            ``.estimate.covariance`` is the new covariance matrix.

        Raises
        ------
        FitError
            If the fit has no maximum or such standard errors already, there are no such clusters, or they depend on
            each other.
        StudyError
            If the executor cannot run the tasks.

        Warns
        -----
        ConvergenceWarning
            If there are fewer than 20 clusters, or fewer than parameters.
        """
        check_executor(executor)
        estimate, model = finite_errors_of(self.estimate, self.diagnostics), self.model
        found = robust_covariance(
            self._sums.by(executor, "Adding up scores"), estimate, model.folder, model.manifest, cluster
        )
        return ShardedFit(model, *with_clusters(estimate, self.diagnostics, *found, ""), self._sums)

    def ranef(
        self, folder: str | PathLike[str], group: str | None = None, *, executor: AnyExecutor | None = None
    ) -> Path:
        """Write the conditional modes of the random effects of a grouping factor, a file of Parquet for each shard.

        Those of a factor that crosses the shards are in a single file.

        Parameters
        ----------
        folder : str or path
            A folder that does not exist or is empty.
        group : str, optional
            The grouping factor; may be left out if there is only one.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given.

        Returns
        -------
        pathlib.Path
            The folder. Its files have the columns ``level``, the cluster, ``effect``, ``mode`` and ``conditional_sd``,
            on the logit scale; ``pandas.read_parquet(folder)`` reads all of them.

        Raises
        ------
        FitError
            If the folder holds files, or there is no such grouping factor.
        StudyError
            If the executor cannot run the tasks.
        """
        check_executor(executor)
        factor = chosen_factor(list(self.estimate.effects), group)
        files = tuple(shard.file for shard in self.model.manifest.shards)
        sums = self._sums.by(executor, "Writing effects of clusters")
        with new_folder("folder", folder, FitError) as place:
            sums.write_modes(self.estimate, factor, place.absolute(), files)
        return place

    def predictions(
        self,
        folder: str | PathLike[str],
        clusters: Clusters = "observed",
        *,
        executor: AnyExecutor | None = None,
    ) -> Path:
        """Write the rows with their predicted probabilities, a file of Parquet for each shard.

        Parameters
        ----------
        folder : str or path
            A folder that does not exist or is empty.
        clusters : {"observed", "typical", "average"}
            Which cluster effects count, as for `hierlogit.predictions`: the modes of the row's own clusters, zero, or
            all clusters on average.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given.

        Returns
        -------
        pathlib.Path
            The folder. Its files have the rows of the shards in their order, with all columns and ``estimate``, the
            probability at the estimated parameters; it is missing in rows with missing values.

        Raises
        ------
        FitError
            If the folder holds files, the rows have a column ``estimate``, or an option is not allowed.
        StudyError
            If the executor cannot run the tasks.
        """
        check_executor(executor)
        chosen = choice("clusters", clusters, CLUSTERS, FitError)
        if "estimate" in self.model.manifest.schema:
            raise FitError("the rows have a column 'estimate', the name of the predictions: rename it in the shards.")
        sums = self._sums.by(executor, "Predicting")
        with new_folder("folder", folder, FitError) as place:
            write = WritePredictions(place.absolute(), self.model.folder.absolute(), self.model.manifest, chosen)
            sums.results(self.estimate.nodes, self.estimate.vector, write)
        return place

    def _view(self) -> View:
        facts = (*self.model.facts(), *self.estimate.facts())
        if self.diagnostics.measures:
            facts = (*facts, ("measures", self.diagnostics.measured()))
        findings = Sentences(tuple(one.brief for one in self.diagnostics.findings), ".diagnostics.findings")
        seconds = number(sum(self.diagnostics.seconds.values()))
        title = f"Fit of shards by {self.diagnostics.engine}: {self.diagnostics.status}, {seconds} s"
        priors = self.model.stated_priors() if self.estimate.penalised else ()
        folded = Folded("Priors", Facts(priors, where=".model.priors"))
        return View(title, (Facts(facts), findings, *self.estimate.tables(), folded))
