"""The API of the page over a store, for tests: what it answers at a time that they choose."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
from starlette.testclient import TestClient

from failpath_otel.local.api.app import create_app
from failpath_otel.local.receiver import Receiver, ReceiverSettings
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import Record
from tests.local.contract import check_answer, operation_of
from tests.local.events import EPOCH_NS
from tests.local.rows import project, received_events

_START: Final = EPOCH_NS // 1000


class Page:
    """A receiver without its threads, at ``seconds`` after the start of the tests' events."""

    def __init__(self, path: Path, store: Store, settings: ReceiverSettings | None = None) -> None:
        self.seconds = 100.0
        self.path = path
        self.store = store
        self.receiver = Receiver(store, self.now, settings)
        self.client = TestClient(
            create_app(self.receiver), base_url="http://127.0.0.1:3001", raise_server_exceptions=False
        )

    def now(self) -> int:
        """The time, in microseconds since the epoch."""
        return _START + round(self.seconds * 1_000_000)

    def add(self, *records: Record) -> None:
        """Stores records as if they had been received now, and makes every row: reading alone makes some of them."""
        self.store.add(received_events(*records), self.now())
        project(self.store)

    def ask(self, path: str, **query: str | int) -> httpx.Response:
        """Any question to the API of the page, whose answer fits its document; ``path`` is taken as it is."""
        answer: httpx.Response = self.client.get(f"/api/page/{path}{'?' if query else ''}{urlencode(query)}")
        asked = f"/api/page/{path}".partition("?")[0]
        if operation_of("GET", asked) is not None:
            check_answer("GET", asked, answer.status_code, answer.json())
        return answer

    def get(self, path: str, **query: str | int) -> Any:
        """What is answered, which has to be right."""
        answer = self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def run(self, run_id: str, **query: str) -> Any:
        """The page of a run."""
        return self.get(f"run/{quote(run_id, safe='')}", **query)

    def flow(self, flow_key: str) -> Any:
        """The page of a flow."""
        return self.get(f"flow/{quote(flow_key, safe='')}")

    def ids(self, **query: str | int) -> list[str]:
        """The ids of the runs in a list."""
        return [run["runId"] for run in self.get("runs", **query)["runs"]]


@contextmanager
def opened_page(path: Path, settings: ReceiverSettings | None = None) -> Iterator[Page]:
    """A page over the database at ``path``."""
    store = Store(path)
    try:
        page = Page(path, store, settings)
        try:
            yield page
        finally:
            page.receiver.close()
    finally:
        store.close()
