"""``failpath-otel types``: makes the module of typed keys of the flows that a project declares."""

import argparse
import itertools
import shlex
import stat
import sys
from pathlib import Path
from typing import Final

from failpath_otel.cli.commands.command import NewParser, counted, fail
from failpath_otel.cli.printable import printable
from failpath_otel.cli.writing.whole_file import write_whole
from failpath_otel.flows.default_path import DEFAULT_PATH

_EXAMPLE: Final = "shop/failpath_flows.py"


def add_to(new_parser: NewParser) -> None:
    """Add the command."""
    parser = new_parser(
        "types",
        help="make a Python module of the keys in .failpath/flows.json, for type checkers and editors",
        description="Makes a Python module with the slugs and step keys of .failpath/flows.json as types and constants:"
        " with it, type checkers report keys that are not there, and editors complete those that are. The module is"
        " to be committed.",
        epilog="Exits with 0 if the module is as it should be, with 1 if --check finds that it is not, and with 2 if a"
        " file cannot be used.",
        examples={
            "after each change of the declared flows": f"failpath-otel types --out {_EXAMPLE}",
            "in CI: is the module up to date?": f"failpath-otel types --out {_EXAMPLE} --check",
        },
    )
    parser.add_argument(
        "--flows", type=Path, default=DEFAULT_PATH, metavar="PATH", help=f"the declared flows; default: {DEFAULT_PATH}"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=f"the module, such as {_EXAMPLE}")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and exit with 1 where the module is stale or missing"
    )
    parser.set_defaults(action=_run)


class _UnusableError(Exception):
    """The file of the module cannot be read or written, or is another one."""


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands read no flows, or read them otherwise.
    from failpath_otel.flows.flows_file import FlowsFileError, read_flows  # noqa: PLC0415
    from failpath_otel.flows.typed_module import MARK, flows_hash, typed_module  # noqa: PLC0415

    path: Path = arguments.out
    try:
        flows = read_flows(arguments.flows)
        source = typed_module(flows)
        found = _read(path, MARK)
        is_same = found is not None and _same(found, source)
        if not is_same and arguments.check:
            is_older = found is not None and f"{MARK}{flows_hash(flows)}" not in found
            return fail(_why_stale(arguments, missing=found is None, older=is_older))
        if not is_same:
            _write(path, source)
    except (FlowsFileError, _UnusableError) as error:
        return fail(str(error), 2)
    count = f"{counted(len(flows), 'flow')}, {counted(sum(len(flow.nodes) for flow in flows), 'step')}"
    sys.stdout.write(f"{printable(str(path))}{' is up to date' if is_same else ''}: {count}\n")
    return 0


def _why_stale(arguments: argparse.Namespace, *, missing: bool, older: bool) -> str:
    again = shlex.join(["failpath-otel", "types", "--flows", str(arguments.flows), "--out", str(arguments.out)])
    if missing:
        return f"{arguments.out} does not exist; this makes it: {again}"
    reason = f"{arguments.flows} has changed since" if older else "it was edited, or made by another version"
    return f"{arguments.out} is stale: {reason}; this makes it again: {again}"


def _read(path: Path, mark: str) -> str | None:
    """Return what is in the file of the module; ``None`` where there is none."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to read a device or a pipe may never end
            raise _UnusableError(f"{path} is not a regular file; name another file by --out")
        found = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _UnusableError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if found.strip() and not _after_comments(found).startswith(mark):
        raise _UnusableError(f"{path} was not made by this command, and is left as it is; name another file by --out")
    return found


def _after_comments(found: str) -> str:
    """Return a module from its first line of code on; before it may be comments, or the mark of a merge conflict."""
    lines = found.removeprefix("\ufeff").splitlines(keepends=True)
    return "".join(itertools.dropwhile(lambda line: not line.strip() or line.startswith(("#", "<<<<<<<")), lines))


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
