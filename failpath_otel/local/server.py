"""The receiver as a process: a socket, a database, signals, and an end that takes less than two seconds."""

import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import urlencode

import uvicorn
from platformdirs import user_state_path

from failpath_otel.local.app import create_app
from failpath_otel.local.guard import LOOPBACK, Access
from failpath_otel.local.parts import Parts, Settings
from failpath_otel.local.store import Store

_IPV4: Final = 4
_GRACE_SECONDS: Final = 1
"""How long requests that are under way at the end may take."""

_END_SECONDS: Final = 1.7
"""How long the end may take as a whole: what a thread still works out for nobody would hold up the process."""


def default_database() -> Path:
    """Where the receiver keeps its events by default; makes the directory, for its owner only."""
    directory = user_state_path("failpath-otel", appauthor=False)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
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
        _listen(options.host, options.port) as listener,
        closing(Store(options.database)) as store,
        closing(Parts(store, _now, options.settings)) as parts,
    ):
        config = uvicorn.Config(
            create_app(parts, Access(options.host, options.token)),
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            # The application logs its own failures; what is left are requests that the end cut short.
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        address = _address(options.host, listener.getsockname()[1])
        server = _Server(config, lambda: _tell(options, address), parts.changes.close)
        server.stop_on_signals()
        parts.start()
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it is ready and ends a process that was asked to end as a success.

    ``ending`` is called before it waits for the requests that are under way: some of them end for nothing else.
    The process ends with it, at the latest some time afterwards; all that was accepted is in the database by then.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = ending

    def stop_on_signals(self) -> None:
        # Uvicorn handles both signals while it serves, and afterwards raises them again for these handlers.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        timer = threading.Timer(_END_SECONDS, os._exit, [0])
        timer.daemon = True
        timer.start()
        self._ending()
        await super().shutdown(sockets)


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


def _address(host: str, port: int) -> str:
    """The page's address as this machine sees it; one that stands for all of a machine's is none to go to."""
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address(LOOPBACK if address.version == _IPV4 else "::1")
    return f"http://{address}:{port}" if address.version == _IPV4 else f"http://[{address}]:{port}"


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET if ip_address(host).version == _IPV4 else socket.AF_INET6)
    try:
        if os.name == "posix":
            # A port that was in use until a moment ago is free; on Windows the option would take it from its owner.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
