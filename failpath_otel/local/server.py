"""The receiver as a process: a socket, a database, signals, and an end that takes less than two seconds."""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from platformdirs import user_state_path

from failpath_otel.local.app import create_app
from failpath_otel.local.store import Store

HOST: Final = "127.0.0.1"

_GRACE_SECONDS: Final = 1
"""How long requests that are under way at the end may take."""


def default_database() -> Path:
    """Where the receiver keeps its events by default; makes the directory, for its owner only."""
    directory = user_state_path("failpath-otel", appauthor=False)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    return directory / "local.db"


def serve(port: int, database: Path) -> None:
    """Serves on the loopback interface until Ctrl-C or SIGTERM; prints one line when it is ready. Main thread only.

    Port 0 picks a free one. Raises ``OSError`` if the port cannot be had, ``StoreError`` if the database cannot.
    """
    with _listen(port) as listener:
        store = Store(database)
        try:
            address = f"http://{HOST}:{listener.getsockname()[1]}"
            server = _Server(
                uvicorn.Config(
                    create_app(store, lambda: time.time_ns() // 1000),
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
                ),
                f"Failpath local receiver at {address} (database: {database})",
            )
            server.stop_on_signals()
            server.run(sockets=[listener])
        finally:
            store.close()


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it is ready and ends a process that was asked to end as a success."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    def stop_on_signals(self) -> None:
        # Uvicorn handles both signals while it serves, and afterwards raises them again for these handlers.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self._ready}\n")
        sys.stdout.flush()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # A port that was in use until a moment ago is free; on Windows the option would take it from its owner.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
