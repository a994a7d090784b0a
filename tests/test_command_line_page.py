"""``docs/reference/command-line.md``: made from the parser, and true."""

import runpy
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from failpath_otel.cli.command_parser import CommandParser
from failpath_otel.cli.parser import new_parser
from failpath_otel.local.runs.view import RunView, StepView
from failpath_otel.options.variables import ENDPOINT_VARIABLES, GATEWAY_VARIABLE, LOCAL_VARIABLE
from tests.docs.pages import ROOT, read_page
from tools import command_line
from tools.command_line import MARK, PAGE, page_of

TOOL: Final = ROOT / "tools" / "command_line.py"


def test_the_page_is_as_the_parser_has_it_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENDPOINT_VARIABLES, LOCAL_VARIABLE, GATEWAY_VARIABLE, "COLUMNS"):
        monkeypatch.setenv(name, "48-is-no-default")
    page = PAGE.read_text(encoding="utf-8")
    assert page_of(new_parser(), page) == page, "python -m tools.command_line writes it again"


def test_a_command_that_is_added_is_on_the_page() -> None:
    parser = CommandParser(prog="tool", description="A tool.")
    group = parser.add_subparsers()
    added = group.add_parser("add", description="Adds | things.", examples={"one": "tool add 1"})
    added.add_argument("things", nargs="+", metavar="THING", help="what; default: THE_THINGS or --all")
    added.add_argument("-l", "--loud", action="store_true", help="by 50 %% louder")
    added.add_argument("--kind", choices=("a", "b"), required=True, default="a", help="of %(prog)s, %(default)s")
    added.add_argument("--old", help="==SUPPRESS==")
    text = page_of(parser, f"# By hand\n\n{MARK}what is stale\n")
    assert "stale" not in text
    assert text.startswith(f"# By hand\n\n{MARK}\n## tool\n")
    assert text.endswith(
        "\n## tool add\n\nAdds | things.\n\n```sh\ntool add --kind {a,b} [OPTIONS] THING [THING ...]\n```\n\n"
        "| argument | meaning |\n|---|---|\n"
        "| `THING` | what; default: `THE_THINGS` or `--all` |\n"
        "| `-l`, `--loud` | by 50 % louder |\n"
        "| `--kind {a,b}` | of tool add, a |\n\n"
        "```sh\n# one\ntool add 1\n```\n"
    )
    assert page_of(parser, text) == text


def test_a_page_without_the_mark_is_not_written_over() -> None:
    with pytest.raises(ValueError, match="expected a page with the line"):
        page_of(new_parser(), "# By hand\n")


def test_the_tool_writes_the_page_and_says_whether_it_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# By hand\n{MARK}")
    monkeypatch.setattr(command_line, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["command_line", "--check"])
    assert command_line.main() == 1
    assert page.read_text() == f"# By hand\n{MARK}"
    monkeypatch.setattr(sys, "argv", ["command_line"])
    assert command_line.main() == 0
    assert "## failpath-otel runs\n" in page.read_text()
    monkeypatch.setattr(sys, "argv", ["command_line", "--check"])
    assert command_line.main() == 0
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert caught.value.code == 0


@pytest.mark.parametrize(("heading", "kind"), [("field of a run", RunView), ("field of a step", StepView)])
def test_the_page_has_each_field_of_the_json(heading: str, kind: type[msgspec.Struct]) -> None:
    documented = [name for cells in read_page(PAGE).rows(heading) for name in cells[0].replace("`", "").split(", ")]
    assert sorted(documented) == sorted(field.encode_name for field in msgspec.structs.fields(kind))
