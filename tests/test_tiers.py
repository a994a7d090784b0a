"""What ``--tier`` runs, what it says that it left out, and what becomes of a fast test that starts a process."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.tiers import has_slow_tests

ROOT: Final = Path(__file__).parents[1]
CONFTEST: Final = "from tests.conftest import pytest_addoption, pytest_configure"
FIXTURES: Final = """
import os, subprocess, sys
import pytest

@pytest.fixture
def receiver():
    return 1

@pytest.fixture
def built_on_it(receiver):
    return 2
"""
SUITE: Final = (
    FIXTURES
    + """
def test_fast(): pass
def test_server(receiver): pass
def test_server_by_another_fixture(built_on_it): pass
@pytest.mark.process
def test_program(): subprocess.run([sys.executable, "-c", "pass"])
@pytest.mark.whole
def test_whole(receiver): pass
@pytest.mark.browser
def test_page(receiver): pass
@pytest.mark.storm
def test_storm(receiver): pass
"""
)

pytestmark = pytest.mark.process  # pytest itself, because its hooks are what this is about


def run_pytest(folder: Path, code: str, *arguments: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(code)
    options = ["-v", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder), *arguments, str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    return done.returncode, done.stdout


def run_of(said: str) -> set[str]:
    return {line.split("::")[1].split()[0] for line in said.splitlines() if "PASSED" in line and "::" in line}


@pytest.mark.parametrize(
    ("tier", "run"),
    [
        ("fast", {"fast", "whole"}),
        ("rest", {"server", "server_by_another_fixture", "program", "page", "storm"}),
        ("storms", {"storm"}),
        ("all", {"fast", "whole", "server", "server_by_another_fixture", "program", "page", "storm"}),
    ],
)
def test_a_tier_has_the_tests_whose_fixtures_and_marks_put_them_there(tmp_path: Path, tier: str, run: set[str]) -> None:
    code, said = run_pytest(tmp_path, SUITE, "--tier", tier)
    assert code == 0, said
    assert run_of(said) == {f"test_{name}" for name in run}
    assert ("left out" in said) == (tier == "fast")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["in one process", "in workers"])
def test_what_was_left_out_is_counted_by_tier_with_the_command_for_it(tmp_path: Path, workers: tuple[str, ...]) -> None:
    _, said = run_pytest(tmp_path, SUITE, "--tier", "fast", *workers)
    assert "left out by --tier fast: 5 tests (3 process, 1 browser, 1 storm); `make test-all`" in said


def test_what_is_asked_for_and_is_in_another_tier_is_said_to_be_there(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, SUITE, "--tier", "fast", "-k", "storm")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "nothing that was asked for is in the tier `fast`" in said
    assert "left out by --tier fast: 1 tests (1 storm); `make test-all`" in said


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, '-c', 'pass'])",
        "os.fork() or os._exit(0)",
        "os.system('true')",
        "os.posix_spawn(sys.executable, [sys.executable, '-c', 'pass'], {})",
    ],
)
@pytest.mark.parametrize("caught", [False, True], ids=["seen", "caught"])
def test_a_fast_test_that_starts_a_process_fails(tmp_path: Path, start: str, caught: bool) -> None:
    body = f"try:\n        {start}\n    except BaseException: pass" if caught else start
    code, said = run_pytest(tmp_path, f"import os, subprocess, sys\ndef test_fast():\n    {body}\n")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "a test that is not marked as one that starts a process" in said


def test_a_fast_test_may_fork_where_its_mark_says_why_and_do_nothing_else(tmp_path: Path) -> None:
    fork = "import os, subprocess, sys, pytest\n@pytest.mark.forks('why')\ndef test_it():\n"
    assert run_pytest(tmp_path, fork + "    os.fork() or os._exit(0)\n")[0] == 0
    assert run_pytest(tmp_path, fork + "    subprocess.run([sys.executable, '-c', 'pass'])\n")[0] == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@pytest.mark.process\ndef test_a() -> None: ...", True),
        ("pytestmark = pytest.mark.storm", True),
        ("async def test_a(\n    tmp_path: Path, browsing: Browsing\n) -> None: ...", True),
        ("@pytest.fixture\ndef own(receiver: Receiver) -> str: ...", True),
        ("def test_a(tmp_path: Path) -> None:\n    receiver = node = process()", False),
    ],
)
def test_files_without_slow_tests_are_known_by_their_text(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "test_a.py").write_text(text)
    assert has_slow_tests(tmp_path / "test_a.py") is found
