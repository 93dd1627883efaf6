"""Files appear whole, incomplete ones of killed processes go away, and a seal shows whether content has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hierlogit.errors import FileWarning
from hierlogit.whole_files import check_seal, digest_of_folder, seal, written_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from hierlogit.whole_files import written_whole
with written_whole(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    place.write_text("old")

    def interrupted() -> None:
        with written_whole(place) as partial:
            partial.write_text("half of the n")
            assert place.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert place.read_text() == "old"
    with written_whole(place) as partial:
        partial.write_text("new")
    assert place.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_what_a_killed_process_left_is_removed_and_named(tmp_path: Path) -> None:
    place = tmp_path / "page [1].html"
    subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    (left,) = tmp_path.iterdir()
    others = [tmp_path / name for name in ("page [1].html.txt", "page 1.html.7-1.partial", "page [1].html2.partial")]
    for other in others:
        other.write_text("another file")
    said = "removed .*partial, left behind when writing page .* was interrupted"
    with pytest.warns(FileWarning, match=said), written_whole(place) as partial:
        partial.write_text("new")
    assert not left.exists()
    assert place.read_text() == "new"
    assert all(other.exists() for other in others)


def test_files_of_running_processes_stay(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    running = tmp_path / f"page.html.{os.getppid()}-1.partial"
    running.write_text("being written")
    with written_whole(place) as first, written_whole(place) as second:
        first.write_text("first")
        second.write_text("second")
    assert running.exists()
    assert place.read_text() == "first"


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    place = tmp_path / "page.html"

    def write(k: int) -> None:
        with written_whole(place) as partial:
            partial.write_text(str(k) * 10_000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert len(set(place.read_text())) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.nc"
    xr.Dataset({"a": ("x", np.arange(500.0))}).to_netcdf(path, engine="h5netcdf")
    seal(path)
    return path


def test_a_sealed_file_is_read_as_before(sealed: Path) -> None:
    check_seal(sealed)
    assert xr.load_dataset(sealed, engine="h5netcdf")["a"].values.tolist() == list(range(500))


def test_every_change_is_noticed(sealed: Path) -> None:
    whole = sealed.read_bytes()
    for at in np.random.default_rng(1).integers(0, len(whole), 300):
        sealed.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="cut off|changed"):
            check_seal(sealed)


def test_files_that_are_cut_off_are_noticed(sealed: Path) -> None:
    whole = sealed.read_bytes()
    for size in [0, 1, 40, 56, len(whole) // 2, len(whole) - 84, len(whole) - 82, len(whole) - 1]:
        sealed.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="cut off"):
            check_seal(sealed)
    sealed.write_bytes(whole[:-4096] + bytes(4096))
    with pytest.raises(ValueError, match="cut off"):
        check_seal(sealed)


@pytest.mark.parametrize("version", ["earliest", "v110"])
def test_a_file_of_another_program_is_taken_if_it_is_complete(version: str, tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "numbers.h5"
    with h5py.File(path, "w", libver=(version, "v112")) as file:
        file["a"] = np.arange(500.0)
    check_seal(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="cut off"):
        check_seal(path)


def test_the_digest_of_a_folder_is_that_of_its_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/1", "a/2", "b", "c"):
        (tmp_path / name).write_text(name)
    before = digest_of_folder(tmp_path, ["a", "b"])
    (tmp_path / "c").write_text("not looked at")
    assert digest_of_folder(tmp_path, ["a", "b"]) == before
    (tmp_path / "a/1").rename(tmp_path / "a/3")
    assert digest_of_folder(tmp_path, ["a", "b"]) != before
