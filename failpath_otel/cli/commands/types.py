"""``failpath-otel types``: makes the module of typed keys of the flows that a project declares."""

import argparse
import itertools
import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from failpath_otel.cli.commands.command import NewParser, counted, fail
from failpath_otel.cli.printable import printable
from failpath_otel.cli.writing.whole_file import write_whole
from failpath_otel.flows.default_path import DEFAULT_PATH

_EXAMPLE: Final = "shop/failpath_flows.py"
_CONFLICT: Final = "<<<<<<<"
"""How the mark of a merge conflict begins."""


def add_to(new_parser: NewParser) -> None:
    """Add the command."""
    parser = new_parser(
        "types",
        help="make a Python module of the keys in .failpath/flows.json, for type checkers and editors",
        description="Makes a Python module with the slugs and step keys of .failpath/flows.json as types and constants:"
        " with it, type checkers report keys that do not exist, and editors complete those that do. Commit the module."
        " --agents also writes a page for coding agents: how to instrument a flow, with these keys.",
        epilog="Exits with 0 if the module is up to date, with 1 if --check finds that it is not, and with 2 if a file"
        " cannot be used.",
        examples={
            "after each change of the declared flows": f"failpath-otel types --out {_EXAMPLE}",
            "in CI: is the module up to date?": f"failpath-otel types --out {_EXAMPLE} --check",
            "guidance for coding agents, too": f"failpath-otel types --out {_EXAMPLE} --agents AGENTS.md",
        },
    )
    parser.add_argument(
        "--flows", type=Path, default=DEFAULT_PATH, metavar="PATH", help=f"the declared flows; default: {DEFAULT_PATH}"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=f"the module, such as {_EXAMPLE}")
    parser.add_argument(
        "--agents", type=Path, metavar="PATH", help="also write a page for coding agents, such as AGENTS.md"
    )
    parser.add_argument(
        "--check", action="store_true", help="do not write anything, and exit with 1 if the module is stale or missing"
    )
    parser.set_defaults(action=_run)


class _UnusableError(Exception):
    """A file that is to be made cannot be read or written, or is another one."""


class _Made(NamedTuple):
    """A file that the command makes: how it begins, the hash of the flows after that, and what counts as the same."""

    path: Path
    option: str
    source: str
    mark: str
    keys: str
    same: Callable[[str, str], bool]
    above: tuple[str, ...]
    """How lines begin that may stand above the mark."""


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands read no flows, or read them otherwise.
    from failpath_otel.flows import agents_page, typed_module  # noqa: PLC0415
    from failpath_otel.flows.flows_file import FlowsFileError, read_flows  # noqa: PLC0415

    if arguments.agents is not None and os.path.realpath(arguments.agents) == os.path.realpath(arguments.out):
        return fail("--out and --agents name the same file", 2)
    try:
        flows = read_flows(arguments.flows)
        keys = typed_module.flows_hash(flows)
        module = typed_module.typed_module(flows)
        made = [_Made(arguments.out, "--out", module, typed_module.MARK, keys, _same, (_CONFLICT, "#"))]
        if arguments.agents is not None:
            page = agents_page.agents_page(flows)
            # There, "#" begins a heading, which the project may have added.
            made.append(_Made(arguments.agents, "--agents", page, agents_page.MARK, keys, str.__eq__, (_CONFLICT,)))
        count = f"{counted(len(flows), 'flow')}, {counted(sum(len(flow.nodes) for flow in flows), 'step')}"
        found = [_read(each) for each in made]
        for each, old in zip(made, found, strict=True):
            is_same = old is not None and each.same(old, each.source)
            if not is_same and arguments.check:
                return fail(_why_stale(arguments, each, old))
            if not is_same:
                _write(each.path, each.source)
            sys.stdout.write(f"{printable(str(each.path))}{' is up to date' if is_same else ''}: {count}\n")
    except (FlowsFileError, _UnusableError) as error:
        return fail(str(error), 2)
    return 0


def _why_stale(arguments: argparse.Namespace, made: _Made, found: str | None) -> str:
    command = ["failpath-otel", "types", "--flows", str(arguments.flows), "--out", str(arguments.out)]
    again = shlex.join([*command, *(["--agents", str(arguments.agents)] if arguments.agents else [])])
    if found is None:
        return f"{made.path} does not exist; this makes it: {again}"
    reason = "it was edited, or made by another version"
    if f"{made.mark}{made.keys}" not in found:
        reason = f"{arguments.flows} has changed since"
    return f"{made.path} is stale: {reason}; this makes it again: {again}"


def _read(made: _Made) -> str | None:
    """Return what is in a file that is to be made; ``None`` where there is none."""
    path = made.path
    other = f"name another file by {made.option}"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to read a device or a pipe may never end
            raise _UnusableError(f"{path} is not a regular file; {other}")
        found = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _UnusableError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if found.strip() and not _below(found, made.above).startswith(made.mark):
        raise _UnusableError(f"{path} was not made by this command, and is left as it is; {other}")
    return found


def _below(found: str, above: tuple[str, ...]) -> str:
    """Return a file from its first line on that is not empty, and does not begin as those do that may stand above."""
    lines = found.removeprefix("\ufeff").splitlines(keepends=True)
    return "".join(itertools.dropwhile(lambda line: not line.strip() or line.startswith(above), lines))


def _write(path: Path, source: str) -> None:
    try:
        write_whole(path, source)
    except OSError as error:
        raise _UnusableError(f"cannot write {path}: {error.strerror or error}") from error


def _same(found: str, source: str) -> bool:
    """Return whether both are the same but for comments and formatting, which are the project's own business."""
    import ast  # noqa: PLC0415 - as above

    try:
        return ast.dump(ast.parse(found)) == ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # of null bytes, and of what is nested too deep
        return False
