"""Tests of `hierlogit.late_imports`, each in a process that has not imported the package."""

from __future__ import annotations

import subprocess
import sys


def new_process(code: str) -> list[str]:
    """What a new process prints."""
    start = "import sys\nfrom hierlogit.late_imports import put_off\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_packages_are_imported_when_they_are_used() -> None:
    code = (
        "with put_off({'dbm': ('whichdb',)}):\n    import dbm\n    from dbm import whichdb\n"
        "print('dbm' in sys.modules, whichdb('no file'), 'dbm' in sys.modules, dbm.error is sys.modules['dbm'].error)"
    )
    assert new_process(code) == ["False", "None", "True", "True"]


def test_other_threads_get_the_package_meanwhile() -> None:
    code = (
        "from threading import Thread\n"
        "def use():\n    from dbm import whichdb\n    import dbm.dumb\n    print(whichdb.__name__, dbm.dumb.__name__)\n"
        "with put_off({'dbm': ()}):\n    other = Thread(target=use)\n    other.start()\n    other.join()\n"
        "import dbm\nprint(type(dbm).__name__, dbm.dumb.__name__)"
    )
    assert new_process(code) == ["whichdb", "dbm.dumb", "module", "dbm.dumb"]


def test_packages_that_are_there_stay() -> None:
    code = "import dbm as there\nwith put_off({'dbm': ()}):\n    import dbm\nprint(dbm is there is sys.modules['dbm'])"
    assert new_process(code) == ["True"]


def test_a_package_that_is_not_installed_is_missed_when_it_is_used() -> None:
    code = (
        "with put_off({'no_such_package': ()}):\n    import no_such_package\n"
        "try:\n    no_such_package.anything\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    )
    assert new_process(code) == ["no_such_package"]


def test_objects_are_imported_when_they_are_read() -> None:
    code = (
        "with put_off({'calendar': ('TextCalendar', 'month_name')}):\n"
        "    from calendar import TextCalendar, month_name\n"
        "print('calendar' in sys.modules, month_name.format, 'calendar' in sys.modules, TextCalendar(6).firstweekday)"
    )
    assert new_process(code) == ["False", "%B", "True", "6"]


def test_smoothed_weights_need_no_distributions_of_scipy() -> None:
    code = (
        "import numpy as np\nfrom hierlogit.fits.psis import psis\n"
        "psis(np.random.default_rng(1).normal(size=1000))\nprint('scipy.stats' in sys.modules)\n"
        "import arviz_stats\narviz_stats.rhat(np.zeros((2, 9)))\nprint('scipy.stats' in sys.modules)"
    )
    assert new_process(code) == ["False", "True"]


def test_packages_inside_of_others_are_put_off_with_them() -> None:
    code = (
        "with put_off({'concurrent': (), 'concurrent.futures': ('Future',)}):\n"
        "    from concurrent.futures import Future\n"
        "print('concurrent' in sys.modules, Future().done(), 'concurrent.futures' in sys.modules)"
    )
    assert new_process(code) == ["False", "False", "True"]
