"""A local receiver in this process, over real sockets, at a time that the tests choose."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from failpath_otel.local.api.app import create_app
from failpath_otel.records.record import Record
from tests.local.page import Page, opened_page


class Served:
    """A receiver that is served at ``url``."""

    def __init__(self, page: Page, port: int) -> None:
        self.page = page
        self.url = f"http://127.0.0.1:{port}"
        self.port = port

    def add(self, *records: Record) -> None:
        """Stores records as if they had just been received, and has those who wait for changes look."""
        self.page.add(*records)
        self.page.receiver.changes.notify()


@contextmanager
def served(path: Path, port: int = 0) -> Iterator[Served]:
    """A receiver over the database at ``path``."""
    with opened_page(path) as page, socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            create_app(page.receiver), http="h11", loop="asyncio", ws="none", lifespan="off", log_level="critical"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Served(page, listener.getsockname()[1])
        finally:
            page.receiver.changes.close()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
