"""The receiver as a process: a socket, a database, signals, and an end that takes less than two seconds."""

import os
import sys
import threading
import time
import webbrowser
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from platformdirs import user_state_path

from failpath_otel.local.api.app import create_app
from failpath_otel.local.api.guard import Access
from failpath_otel.local.receiver import Parts, Settings
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.store import Store
from failpath_otel.serving.server import LOOPBACK, Server, address_of, listen

_GRACE_SECONDS: Final = 1
"""How long requests that are under way at the end may take."""

_END_SECONDS: Final = 1.7
"""How long the end may take as a whole: what a thread still works out for nobody would hold up the process."""


def default_database() -> Path:
    """Where the receiver keeps its events by default; makes the directory, for its owner only.

    Raises ``StoreError`` where there is no place for one, as for the arbitrary uid of a container.
    """
    try:
        directory = user_state_path("failpath-otel", appauthor=False)
    except RuntimeError:  # its older versions do not raise, and give `~/…`
        directory = Path("~")
    if not directory.is_absolute():
        msg = "this user has no home directory to keep runs in; name a file for them by --db PATH"
        raise StoreError(msg)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"the directory {directory} cannot be used to keep runs in: {reason}; name a file for them by --db PATH"
        raise StoreError(msg) from None
    return directory / "local.db"


@dataclass(frozen=True)
class Options:
    """What a receiver is told at its start; ``host`` is an IP address, and port 0 picks a free one."""

    port: int
    database: Path
    host: str = LOOPBACK
    token: str | None = None
    settings: Settings = field(default_factory=Settings)
    open_browser: bool = False


def serve(options: Options) -> None:
    """Serves until Ctrl-C or SIGTERM; prints one line when it is ready. Main thread only.

    Raises ``OSError`` if the port cannot be had, ``StoreError`` if the database cannot, and
    ``FlowsFileError`` if the file with the flows is none.
    """
    with (
        listen(options.host, options.port) as listener,
        closing(Store(options.database)) as store,
        closing(Parts(store, _now, options.settings)) as parts,
    ):
        app = create_app(parts, Access(options.host, options.token))
        address = address_of(options.host, listener.getsockname()[1])
        server = Server(
            app,
            ready=lambda: _tell(options, address),
            ending=lambda: _end(parts),
            grace_seconds=_GRACE_SECONDS,
        )
        server.stop_on_signals()
        parts.start()
        server.run(sockets=[listener])


def _end(parts: Parts) -> None:
    """Ends the streams, which end for nothing else, and the process with them, at the latest some time afterwards.

    All that was accepted is in the database by then; a thread that works something out may take longer than that.
    """
    timer = threading.Timer(_END_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()
    parts.changes.close()


def _now() -> int:
    return time.time_ns() // 1000


def _tell(options: Options, address: str) -> None:
    """Says that the receiver is ready, and where; programs read the first line, so it is there at once."""
    said = [f"Failpath local receiver at {address} (database: {options.database})"]
    if sys.stdout.isatty():
        with_token = "" if options.token is None else "/?token=<the token>"
        said.append(f"Open {address}{with_token} in a browser. Ctrl-C ends the receiver.")
    sys.stdout.write("".join(f"{line}\n" for line in said))
    sys.stdout.flush()
    if options.open_browser:
        page = address if options.token is None else f"{address}/?{urlencode({'token': options.token})}"
        # A thread, because a browser in a terminal does not come back before it is closed.
        threading.Thread(target=_open, args=(page, address), daemon=True).start()


def _open(page: str, address: str) -> None:
    if not webbrowser.open(page):
        sys.stderr.write(f"failpath-otel: no browser could be opened; the page is at {address}\n")
