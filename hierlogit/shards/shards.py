"""The class `Shards`: a table in files with whole clusters each."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..display import Facts, Shown, View
from ..errors import DesignError
from ..parallel.workers import AnyExecutor
from ..validation import path, text, whole_number
from .folder import Manifest
from .new_folder import new_folder
from .partition import write_shards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..design.design import Collinear
    from .model import ShardedModel

#: More files would be open at once than systems allow.
MOST_SHARDS = 1000


class Shards(Shown):
    """A table in shards: files of Parquet, each with all rows of some clusters.

    The log-likelihood of a model whose random effects are those of these clusters, or of others nested in them, is a
    sum over the shards, so that no process needs all rows. The effects of factors that cross the shards are found from
    sums over them.

    Parameters
    ----------
    folder : str or path
        A folder that `Shards.write` has written.

    Attributes
    ----------
    folder : pathlib.Path
    manifest : Manifest
        Column of the clusters, schema, and numbers of rows and clusters in each file.

    Raises
    ------
    DesignError
        If the folder does not hold shards.

    Examples
    --------
    >>> import tempfile
    >>> import hierlogit as hl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = hl.Shards.write(hl.datasets.load("contraception"), f"{folder}/shards", group="district", shards=4)
    ...     shards = hl.Shards(f"{folder}/shards")
    >>> len(shards), shards.manifest.rows, shards.manifest.clusters
    (4, 1934, 60)
    """

    folder: Path
    manifest: Manifest

    def __init__(self, folder: str | PathLike[str]) -> None:
        place = path("folder", folder, DesignError)
        self.__dict__.update(folder=place, manifest=Manifest.read(place))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Shards are immutable: open another folder instead of setting '{name}'.")

    def __len__(self) -> int:
        return len(self.manifest.shards)

    @property
    def group(self) -> str:
        """The column with the clusters, each of which lies in one file."""
        return self.manifest.group

    @classmethod
    def write(cls, source: Any, folder: str | PathLike[str], group: str, shards: int = 64) -> Self:
        """Divide the rows of a table into files with whole clusters and about equal numbers of rows.

        Parameters
        ----------
        source : table
            As for `hierlogit.Model`. Lazy frames and files of Parquet are never in memory as a whole.
        folder : str or path
            A folder that does not exist or is empty.
        group : str
            The column with the clusters of the outermost grouping factor of the models.
        shards : int
            Number of files, at most 1,000: at least as many as workers, and so many that one fits into the memory of a
            worker, with about 160 bytes for each value of the model's columns. With fewer clusters, there is one for
            each cluster.

        Returns
        -------
        Shards

        Raises
        ------
        DesignError
            If the table cannot be read or written as Parquet, has no such column, or the folder is not empty.

        Examples
        --------
        >>> import hierlogit as hl
        >>> hl.Shards.write("visits.parquet", "visits-by-site", group="site")  # doctest: +SKIP
        """
        text("group", group, DesignError)
        count = whole_number("shards", shards, DesignError, least=1, most=MOST_SHARDS)
        with new_folder("folder", folder, DesignError) as place:
            write_shards(source, place, group, count)
        return cls(place)

    def model(
        self,
        formula: str,
        *,
        priors: Mapping[str, Any] | None = None,
        collinear: Collinear = "drop",
        executor: AnyExecutor | None = None,
    ) -> ShardedModel:
        """A model of the rows of all shards.

        Levels, numbers of rows and clusters, and moments of the columns are learned in two passes over the shards; the
        quantiles of ``bs(x, df=4)``, and functions within functions, such as ``scale(between(x, g))``, take one or two
        more. Rows with missing values are left out, and a warning gives their number.

        Parameters
        ----------
        formula : str
            As for `hierlogit.Model`. Grouping factors are that of the shards and others nested in it, ``(1 | site)`` or
            ``(1 + x | site/patient)``; or one of these and others that cross the shards, ``(1 | site) + (1 | drug)``,
            with up to 3,000 effects together. ``scale``, ``center``, ``standardize``, ``poly``, ``bs``, ``within`` and
            ``between`` learn from all rows; other functions that depend on all rows at once, such as ``np.mean``, are
            refused.
        priors : mapping of str to prior, optional
            As for `hierlogit.Model`. `hierlogit.MAP` uses them.
        collinear : {"drop", "error"}
            As for `hierlogit.Model`: what to do with columns that depend linearly on those before them.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where the shards are read; in this process if not given.

        Returns
        -------
        ShardedModel

        Raises
        ------
        FormulaError
            If the formula has a column or function that does not exist.
        DesignError
            If the rows do not fit the formula, or the likelihood is not a sum over these shards.
        PriorError
            If a prior is not allowed, or there is no such parameter.
        StudyError
            If the executor cannot run the tasks.
        """
        from .model import ShardedModel

        written = text("formula", formula, DesignError)
        return ShardedModel(self.folder, self.manifest, written, priors, collinear, executor)

    def _view(self) -> View:
        rows = [shard.rows for shard in self.manifest.shards]
        files = f"{len(rows):,}, of {min(rows):,} to {max(rows):,} rows"
        columns = ", ".join(f"{name} ({kind})" for name, kind in self.manifest.schema.items())
        clusters = f"{self.group}: {self.manifest.clusters:,}"
        facts = (("folder", str(self.folder)), ("rows", f"{self.manifest.rows:,}"), ("clusters", clusters))
        return View("Table in shards", (Facts((*facts, ("files", files), ("columns", columns))),))
