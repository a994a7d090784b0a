"""A parser of one command: its examples, and errors that show the usage of the command that was asked for."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, cast

from failpath_otel.cli.printable import printable

_OPTION: Final = re.compile(r"--[a-z][a-z-]*")


class CommandParser(argparse.ArgumentParser):
    """A parser of a command, or of a group of commands, whose parsers are of this class too.

    Args:
        examples: what an example does, and its command line. ``--help`` shows them below all else.
    """

    def __init__(self, *args: Any, examples: Mapping[str, str] | None = None, **options: Any) -> None:  # noqa: ANN401 - those of argparse
        self.examples: Final = dict(examples or {})
        self._commands: Mapping[str, CommandParser] = {}
        super().__init__(*args, **options)

    @property
    def commands(self) -> Mapping[str, "CommandParser"]:
        """The parsers of the commands below this one, by name, in the order in which they were added."""
        return self._commands

    @property
    def arguments(self) -> list[argparse.Action]:
        """All arguments but the name of a command, in the order in which they were added."""
        # Private, because argparse has no other list of them; `tests/test_private_names.py` watches it.
        return [action for action in self._actions if action.choices is not self._commands]

    def walk(self) -> Iterator["CommandParser"]:
        """Yield this parser, and those of all commands below it, each before its own commands."""
        yield self
        for parser in self._commands.values():
            yield from parser.walk()

    def add_subparsers(self, **options: Any) -> Any:  # noqa: ANN401 - those of argparse, and its class, which is private
        """Add commands; as :mod:`argparse` does."""
        action: Any = super().add_subparsers(**options)
        self._commands = cast("Mapping[str, CommandParser]", action.choices)
        return action

    def parse_known_args(self, args: Any = None, namespace: Any = None, **options: Any) -> Any:  # noqa: ANN401 - those of argparse
        """Parse the arguments, of which none may be unknown: otherwise a command would leave them to its group."""
        given: Sequence[str] = sys.argv[1:] if args is None else list(args)
        if self._commands:
            self._check_command(given)
        parsed, unknown = super().parse_known_args(given, namespace, **options)
        if unknown:
            self.error(self._unknown(unknown))
        return parsed, unknown

    def format_help(self, *args: Any, **options: Any) -> str:  # noqa: ANN401 - newer versions of argparse pass some
        """Return the text of ``--help``."""
        return super().format_help(*args, **options) + self._format_examples()

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {printable(message)}\n")

    def _check_command(self, given: Sequence[str]) -> None:
        word = next((argument for argument in given if not argument.startswith("-")), None)
        if word is None or word in self._commands:
            return
        close = _closest(word, self._commands)
        hint = f"the commands are {', '.join(self._commands)}" if close is None else f"did you mean {close!r}?"
        self.error(f"unknown command {word!r}; {hint}")

    def _unknown(self, arguments: Sequence[str]) -> str:
        text = f"unrecognized arguments: {' '.join(arguments)}"
        option = next((argument.partition("=")[0] for argument in arguments if argument.startswith("--")), None)
        close = None if option is None else _closest(option, _OPTION.findall(self.format_usage()))
        return text if close is None else f"{text}; did you mean {close}?"

    def _format_examples(self) -> str:
        if not self.examples:
            return ""
        return "\nexamples:\n" + "\n".join(f"  # {what}\n  {command}\n" for what, command in self.examples.items())


def _closest(word: str, known: Iterable[str]) -> str | None:
    # Imported on use: most command lines have no mistake.
    from difflib import get_close_matches  # noqa: PLC0415

    return next(iter(get_close_matches(word, [*known], n=1)), None)
