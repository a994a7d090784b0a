"""Ends in the middle of steps: what was cut off stays ``running``, what came to its end did so."""

import signal

import pytest

from tests.integration.processes.site import Site

CUT_OFF = {"in the middle", "further in"}


def running(site: Site) -> set[str]:
    """The steps that were cut off, as the programs tell it."""
    return {key for (_, key), step in site.told().items() if step.possible == {"running"}}


@pytest.mark.parametrize(
    ("way", "code"),
    [("os_exit", 9), ("terminate", -signal.SIGTERM), ("abort", -signal.SIGABRT)],
    ids=["os._exit", "SIGTERM", "abort"],
)
def test_steps_in_which_a_process_dies_at_once_stay_running(site: Site, way: str, code: int) -> None:
    site.run_app("ending", way, code=code)
    assert running(site) == CUT_OFF
    site.check()


def test_steps_in_which_a_process_becomes_another_program_stay_running(site: Site) -> None:
    site.run_app("ending", "replace")
    assert running(site) == CUT_OFF
    site.check()


@pytest.mark.parametrize(
    ("way", "code"), [("exit_with_an_error", 3), ("interrupt", -signal.SIGINT)], ids=["sys.exit", "SIGINT"]
)
def test_steps_that_an_exception_ends_are_errors(site: Site, way: str, code: int) -> None:
    site.run_app("ending", way, code=code)
    assert running(site) == set()
    site.check()


def test_steps_of_a_function_that_runs_at_exit_are_there(site: Site) -> None:
    site.run_app("ending", "record_at_exit")
    ended = {key for (_, key), step in site.told().items() if step.possible == {"success"}}
    assert {"registered before configure()outer", "registered after configure()outer"} <= ended
    site.check()


def test_the_step_of_a_daemon_thread_stays_running(site: Site) -> None:
    site.run_app("ending", "leave_a_daemon_thread")
    assert running(site) == {"of a daemon thread"}
    site.check()
