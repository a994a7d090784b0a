"""What the command line says of itself: help with examples, mistakes, versions."""

import re
import shlex
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from failpath_otel._version import __version__
from failpath_otel.cli.command_parser import CommandParser
from failpath_otel.cli.main import main
from failpath_otel.cli.parser import new_parser
from failpath_otel.cli.versions import EXTRAS, versions
from tools import floors

PARSERS: Final = list(new_parser().walk())
COMMANDS: Final = {parser.prog.removeprefix("failpath-otel").strip(): parser for parser in PARSERS}

each_parser: Final = pytest.mark.parametrize("parser", PARSERS, ids=list(COMMANDS))


def _complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "command", "mistake"),
    [
        (["rnus"], "", "unknown command 'rnus'; did you mean 'runs'?"),
        (["zzz"], "", "unknown command 'zzz'; the commands are local, gateway, "),
        (["a\x1b[2J"], "", r"unknown command 'a\x1b[2J'; the commands are "),
        (["--nope"], "", "the following arguments are required: COMMAND"),
        (["runs", "--limt"], " runs", "unrecognized arguments: --limt; did you mean --limit?"),
        (["runs", "--limt=5", "-q"], " runs", "unrecognized arguments: --limt=5 -q; did you mean --limit?"),
        (["runs", "--qqq"], " runs", "unrecognized arguments: --qqq"),
        (["runs", "a", "b\x1b[2J"], " runs", r"unrecognized arguments: b\x1b[2J"),
        (["rules"], " rules", "the following arguments are required: COMMAND"),
        (["rules", "tri"], " rules", "unknown command 'tri'; did you mean 'try'?"),
        (
            ["rules", "try", "x", "--secnds=3"],
            " rules try",
            "unrecognized arguments: --secnds=3; did you mean --seconds?",
        ),
        (["drain", "--timeout", "x"], " drain", "argument --timeout: expected a number of seconds, got 'x'"),
    ],
)
def test_a_mistake_shows_the_usage_of_the_command_that_was_asked_for(
    arguments: list[str], command: str, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_, last = _complaint(arguments, capsys)
    assert first.startswith(f"usage: failpath-otel{command} [-h]")
    assert last.startswith(f"failpath-otel{command}: error: {mistake}")


@each_parser
def test_the_help_of_each_command_has_examples_that_it_takes(
    parser: CommandParser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parser.examples
    with pytest.raises(SystemExit) as caught:
        main([*parser.prog.split()[1:], "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for what, example in parser.examples.items():
        assert f"\n  # {what}\n  {example}\n" in shown
        for words in _command_lines(example):
            if "--help" not in words:
                new_parser().parse_args(words)
        assert len(example) < 100


def _command_lines(example: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of the command in an example, up to the next pipe, redirection or end."""
    for part in re.split(r"\$\(|\)|[|;&>]", example):
        before, found, words = part.partition("failpath-otel ")
        if found and re.fullmatch(r"[\s\w=:/.,-]*", before):
            yield shlex.split(words)


@each_parser
def test_the_description_of_each_command_begins_with_a_sentence(parser: CommandParser) -> None:
    first, dot, _ = (parser.description or "").partition(".")
    assert dot
    assert len(first) > 10
    for action in parser.arguments:
        assert action.help


def test_a_command_that_is_added_later_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="tool")
    group = parser.add_subparsers(dest="command", required=True)
    added = group.add_parser("add", help="add a thing", examples={"one": "tool add 1"})
    deeper = added.add_subparsers(dest="deeper").add_parser("more")
    deeper.add_argument("--loud")
    assert [each.prog for each in parser.walk()] == ["tool", "tool add", "tool add more"]
    assert [action.option_strings for action in deeper.arguments] == [["-h", "--help"], ["--loud"]]
    assert [action.dest for action in added.arguments] == ["help"]
    assert added.format_help().endswith("\nexamples:\n  # one\n  tool add 1\n")
    with pytest.raises(SystemExit):
        parser.parse_args(["add", "more", "--lout"])
    assert capsys.readouterr().err.endswith(
        "tool add more: error: unrecognized arguments: --lout; did you mean --loud?\n"
    )


def test_the_versions_that_matter_are_listed_each_on_a_line() -> None:
    installed = {"opentelemetry-api": "1", "opentelemetry-sdk": "2", "msgspec": "3", "requests": "4", "grpcio": "5"}
    asked = [
        "msgspec>=0.19",
        'grpcio>=1.66.2; extra == "grpc"',
        "starlette>=0.40; extra == 'local'",
        'tomli>=2; python_version < "3.11"',
        'pytest>=8; extra == "tests"',
    ]
    first, python, *lines = versions(installed.get, asked)
    assert first == f"failpath-otel {__version__}"
    assert python.startswith(f"Python {sys.version.split()[0]} (")
    assert lines == [
        "opentelemetry-api 1",
        "opentelemetry-sdk 2",
        "msgspec 3",
        "requests 4",
        "urllib3 is missing",
        "extra local: not installed (starlette missing)",
        "extra grpc: grpcio 5",
    ]
    assert set(EXTRAS) == set(floors.EXTRAS)


def test_the_versions_are_those_that_are_installed(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version  # noqa: PLC0415

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"\nmsgspec {version('msgspec')}\n" in out
    assert re.search(rf"^extra local: .*starlette {re.escape(version('starlette'))}", out, re.MULTILINE)
