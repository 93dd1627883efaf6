"""The class `ShardedPosterior`: draws of the parameters of a model of shards, and results of its clusters as files."""

from __future__ import annotations

from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.log_prior import log_prior
from ..display import Facts, Folded, Sentences, Shown, View
from ..engines.maximum.gaussian_draws import cholesky_draws
from ..errors import FitError
from ..fits.fit import means_and_sds
from ..fits.netcdf import write_tree
from ..fits.posterior import posterior_of_parameters
from ..formatting import number
from ..parallel.workers import AnyExecutor, check_executor
from ..result_table import ResultTable
from ..summaries.convergence import convergence_of_draws
from ..summaries.intervals import Interval
from ..summaries.tables import table_of_draws
from ..validation import choice, file_path, quoted_list
from .draw_results import WriteDrawnEffects, WriteDrawnPredictions
from .factors import chosen_factor
from .new_folder import new_folder
from .predictions import CLUSTERS

if TYPE_CHECKING:
    import xarray as xr

    from ..fits.diagnostics import Diagnostics
    from .predictions import Clusters
    from .spec import ShardedSpec

FloatArray = npt.NDArray[np.float64]


class ShardedPosterior(Shown):
    """Draws of the posterior of a model of shards, by `hierlogit.ImportanceSampling`.

    Attributes
    ----------
    model : ShardedModel
    data : xarray.DataTree
        Groups with ArviZ's names: ``posterior`` with ``beta``, ``sd_<group>`` and ``cor_<group>``, as of fits in memory
        but without the effects of the clusters, which `ranef` writes to files; and ``log_prior``.
    diagnostics : Diagnostics
        Among the measures are the logarithm of the marginal likelihood, ``log_evidence``, and its Monte Carlo error.
    """

    model: ShardedSpec
    data: xr.DataTree
    diagnostics: Diagnostics
    #: The draws as vectors of the objective.
    _psi: FloatArray

    def __init__(self, model: ShardedSpec, psi: FloatArray, diagnostics: Diagnostics) -> None:
        import xarray as xr

        objective = model.objective(1, None, penalised=False)
        names = [group.name for group in model.whole().design.groups]
        cholesky = dict(zip(names, cholesky_draws(objective, psi), strict=True))
        posterior = posterior_of_parameters(model.whole(), psi[:, : objective.p], cholesky)
        groups = {"posterior": posterior, "log_prior": log_prior(model.whole(), posterior)}
        data = xr.DataTree.from_dict(groups)
        self.__dict__.update(model=model, data=data, diagnostics=diagnostics, _psi=psi)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a ShardedPosterior is immutable: make a new one instead of setting '{name}'.")

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws, dims (chain, draw, ...)."""
        return self.data["posterior"].to_dataset()

    def summary(self, *, ci_prob: float | None = None, ci_kind: str | None = None) -> ResultTable:
        """Fixed effects, sds and correlations with intervals and Monte Carlo errors, as by `hierlogit.summary`.

        Parameters
        ----------
        ci_prob : float, optional
            Probability of the intervals; ArviZ's default if not given.
        ci_kind : {"eti", "hdi"}, optional
            Equal-tailed or highest-density intervals; ArviZ's default if not given.

        Returns
        -------
        ResultTable
            One row for each parameter, with ``component``, ``mean``, ``sd``, the ends of the interval, ``ess_bulk``,
            ``ess_tail``, ``mcse_mean`` and ``mcse_sd``.
        """
        interval, model = Interval.of(ci_prob, ci_kind), self.model.whole()
        return table_of_draws(model, self.posterior, interval, convergence_of_draws(model, self.posterior))

    def ranef(
        self,
        folder: str | PathLike[str],
        group: str | None = None,
        *,
        ci_prob: float | None = None,
        ci_kind: str | None = None,
        executor: AnyExecutor | None = None,
    ) -> Path:
        """Write the posterior of the random effects of a grouping factor, a file of Parquet for each shard.

        For each draw of the parameters, the effects are drawn from their exact distribution given these. A worker needs
        memory for all draws of the effects of a shard.

        Parameters
        ----------
        folder : str or path
            A folder that does not exist or is empty.
        group : str, optional
            The grouping factor; may be left out if there is only one.
        ci_prob, ci_kind
            As for `summary`.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given.

        Returns
        -------
        pathlib.Path
            The folder. Its files have the columns ``level``, the cluster, ``effect``, ``mean``, ``sd`` and the ends of
            the interval, on the logit scale; ``pandas.read_parquet(folder)`` reads all of them.

        Raises
        ------
        FitError
            If the folder holds files, or there is no such grouping factor.
        StudyError
            If the executor cannot run the tasks.
        """
        check_executor(executor)
        interval = Interval.of(ci_prob, ci_kind)
        factor = chosen_factor([one.name for one in self.model.whole().design.groups], group)
        files = tuple(shard.file for shard in self.model.manifest.shards)
        sums = self.model.sums_by(executor, "Drawing effects of clusters")
        with new_folder("folder", folder, FitError) as place:
            write = WriteDrawnEffects(place.absolute(), files, factor, interval, self._seed)
            sums.results_at(self._nodes, self._psi, write)
        return place

    def predictions(
        self,
        folder: str | PathLike[str],
        clusters: Clusters = "observed",
        *,
        ci_prob: float | None = None,
        ci_kind: str | None = None,
        executor: AnyExecutor | None = None,
    ) -> Path:
        """Write the rows with the posterior of their probabilities, a file of Parquet for each shard.

        Parameters
        ----------
        folder : str or path
            A folder that does not exist or is empty.
        clusters : {"observed", "typical", "average"}
            Which cluster effects count, as for `hierlogit.predictions`: those of the row's own clusters, zero, or all
            clusters on average.
        ci_prob, ci_kind
            As for `summary`.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are evaluated; in this process if not given.

        Returns
        -------
        pathlib.Path
            The folder. Its files have the rows of the shards in their order, with all columns and ``mean``, ``sd`` and
            the ends of the interval; they are missing in rows with missing values.

        Raises
        ------
        FitError
            If the folder holds files, the rows have a column with one of these names, or an option is not allowed.
        StudyError
            If the executor cannot run the tasks.
        """
        check_executor(executor)
        chosen = choice("clusters", clusters, CLUSTERS, FitError)
        interval, manifest = Interval.of(ci_prob, ci_kind), self.model.manifest
        if taken := [name for name in ("mean", "sd", *interval.columns) if name in manifest.schema]:
            raise FitError(f"columns of the rows have names of the predictions, {quoted_list(taken)}: rename them.")
        shards, sums = self.model.folder.absolute(), self.model.sums_by(executor, "Predicting")
        with new_folder("folder", folder, FitError) as place:
            write = WriteDrawnPredictions(place.absolute(), shards, manifest, chosen, interval, self._seed)
            sums.results_at(self._nodes, self._psi, write)
        return place

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the draws to a netCDF file, which ``xarray.open_datatree`` and ArviZ read.

        It holds the groups of `data`, the formula and the diagnostics, and nothing of the rows or the clusters.

        Parameters
        ----------
        path : str or path
            File to write; an existing one is replaced once the new one is complete.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        FitError
            If the file cannot be written.
        """
        groups = {name: group.to_dataset() for name, group in self.data.children.items()}
        record = {"formula": self.model.whole().formula.text, "diagnostics": asdict(self.diagnostics)}
        return write_tree(file_path("path", path, FitError), groups, {"posterior_of_shards": record})

    @property
    def _nodes(self) -> int:
        return int(self.diagnostics.settings["nodes"])

    @property
    def _seed(self) -> int:
        assert self.diagnostics.seed is not None
        return self.diagnostics.seed

    def _view(self) -> View:
        model, diagnostics = self.model, self.diagnostics
        facts = (*model.facts(), ("measures", diagnostics.measured()))
        findings = Sentences(tuple(one.brief for one in diagnostics.findings), ".diagnostics.findings")
        seconds = number(sum(diagnostics.seconds.values()))
        draws = f"{self.posterior.sizes['draw']:,} independent draws"
        title = f"Posterior of shards by {diagnostics.engine}: {draws}, {diagnostics.status}, {seconds} s"
        table = means_and_sds(model.whole(), self.posterior, ".summary()")
        folded = Folded("Priors", Facts(model.stated_priors(), where=".model.priors"))
        return View(title, (Facts(facts), findings, table, folded))
