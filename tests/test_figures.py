"""The figures of the last release, and how those of a tree are compared with them (``bench/figures.py``)."""

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from bench import figures
from bench.figures import Count, Figures
from bench.figures import _digest as digest
from bench.sink import BenchError

THEN = Figures(
    package="0.1.0",
    python="3.13.0",
    build="GCC 12.2.0, bb28b3b9",
    sdk="1.45.1",
    machine="x86_64",
    instructions={"bare": 200_000, "journal": 240_000, "none": 80_000},
)


HERE = msgspec.structs.replace(THEN, python="3.13.9", instructions={})


def now(**counted: int) -> Figures:
    """Figures of the same Python, with other counts."""
    return msgspec.structs.replace(HERE, instructions={**THEN.instructions, **counted})


def counting(**counted: int) -> Count:
    """Counts what is asked for alone."""

    def count(rows: Iterable[str]) -> dict[str, int]:
        every = now(**counted).instructions
        return {name: every[name] for name in rows}

    return count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "figures.json"
    figures.store(THEN, path)
    return path


def test_a_step_that_takes_six_percent_more_fails_and_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main("--compare", counting(none=84_800), HERE, path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "MORE THAN 5%" in line] == ["none"]
    assert "+6.0%" in lines[-1]


@pytest.mark.parametrize("count", [83_900, 40_000])
def test_a_step_that_takes_less_than_five_percent_more_passes(path: Path, count: int) -> None:
    assert figures.main("--compare", counting(none=count), HERE, path) == 0


def test_what_takes_more_for_everything_changes_nothing(path: Path) -> None:
    slower = {name: count * 3 // 2 for name, count in THEN.instructions.items()}
    assert figures.main("--compare", counting(**slower), HERE, path) == 0


def test_a_row_that_is_counted_no_more_is_not_taken_for_one_that_has_not_grown(path: Path) -> None:
    with pytest.raises(BenchError, match="not compared: there is no row none any more"):
        figures.main("--compare", lambda _: {"bare": 200_000, "journal": 240_000}, HERE, path)


def never(_: Iterable[str]) -> dict[str, int]:
    """Counting takes minutes, and would be for nothing."""
    raise AssertionError


@pytest.mark.parametrize(
    "other", [{"python": "3.12.1"}, {"build": "Clang 19"}, {"sdk": "1.46.0"}, {"machine": "aarch64"}]
)
def test_without_figures_of_the_same_kind_nothing_is_compared_and_the_message_names_those_that_are_stored(
    path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, str]
) -> None:
    assert figures.main("--compare", never, msgspec.structs.replace(HERE, **other), path) == 2
    message = capsys.readouterr().err
    assert "nothing was compared" in message
    assert "Stored are: Python 3.13 (GCC 12.2.0, bb28b3b9), OpenTelemetry SDK 1.45.1, x86_64." in message


def test_stored_figures_replace_those_of_the_same_kind_alone(path: Path) -> None:
    other = msgspec.structs.replace(THEN, python="3.12.1")
    figures.store(other, path)
    figures.store(now(none=70_000), path)
    assert figures.stored(path) == {THEN.key(): now(none=70_000), other.key(): other}


def test_fewer_rows_than_are_stored_do_not_replace_them(path: Path) -> None:
    with pytest.raises(BenchError, match="not stored: none would be lost"):
        figures.store(msgspec.structs.replace(THEN, instructions={"bare": 1, "journal": 2}), path)
    assert figures.stored(path) == {THEN.key(): THEN}


def test_the_repository_has_figures_whose_keys_are_theirs() -> None:
    stored = figures.stored()
    assert stored
    assert {key: kept.key() for key, kept in stored.items()} == {key: key for key in stored}
    assert all(kept.multiples().keys() >= {"journal", "none"} for kept in stored.values())


def test_json_is_what_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main("--json", lambda _: THEN.instructions, msgspec.structs.replace(THEN, instructions={})) == 0
    assert msgspec.convert(json.loads(capsys.readouterr().out), type=Figures) == THEN


def test_where_python_is_installed_is_no_part_of_how_it_was_built() -> None:
    assert digest("'--prefix=/here' --with-lto") == digest("--with-lto '--prefix=/there'") != digest("'--prefix=/here'")
