"""What holds for every set of cluster columns: their order and how they are related are found from the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlogit.building.plan import Plan, Structure

#: Each example makes a model, or several.
EXAMPLES = 25 if settings.default.max_examples <= 100 else 500
#: Names of cluster columns, from the outermost on.
NAMES = ("region", "school", "class")


@st.composite
def nested_rows(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of regions, schools in them and classes in these, with labels that are unique; at least two of each."""
    sizes = draw(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=2, max_size=4))
    rows = [
        (region, f"{region}.{school}", f"{region}.{school}.{group}")
        for region, schools in enumerate(sizes)
        for school, classes in enumerate(schools)
        for group in range(classes)
        for _ in range(2)
    ]
    frame = pd.DataFrame(rows, columns=list(NAMES))
    order = draw(st.permutations(range(len(frame))))
    return frame.iloc[list(order)].reset_index(drop=True).assign(y=np.arange(len(frame)) % 2)


def plan_of(frame: pd.DataFrame, clusters: list[str]) -> Plan:
    return Plan.of("y ~ 1", frame, clusters, missing="drop", collinear="drop", namespace=None)


@settings(max_examples=EXAMPLES)
@given(nested_rows(), st.permutations(NAMES))
def test_nested_levels_are_found_and_ordered_whatever_their_order_in_the_call(
    frame: pd.DataFrame, given: list[str]
) -> None:
    plan = plan_of(frame, given)
    counts = [len(group.levels) for group in plan.levels]
    assert counts == sorted(counts)
    for outer, inner in (("region", "school"), ("school", "class"), ("region", "class")):
        same = frame[outer].nunique() == frame[inner].nunique()
        (relation,) = (one for one in plan.relations if {one.factor, one.other} == {outer, inner})
        assert relation.kind == ("same" if same else "nested")
        if not same:
            assert (relation.factor, relation.other) == (inner, outer)
            names = [group.name for group in plan.levels]
            assert names.index(outer) < names.index(inner)


@settings(max_examples=EXAMPLES)
@given(nested_rows(), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_a_factor_is_crossed_once_two_of_its_clusters_meet_two_of_another(
    frame: pd.DataFrame, markers: int, seed: int
) -> None:
    frame = frame.assign(marker=np.random.default_rng(seed).integers(0, markers, len(frame)))
    if frame["marker"].nunique() < 2:
        return
    plan = plan_of(frame, ["school", "marker"])
    (relation,) = plan.relations
    pairs = frame[["school", "marker"]].drop_duplicates()
    several = [bool(pairs[name].duplicated().any()) for name in ("school", "marker")]
    expected = "crossed" if all(several) else "nested" if any(several) else "same"
    assert relation.kind == expected
    assert relation.combinations == len(pairs)


@settings(max_examples=EXAMPLES)
@given(nested_rows())
def test_the_formula_of_every_structure_has_its_levels(frame: pd.DataFrame) -> None:
    plan = plan_of(frame, ["class", "region"])
    names = tuple(group.name for group in plan.levels)
    for count in range(len(names) + 1):
        model = plan.model(Structure(levels=names[:count]))
        assert tuple(group.name for group in model.design.groups) == names[:count]
        assert model.design.table.rows.equals(plan.design.table.rows)
