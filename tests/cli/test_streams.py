"""Standard streams that end early, are full or are closed: the command shows no traceback."""

import os
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import pytest

from failpath_otel.cli import parser
from failpath_otel.cli.main import main

FLOWS = '{"flows": [{"slug": "checkout", "nodes": []}]}'


@pytest.fixture
def types(tmp_path: Path) -> list[str]:
    flows = tmp_path / "flows.json"
    flows.write_text(FLOWS)
    return ["types", "--flows", str(flows), "--out", str(tmp_path / "keys.py")]


@pytest.fixture
def no_reader() -> Iterator[TextIOWrapper]:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        yield stream


def test_output_that_is_read_no_more_ends_the_command_with_its_own_code(
    types: list[str], no_reader: TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", no_reader)
    assert main(types) == 0
    no_reader.flush()  # as the interpreter does at its end


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_help_text_that_is_read_no_more_ends_the_command(
    argument: str, no_reader: TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", no_reader)
    assert main([argument]) == 0
    no_reader.flush()


def test_notes_that_are_read_no_more_do_not_end_the_command_with_a_traceback(
    types: list[str], no_reader: TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", no_reader)
    assert main([*types, "--check"]) == 1
    no_reader.flush()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device is Linux's")
def test_a_full_disk_is_named(
    types: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(types) == 1
    assert capsys.readouterr().err == "failpath-otel: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_is_closed_takes_what_is_written(
    name: str, types: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, name, None)
    try:
        assert main([*types, "--check"]) == 1
        assert main(types) == 0
    finally:
        getattr(sys, name).close()


def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(parser, "new_parser", interrupt)
    assert main(["runs", "--follow"]) == 130
