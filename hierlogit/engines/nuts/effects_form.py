"""Whether the effects of the factor with the most columns are sampled, or integrated out and drawn afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import EngineError
from ...fits.findings import Finding
from ...validation import number_of

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock
    from ...model_spec import ModelSpec

#: With fewer rows for each level, on average, the data tell less of an effect than its prior does. Sds, effects and
#: fixed effects then move together, in a funnel that chains cross slowly.
FEW_ROWS = 3.0


def form_of_effects(model: ModelSpec, asked: str, backend: str) -> tuple[str, tuple[Finding, ...]]:
    """What is done with the effects, ``"sampled"`` or ``"integrated"``, and a note if that was chosen.

    Parameters
    ----------
    model : Model
    asked : {"auto", "sampled", "integrated"}
    backend : str

    Raises
    ------
    EngineError
        If the effects cannot be integrated out as was asked.
    """
    if asked == "sampled":
        return "sampled", ()
    obstacle = obstacle_to_integration(model, backend)
    if asked == "integrated":
        if obstacle:
            raise EngineError(
                f"NUTS: effects='integrated' {obstacle}. Leave effects out, and what is possible is chosen."
            )
        return "integrated", ()
    if obstacle or _rows_per_level(model) >= FEW_ROWS:
        return "sampled", ()
    group = integrated_group(model)
    note = Finding(
        "effects_integrated",
        "note",
        f"'{group.name}' has {_rows_per_level(model):.3g} rows for each of its "
        f"{number_of(len(group.levels), 'level')}: their effects were integrated out by quadrature, and drawn "
        "afterwards from their exact conditional distribution.",
        "Nothing needs to be done: the posterior is the same, and its draws are less correlated. "
        "hl.NUTS(effects='sampled') samples the effects with the parameters.",
    )
    return "integrated", (note,)


def integrated_group(model: ModelSpec) -> GroupBlock:
    """The grouping factor whose effects can be integrated out: the one with the most columns."""
    return model.design.groups[model.arrangement.factors[0]]


def obstacle_to_integration(model: ModelSpec, backend: str) -> str:
    """Why effects cannot be integrated out; empty if they can."""
    if backend != "native":
        return f"needs backend='native', not {backend!r}"
    if not model.design.groups:
        return "needs random effects, of which this model has none"
    if model.overdispersed:
        return "is for binomial outcomes, and those of this model are beta-binomial"
    group = integrated_group(model)
    if len(group.effects) > 1:
        return (
            f"takes one effect for each level, and '{group.name}', the factor with the most effects, has "
            f"{len(group.effects)}"
        )
    return ""


def _rows_per_level(model: ModelSpec) -> float:
    """Rows for each level, on average."""
    return model.design.n_observations / len(integrated_group(model).levels)
