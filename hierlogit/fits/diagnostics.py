"""The class `Diagnostics`: engine, status, findings, settings, convergence measures and versions of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..display import Facts, Sentences, Shown, View
from ..formatting import cell, number
from .findings import Finding, Status


@dataclass(frozen=True, repr=False)
class Diagnostics(Shown):
    """How a fit was computed: engine, status, findings, settings, convergence measures and versions.

    Attributes
    ----------
    engine : str
        Name of the engine, such as ``"NUTS"``.
    exact : bool
        Whether the draws come from the posterior itself (up to Monte Carlo error), not from an approximation.
    status : {"converged", "check", "failed", "interrupted"}
        ``"check"`` if there is a warning among the findings.
    findings : tuple of Finding
        Problems that were found, with advice.
    settings : mapping
        Options of the engine.
    seed : int or None
        Makes the run reproducible with the same versions.
    measures : mapping of str to float
        Convergence measures: ``max_rhat``, ``min_ess_bulk``, ``divergences``, ...; those of the cluster effects are
        ``max_rhat_effects`` and ``min_ess_effects``. For likelihood fits, the Pareto k-hat of the draws is computed
        when it is first read.
    seconds : mapping of str to float
        Wall time by stage.
    versions : mapping of str to str
        Versions of Python, hierlogit and the libraries that did the work.
    """

    engine: str
    exact: bool
    status: Status
    findings: tuple[Finding, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def _view(self) -> View:
        facts = (
            ("settings", ", ".join(f"{name}={value}" for name, value in self.settings.items())),
            ("seed", str(self.seed)),
            ("measures", self.measured()),
            ("seconds", ", ".join(f"{name} {number(value)}" for name, value in self.seconds.items())),
            ("versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
        )
        title = f"{self.engine} ({'exact' if self.exact else 'approximate'}), {self.status}"
        known = Facts(tuple((label, text) for label, text in facts if text))
        return View(title, (known, Sentences(tuple(map(str, self.findings)), ".findings")))

    def measured(self) -> str:
        """The measures as text, for views; those not computed yet are only named."""
        measures = self.measures
        known = measures.computed if isinstance(measures, DeferredMeasures) else measures
        values = ", ".join(f"{name} {cell(name, value)}" for name, value in known.items())
        later = [name for name in measures if name not in known]
        return values + (f"; {', '.join(later)}: computed when first read" if later else "")


class DeferredMeasures(Mapping[str, float]):
    """Measures, some of which are computed when they are first read because they take long.

    Parameters
    ----------
    known : mapping of str to float
    deferred : mapping of str to callable
        For each deferred measure, a function without arguments that computes it.

    Examples
    --------
    >>> measures = DeferredMeasures({"evaluations": 25.0}, {"pareto_k": lambda: 0.3})
    >>> list(measures), measures.computed
    (['evaluations', 'pareto_k'], {'evaluations': 25.0})
    >>> measures["pareto_k"], measures.computed
    (0.3, {'evaluations': 25.0, 'pareto_k': 0.3})
    """

    def __init__(self, known: Mapping[str, float], deferred: Mapping[str, Callable[[], float]]) -> None:
        self._computed, self._deferred = dict(known), dict(deferred)

    @property
    def computed(self) -> dict[str, float]:
        """The measures that are available without further computation."""
        return dict(self._computed)

    def __getitem__(self, name: str) -> float:
        if name not in self._computed:
            self._computed[name] = self._deferred[name]()
        return self._computed[name]

    def __contains__(self, name: object) -> bool:
        return name in self._computed or name in self._deferred

    def __iter__(self) -> Iterator[str]:
        return iter({**self._computed, **self._deferred})

    def __len__(self) -> int:
        return len({**self._computed, **self._deferred})

    def __repr__(self) -> str:
        later = [name for name in self if name not in self._computed]
        return f"{self._computed!r}" + (f" and, when first read, {', '.join(later)}" if later else "")

    def __reduce__(self) -> tuple[object, ...]:
        # Files and other processes get the numbers, since the functions hold arrays of compiled code.
        return (dict, (dict(self),))


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, hierlogit, NumPy, xarray and those of `packages` that are installed."""
    import platform

    by_package = {"python": platform.python_version()}
    for package in ("hierlogit", "numpy", "xarray", *packages):
        installed = _installed_version(package)
        if installed is not None:
            by_package[package] = installed
    return by_package


@cache
def _installed_version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
