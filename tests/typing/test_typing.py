"""The public surface as type checkers see it."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import failpath_otel

ROOT = Path(__file__).parents[2]
SURFACE = Path(__file__).with_name("surface.py")

WRONG = {
    "a flow key that is no string": "failpath.run(1)",
    "a step key that is no string": "run.step(1)",
    "a function that takes an argument": "run.step('x', lambda number: number)",
    "a value instead of a function": "run.step('x', 5)",
    "the type of a value": "text: str = run.step('x', lambda: 1)",
    "the type of a decorated function": "decorated('text')",
    "headers that are a number": "failpath.run_from_headers(17)",
    "an unknown option": "failpath_otel.configure(colour='red')",
    "metadata that is no mapping": "run.step('x', metadata=['a'])",
    "a record without a status": "failpath.record_step(flow_key='a', run_id='b', step_key='c')",
    "a time that is a text": (
        "failpath.record_step(flow_key='a', run_id='b', step_key='c', status='error', timestamp='now')"
    ),
}
HEAD = """
import failpath_otel

failpath = failpath_otel.configure(project_key="fp_project_xxx")
run = failpath.run("checkout")


@run.step("x")
def decorated(number: int) -> int:
    return number


"""
Check = Callable[[Path], tuple[int, str]]


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def output_of(*command: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(params=["mypy", "pyright"])
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Check:
    checker: str = request.param
    if not installed(checker):
        pytest.skip(f"{checker} is not installed")
    if checker == "mypy":
        # A cache of its own, because two processes must not write the same one.
        return lambda file: output_of("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(file))
    return lambda file: output_of("pyright", "--pythonpath", sys.executable, str(file))


@pytest.mark.process
def test_the_whole_surface_has_the_types_that_it_should(check: Check) -> None:
    code, output = check(SURFACE)

    assert code == 0, output


@pytest.mark.process
def test_every_wrong_use_is_an_error_on_its_own_line(check: Check, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(HEAD + "".join(line + "\n" for line in WRONG.values()))
    first = HEAD.count("\n") + 1

    code, output = check(wrong)

    assert code == 1, output
    missed = [name for number, name in enumerate(WRONG, first) if f"wrong.py:{number}:" not in output]
    assert missed == [], output
    assert not [number for number in range(1, first) if f"wrong.py:{number}:" in output], output


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(failpath_otel.__file__).with_name("py.typed").is_file()
