"""How an estimate came about: engine, status, findings, settings, versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .findings import Finding, Status


@dataclass(frozen=True, repr=False)
class Diagnostics:
    """How an estimate came about.

    Attributes
    ----------
    engine : str
        Name of the engine: ``"NUTS"``.
    exact : bool
        Whether the draws come from the posterior itself (up to Monte-Carlo error) and not from an approximation.
    status : {"converged", "check", "failed", "interrupted"}
        ``"check"`` if a finding asks for a look.
    findings : tuple of Finding
        What was found, with advice.
    settings : mapping
        The engine's options.
    seed : int or None
        Repeats the run exactly with the same versions.
    measures : mapping of str to float
        Convergence measures: ``max_rhat``, ``min_ess_bulk``, ``divergences``, ...
    seconds : mapping of str to float
        Wall time by stage.
    versions : mapping of str to str
        Versions of this package and of what did the work.
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

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        measures = ", ".join(f"{name} {value:.4g}" for name, value in self.measures.items())
        lines = [
            f"{self.engine} ({'exact' if self.exact else 'approximate'}), {self.status}",
            f"  settings  {settings}",
            f"  seed      {self.seed}",
            f"  measures  {measures}",
            f"  seconds   {', '.join(f'{name} {value:.1f}' for name, value in self.seconds.items())}",
        ]
        return "\n".join(lines + [f"  {finding}" for finding in self.findings])


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, this package and others that are installed."""
    import platform

    found = {"python": platform.python_version()}
    for package in ("hierlogit", "numpy", "xarray", *packages):
        installed = _installed_version(package)
        if installed is not None:
            found[package] = installed
    return found


@cache
def _installed_version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
