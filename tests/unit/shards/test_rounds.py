"""Rounds of fits of shards: kept in a file, and shown."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hierlogit as hl
from hierlogit import progress
from hierlogit.errors import StudyError
from hierlogit.shards.objective import Sums
from hierlogit.shards.opened import OfShard
from hierlogit.shards.rounds import Rounds
from hierlogit.stored_record import write_record

FORMULA = "y ~ week_gt2 + trt + (1 | ID)"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> hl.Shards:
    rows = hl.datasets.load("bacteria")
    return hl.Shards.write(rows, tmp_path_factory.mktemp("bacteria") / "shards", group="ID", shards=3)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the shards that are evaluated."""
    numbers: list[int] = []
    run = OfShard.__call__

    def counted(task: OfShard[object], number: int) -> object:
        numbers.append(number)
        return run(task, number)

    monkeypatch.setattr(OfShard, "__call__", counted)
    return numbers


def interrupt(monkeypatch: pytest.MonkeyPatch, last: int) -> Callable[[], None]:
    """Interrupt a fit in a round; returns a function that ends this."""
    evaluate, rounds = Sums.evaluate, [0]

    def interrupted(sums: Sums, nodes: int, psi: np.ndarray) -> tuple[float, np.ndarray, bool]:
        rounds[0] += 1
        if rounds[0] == last:
            raise KeyboardInterrupt
        return evaluate(sums, nodes, psi)

    monkeypatch.setattr(Sums, "evaluate", interrupted)
    return lambda: monkeypatch.setattr(Sums, "evaluate", evaluate)


@pytest.mark.parametrize("engine", ["laplace", "map"])
def test_an_interrupted_fit_goes_on_to_the_same_bits(
    shards: hl.Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: list[int], engine: str
) -> None:
    store = tmp_path / "fit.json"
    model = shards.model(FORMULA)
    model.fit(engine)  # has the shards in memory
    evaluated.clear()
    whole = model.fit(engine)
    of_whole = len(evaluated)
    undo = interrupt(monkeypatch, 9)
    with pytest.raises(KeyboardInterrupt, match=r"in round 9.*fit\.json has its rounds: repeat the call with it"):
        model.fit(engine, store=store)
    undo()
    assert of_whole + 20 < len(evaluated) < 2 * of_whole
    resumed = model.fit(engine, store=store)
    assert len(evaluated) == 2 * of_whole
    assert resumed.estimate.log_likelihood == whole.estimate.log_likelihood
    np.testing.assert_array_equal(resumed.estimate.vector, whole.estimate.vector)
    np.testing.assert_array_equal(resumed.estimate.covariance, whole.estimate.covariance)
    again = shards.model(FORMULA).fit(engine, store=store)
    assert len(evaluated) == 2 * of_whole
    np.testing.assert_array_equal(again.estimate.vector, whole.estimate.vector)


def test_rounds_that_a_search_does_not_ask_for_are_replaced(
    shards: hl.Shards, tmp_path: Path, evaluated: list[int]
) -> None:
    model, store = shards.model(FORMULA), tmp_path / "fit.json"
    whole = model.fit("laplace", store=store)
    content = json.loads(store.read_text())
    rounds = [dict(one) for one in content["rounds"]]
    rounds[10]["asked"] = "something else"
    write_record(store, content["format"], content["study"], {"rounds": rounds})
    evaluated.clear()
    again = model.fit("laplace", store=store)
    assert evaluated
    np.testing.assert_array_equal(again.estimate.vector, whole.estimate.vector)
    assert json.loads(store.read_text())["rounds"] == content["rounds"]


