"""The public surface, and typed keys, as type checkers and an editor see them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import failpath_otel
from tests.typing.language_server import language_server
from tests.typing.project import KEYS_HEAD, WRONG, WRONG_KEYS, expected, make_project

COMMANDS: Final = {
    "mypy": ["surface.py", "wrong.py", "right_keys.py", "wrong_keys.py", "shop/failpath_flows.py"],
    "pyright": ["--pythonpath", sys.executable],
    "pyrefly": ["check", "--output-format", "min-text"],
}

EXPECTED: Final = {
    (file, line): what
    for file, source in (("wrong", WRONG), ("wrong_keys", WRONG_KEYS))
    for line, what in expected(source).items()
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path)
    return tmp_path


def skip_without(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")


@pytest.mark.process
@pytest.mark.parametrize("checker", COMMANDS)
def test_every_wrong_use_is_an_error_on_its_own_line_and_no_right_use_is_one(checker: str, project: Path) -> None:
    skip_without(checker)
    # One process for all files: most of its time it spends on what they import.
    done = subprocess.run(
        [sys.executable, "-m", checker, *COMMANDS[checker]],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    found = re.findall(r"(\w+)\.py:(\d+):.*?\berror\b|^ERROR (\w+)\.py:(\d+):", done.stdout, re.MULTILINE)
    places = {(file or other, int(line or at)) for file, line, other, at in found}
    assert [what for place, what in EXPECTED.items() if place not in places] == [], output
    assert places - EXPECTED.keys() == set(), output


@pytest.mark.process
def test_an_editor_completes_the_flows_and_the_steps_of_the_flow_of_the_run(project: Path) -> None:
    skip_without("pyright")
    begun = KEYS_HEAD + 'failpath.run("")\nrun.step("")\ncheckout.steps.\n'
    with language_server(project) as server:
        flows, steps, constants = (
            server.complete(project / "begun.py", begun, begun.index(before) + len(before))
            for before in ('\nfailpath.run("', '\nrun.step("', "\ncheckout.steps.")
        )
    assert {label for label in flows if label.startswith('"')} == {'"checkout"', '"delivery"', '"without-steps"'}
    assert {label for label in steps if label.startswith('"')} == {'"validate-cart"', '"charge-card"'}
    assert {label for label in constants if not label.startswith("_")} == {"validate_cart", "charge_card"}


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(failpath_otel.__file__).with_name("py.typed").is_file()
