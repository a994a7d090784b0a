"""``failpath-otel export`` and ``failpath-otel import``: runs of a local receiver as files."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from failpath_otel.cli.commands.command import NewParser, fail
from failpath_otel.cli.commands.receiver import add_receiver_options, receiver_url
from failpath_otel.cli.printable import printable
from failpath_otel.cli.writing.whole_file import write_whole

_PARTS: Final = ("metadata", "errors", "process", "logs")
_MAX_FILE_BYTES: Final = 32 * 1_048_576


def add_to(new_parser: NewParser) -> None:
    """Add the commands; defaults come from the environment at this time."""
    _add_export(new_parser)
    _add_import(new_parser)


def _add_export(new_parser: NewParser) -> None:
    parser = new_parser(
        "export",
        help="write a run of a local receiver as a file, for a bug report",
        description="Writes a run as a file that another receiver can import: its events with metadata, errors, stacks,"
        " host names and process ids, and its logs, redacted again.",
        examples={
            "a file to attach to a bug report": "failpath-otel export order-17",
            "without the metadata that the application has set": (
                "failpath-otel export order-17 --without metadata --out order-17.failpath-run.json"
            ),
        },
    )
    parser.add_argument("id", nargs="?", metavar="RUN_ID", help="the run")
    parser.add_argument(
        "--run", dest="run_id", metavar="RUN_ID", help="the same; also works for an id that begins with -"
    )
    parser.add_argument("--flow", metavar="FLOW_KEY", help="the run of this flow; default: the newest with that id")
    parser.add_argument(
        "--without",
        action="append",
        choices=_PARTS,
        default=[],
        metavar="PART",
        help="leave out metadata, errors (their messages and stacks), process (hosts and process ids) or logs; may be"
        " given several times",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="the file; - for standard output; default: RUN_ID.failpath-run.json in this folder",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    add_receiver_options(parser)
    parser.set_defaults(action=_export, usage_error=parser.error)


def _add_import(new_parser: NewParser) -> None:
    parser = new_parser(
        "import",
        help="read runs from files into a local receiver",
        description="Reads runs from files that failpath-otel export, or the page, has written. A run that already"
        " exists with the same events is left unchanged; with other events it is refused, and nothing is mixed. Exits"
        " with 1 if a file could not be imported; the other files are.",
        examples={
            "a bug report that you received": "failpath-otel import order-17.failpath-run.json",
            "into a database, without a receiver": "failpath-otel import *.failpath-run.json --db reports.db",
        },
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files with runs")
    parser.add_argument("--db", type=Path, metavar="PATH", help="the database instead of a receiver")
    add_receiver_options(parser)
    parser.set_defaults(action=_import, usage_error=parser.error)


def _export(arguments: argparse.Namespace) -> int:
    # Imported here, because the servers ask no receiver.
    from failpath_otel.cli.local_client import ReceiverError, fetch_file  # noqa: PLC0415
    from failpath_otel.local.files.run_file import file_name  # noqa: PLC0415

    run_id: str = (arguments.id if arguments.run_id is None else arguments.run_id) or ""
    if not run_id or arguments.id not in (None, run_id):
        arguments.usage_error("name one run, by RUN_ID or --run")
    path = Path(file_name(run_id)) if arguments.out is None else arguments.out
    is_stdout = str(path) == "-"
    if not is_stdout and path.exists() and not arguments.force:
        return fail(f"{path} exists; --force writes over it")
    try:
        url = receiver_url(arguments.url, arguments.port)
        text = fetch_file(url, run_id, flow_key=arguments.flow, without=arguments.without, token=arguments.token)
    except ReceiverError as error:
        return fail(str(error), error.exit_code)
    if is_stdout:
        sys.stdout.write(text.decode())
        sys.stdout.flush()
        return 0
    try:
        write_whole(path, text.decode())
    except OSError as error:
        return fail(f"{path} cannot be written: {error.strerror or error}")
    sys.stdout.write(f"{printable(str(path))}: {len(text):,} bytes; look through it before you pass it on\n")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    # Imported here, because the servers ask no receiver.
    from failpath_otel.cli.local_client import ReceiverError  # noqa: PLC0415
    from failpath_otel.local.store.database import StoreError  # noqa: PLC0415

    try:
        if arguments.db is None:
            return _import_all(arguments.files, _sender(receiver_url(arguments.url, arguments.port), arguments.token))
        # Imported here, as above.
        from failpath_otel.local.store.store import Store  # noqa: PLC0415

        with closing(Store(arguments.db)) as store:
            from failpath_otel.local.files.reading import import_into  # noqa: PLC0415 - as above

            return _import_all(arguments.files, lambda text: import_into(store, text, time.time_ns() // 1000))
    except StoreError as error:
        return fail(str(error))
    except ReceiverError as error:
        return fail(str(error), error.exit_code)


_ImportOne = Callable[[bytes], tuple[tuple[str, str], bool]]


def _sender(url: str, token: str | None) -> _ImportOne:
    from failpath_otel.cli.local_client import send_file  # noqa: PLC0415 - as in `_export`

    def send(text: bytes) -> tuple[tuple[str, str], bool]:
        answer = send_file(url, text, token=token)
        return (answer.flow_key, answer.run_id), answer.new

    return send


def _import_all(files: list[Path], import_one: _ImportOne) -> int:
    # Imported here, as in `_export`.
    from failpath_otel.cli.local_client import ReceiverError, UnavailableError  # noqa: PLC0415
    from failpath_otel.local.files.run_file import FileError  # noqa: PLC0415
    from failpath_otel.local.store.marks.imports import RunConflictError  # noqa: PLC0415

    code = 0
    for path in files:
        try:
            (flow_key, run_id), is_new = import_one(_read(path))
        except UnavailableError:
            raise
        except (FileError, RunConflictError, ReceiverError) as error:
            code = fail(f"{path}: {error}")
        except OSError as error:
            code = fail(f"{path} cannot be read: {error.strerror or error}")
        else:
            sys.stdout.write(printable(f"{path}: {run_id} of {flow_key}{'' if is_new else ' is here already'}") + "\n")
    return code


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES + 1)