def test_files_of_other_fits_and_damaged_ones_are_refused(
    shards: hl.Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, model = tmp_path / "fit.json", shards.model(FORMULA)
    undo = interrupt(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        model.fit("laplace", store=store)
    undo()
    two = hl.Shards.write(hl.datasets.load("bacteria"), tmp_path / "two", group="ID", shards=2)
    others: list[tuple[hl.results.ShardedModel, hl.AGQ | str, str]] = [
        (shards.model("y ~ week_gt2 + (1 | ID)"), "laplace", "formula"),
        (model, hl.AGQ(nodes=3), "engine"),
        (model, "map", "engine"),
        (two.model(FORMULA), "laplace", "shards"),
    ]
    for other, engine, what in others:
        with pytest.raises(StudyError, match=f"holds another study, with .*{what}"):
            other.fit(engine, store=store)
    content = store.read_text()
    for damaged, message in [
        (content.replace('"sums": [[', '"sums": [[1', 1), "is damaged"),
        (content[: len(content) // 2], "was not written by hierlogit"),
        (content.replace("rounds 1", "rounds 2", 1), "was not written by hierlogit"),
    ]:
        store.write_text(damaged)
        with pytest.raises(StudyError, match=message):
            model.fit("laplace", store=store)


def test_rounds_are_shown(
    shards: hl.Shards, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setattr(progress, "LINE_PAUSE", -1.0)
    with progress.lines_where_unwatched():
        fit = shards.model(FORMULA).fit("laplace")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Fitting shards")]
    of_rounds = [line for line in lines if not line.endswith(": 0 done")]
    assert all(", log-likelihood -" in line and ", gradient " in line for line in of_rounds)
    numbers = dict.fromkeys(int(line.removesuffix(" done").rpartition(" ")[2]) for line in lines)
    assert [*numbers] == [*range(1, int(fit.diagnostics.measures["evaluations"]) + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("formula", [FORMULA, "y ~ trt + (1 | ID) + (1 | week)"])
def test_a_fit_outlives_a_worker_of_a_dask_cluster(
    shards: hl.Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formula: str
) -> None:
    distributed = pytest.importorskip("distributed")
    alone, rounds = shards.model(formula), [0]
    whole, kind = alone.fit("laplace"), type(alone.__dict__["_sums"])
    evaluate = kind.evaluate
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        model = shards.model(formula, executor=client)

        def killing(sums: Sums, nodes: int, psi: np.ndarray) -> tuple[float, np.ndarray, bool]:
            rounds[0] += 1
            if rounds[0] == 5:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            return evaluate(sums, nodes, psi)

        monkeypatch.setattr(kind, "evaluate", killing)
        found = model.fit("laplace", executor=client)
    assert rounds[0] > 5
    assert found.estimate.log_likelihood == whole.estimate.log_likelihood
    np.testing.assert_array_equal(found.estimate.vector, whole.estimate.vector)
    np.testing.assert_array_equal(found.estimate.covariance, whole.estimate.covariance)


@pytest.mark.parametrize("stop", [4, 15])
def test_an_interrupted_fit_of_crossed_shards_goes_on_to_the_same_bits(
    shards: hl.Shards, tmp_path: Path, stop: int
) -> None:
    formula, store = "y ~ trt + (1 | ID) + (1 | week)", tmp_path / "fit.json"
    model = shards.model(formula)
    whole = model.fit("laplace", store=store)
    content = json.loads(store.read_text())
    write_record(store, content["format"], content["study"], {"rounds": content["rounds"][:stop]})
    resumed = shards.model(formula).fit("laplace", store=store)
    assert resumed.estimate.log_likelihood == whole.estimate.log_likelihood
    np.testing.assert_array_equal(resumed.estimate.vector, whole.estimate.vector)
    np.testing.assert_array_equal(resumed.estimate.covariance, whole.estimate.covariance)


def test_files_without_rounds_are_not_said_to_have_them(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path / "fit.json", {})
    assert rounds.stored == f"nothing of it is in {tmp_path / 'fit.json'} yet"
    rounds.result("value", 1, np.zeros(1), lambda: (np.ones(1),))
    assert rounds.stored.endswith("fit.json has its rounds: repeat the call with it")
