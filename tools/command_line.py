"""Write the commands into ``docs/reference/command-line.md``, as the parser has them.

Run it by ``python -m tools.command_line``.

What stands above the mark is written by hand, and stays. ``--check`` writes nothing, and exits with 1 where the page is
not as the parser has it.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from failpath_otel.cli.command_parser import CommandParser
from failpath_otel.cli.parser import new_parser

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "reference" / "command-line.md"
MARK: Final = "<!-- What follows is made by `python -m tools.command_line`. -->\n"

_NAME: Final = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*|[A-Z]+(?:_[A-Z]+)+)(?![\w`-])")


def page_of(parser: CommandParser, page: str) -> str:
    """Return the *page* with all that *parser* knows below the mark. Raise ``ValueError`` for one without the mark."""
    by_hand, mark, _ = page.partition(MARK)
    if not mark:
        msg = f"expected a page with the line {MARK!r}"
        raise ValueError(msg)
    return f"{by_hand}{mark}" + "".join(f"\n{part}\n" for command in parser.walk() for part in _parts(command))


def _parts(command: CommandParser) -> Iterator[str]:
    """Yield the paragraphs and blocks about one command."""
    yield f"{'#' * max(len(command.prog.split()), 2)} {command.prog}"
    yield _as_code(" ".join(part for part in (command.description, command.epilog) if part))
    arguments = [
        action
        for action in command.arguments
        if action.help != argparse.SUPPRESS and "--help" not in action.option_strings
    ]
    yield f"```sh\n{_usage(command, arguments)}\n```"
    if arguments:
        yield "\n".join(["| argument | meaning |", "|---|---|", *(_row(command, action) for action in arguments)])
    if command.commands:
        yield "\n".join(f"- [`{each.prog}`](#{each.prog.replace(' ', '-')})" for each in command.commands.values())
    if command.examples:
        examples = (f"# {what}\n{line}" for what, line in command.examples.items())
        yield "```sh\n" + "\n\n".join(examples) + "\n```"


def _usage(command: CommandParser, arguments: list[argparse.Action]) -> str:
    words = [command.prog]
    required = [action for action in arguments if action.option_strings and action.required]
    words += [_argument(action) for action in required]
    if any(action.option_strings and not action.required for action in arguments):
        words.append("[OPTIONS]")
    words += [_argument(action) for action in arguments if not action.option_strings]
    if command.commands:
        words.append("COMMAND")
    return " ".join(words)


def _row(command: CommandParser, action: argparse.Action) -> str:
    named = [*action.option_strings[:-1], _argument(action)] if action.option_strings else [_value(action)]
    meaning = _as_code((action.help or "") % {**vars(action), "prog": command.prog})
    cells = (text.replace("|", r"\|") for text in (", ".join(f"`{each}`" for each in named), meaning))
    return f"| {' | '.join(cells)} |"


def _as_code(text: str) -> str:
    """Return text in which options and names of variables are marked as code."""
    return _NAME.sub(r"`\1`", text)


def _argument(action: argparse.Action) -> str:
    """Return an argument as it is given: its last name, and its value."""
    name = action.option_strings[-1] if action.option_strings else ""
    value = _value(action)
    shapes = {0: "", "?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} [{value} ...]"}
    shape = value if action.nargs is None else shapes.get(action.nargs, value)
    return f"{name} {shape}".strip()


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def main() -> int:
    """Write the page, or look whether it is as it should be."""
    arguments = argparse.ArgumentParser(description="Writes the commands into docs/reference/command-line.md.")
    arguments.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the page is stale")
    is_check = arguments.parse_args().check
    before = PAGE.read_text(encoding="utf-8")
    after = page_of(new_parser(), before)
    if before != after and not is_check:
        PAGE.write_text(after, encoding="utf-8")
    return int(before != after and is_check)


if __name__ == "__main__":
    sys.exit(main())
