"""The receiver as a process: socket, database, signals, and a shutdown of less than two seconds."""

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Collection
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from platformdirs import user_state_path

from failpath_otel.local.api.app import create_app
from failpath_otel.local.api.figures import Figures
from failpath_otel.local.api.guard import Access
from failpath_otel.local.receiver import Receiver, ReceiverSettings
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.store import Store
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.serving.addresses import address_of, listen
from failpath_otel.serving.grpc.beside import GrpcSettings, and_grpc
from failpath_otel.serving.log_format import announce, complain
from failpath_otel.serving.other_signals import OtherSignals, Signal
from failpath_otel.serving.server import Server
from failpath_otel.serving.tls import Tls

if find_spec("prometheus_client") is None:
    # Loaded with the first scrape; said now if it is missing.
    raise ModuleNotFoundError("No module named 'prometheus_client'", name="prometheus_client")

_GRACE_SECONDS: Final = 1
"""How long requests in progress may take at shutdown."""

_END_SECONDS: Final = 1.7
"""How long the whole shutdown may take: a thread that still computes would delay the exit."""


def default_database() -> Path:
    """Return the default database file; make its directory, for its owner only.

    Raises ``StoreError`` if the user has no home directory, as the arbitrary uid of a container.
    """
    try:
        directory = user_state_path("failpath-otel", appauthor=False)
    except RuntimeError:  # older versions of platformdirs return `~/…` instead
        directory = Path("~")
    if not directory.is_absolute():
        raise StoreError("this user has no home directory to keep runs in; name a file for them by --db PATH")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"the directory {directory} cannot be used to keep runs in: {reason}; name a file for them by --db PATH"
        raise StoreError(msg) from None
    return directory / "local.db"


def serve(
    port: int,
    access: Access,
    database: Path,
    settings: ReceiverSettings,
    *,
    open_browser: bool,
    discarded: Collection[Signal] = (),
    grpc: GrpcSettings | None = None,
    tls: Tls | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; print one line when ready. Main thread only. Port 0 picks a free one.

    ``discarded`` are the other signals of OTLP that are taken and discarded; logs are kept in any case.

    Raises ``OSError`` if the port cannot be used (``GrpcPortError`` if it is that of gRPC), ``StoreError`` if the
    database cannot, ``FlowsFileError`` for an invalid file of flows, and ``ConfigurationError`` if gRPC is asked for
    and not installed.
    """
    beside = None if grpc is None else grpc.server(access.host, tls, MAX_BODY_BYTES, lambda: server.should_exit)
    with (
        listen(access.host, port) as listener,
        closing(Store(database, read_only=settings.read_only)) as store,
        closing(Receiver(store, _now, settings)) as receiver,
    ):
        address = address_of(access.host, listener.getsockname()[1], is_secure=tls is not None)
        where = f"{database}, read-only" if settings.read_only else str(database)
        figures = Figures(receiver, signals=OtherSignals(discarded), is_ending=lambda: server.should_exit)
        server = Server(
            create_app(receiver, access, figures, beside),
            ready=lambda: _announce(address, access.token, where, and_grpc(beside), open_browser=open_browser),
            ending=lambda: _end(receiver),
            grace_seconds=_GRACE_SECONDS,
            tls=tls,
            grpc=beside,
        )
        server.stop_on_signals()
        receiver.start()
        server.run(sockets=[listener])


def _end(receiver: Receiver) -> None:
    """End the streams, which would not end by themselves, and the process some time later at the latest.

    All accepted events are in the database by then; only a thread that computes may take longer.
    """
    timer = threading.Timer(_END_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()
    receiver.changes.close()


def _now() -> int:
    return time.time_ns() // 1000


def _announce(address: str, token: str | None, database: str, others: str, *, open_browser: bool) -> None:
    """Print that the receiver is ready, and where."""
    announce(f"Failpath local receiver at {address}{others} (database: {database})")
    if sys.stdout.isatty():
        with_token = "" if token is None else "/?token=<the token>"
        announce(f"Open {address}{with_token} in a browser. Ctrl-C ends the receiver.")
    if open_browser:
        page = address if token is None else f"{address}/?{urlencode({'token': token})}"
        # A thread, because a browser in a terminal blocks until it is closed.
        threading.Thread(target=_open, args=(page, address), daemon=True).start()


def _open(page: str, address: str) -> None:
    if not webbrowser.open(page):
        complain(f"no browser could be opened; the page is at {address}")
