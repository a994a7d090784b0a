"""Time of a list of 100,000 runs."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from bench.records import FLOWS, RARE, records
from bench.sink import BenchError
from bench.table import Row
from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.store.projector import Projector
from failpath_otel.local.store.run_row import RunRow
from failpath_otel.local.store.store import ReceivedEvent, Store

_RUNS: Final = 100_000
_STEPS: Final = 2
_PAGE: Final = 50
_BATCH: Final = 5_000
_ROUNDS: Final = 21
_POLL_SECONDS: Final = 0.01
_BAR: Final = 100

RECEIVED: Final = 4_000_000_000_000_000
"""When records are received: later than the times of all of them."""


def _with_attempts(store: Store) -> list[RunRow]:
    keys = [row.key for row in store.runs.rows(500, flow_key=FLOWS[1])]
    return [run.row for run in store.runs.stored(keys)]


def measure() -> list[Row]:
    """Measure pages of 50 rows; the queries alternate, so that no query finds its own data in the cache."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "local.db")
        fill(path)
        return ask(path)


def fill(path: Path) -> None:
    """Make the runs, four records each."""
    store = Store(path)
    stream = records(_RUNS, _STEPS)
    projector = Projector(store)
    projector.start()
    while some := list(islice(stream, _BATCH)):
        texts = [record.to_json().decode() for record in some]
        store.add([ReceivedEvent(decode_event(text), text) for text in texts], RECEIVED)
        while store.dirty(1):
            time.sleep(_POLL_SECONDS)
    projector.close()
    store.close()


def ask(path: Path) -> list[Row]:
    """Run each query in turn."""
    store = Store(path)
    if store.runs.count() != _RUNS:
        msg = f"{store.runs.count()} rows"
        raise BenchError(msg)
    deep = _after(store, 0.9)
    questions: dict[str, Callable[[], list[RunRow]]] = {
        "first page": lambda: store.runs.rows(_PAGE),
        "of a flow": lambda: store.runs.rows(_PAGE, flow_key=FLOWS[1]),
        "failed": lambda: store.runs.rows(_PAGE, statuses=["error"]),
        "of a status that none has": lambda: store.runs.rows(_PAGE, statuses=["skipped"]),
        "text in many": lambda: store.runs.rows(_PAGE, text="order-"),
        "text in few": lambda: store.runs.rows(_PAGE, text=RARE[:-1]),
        "text in none": lambda: store.runs.rows(_PAGE, text="no such text"),
        "text in none, of a flow": lambda: store.runs.rows(_PAGE, flow_key=FLOWS[1], text="no such text"),
        "next page, 90,000 runs down": lambda: store.runs.rows(_PAGE, before=deep),
        "changes": lambda: store.runs.changes(store.runs.revision() - 200, 200),
        "flow, newest 500 with attempts": lambda: _with_attempts(store),
    }
    times: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(_ROUNDS):
        for name, question in questions.items():
            begin = time.perf_counter()
            question()
            times[name].append((time.perf_counter() - begin) * 1000)
    store.close()
    return [
        Row(
            f"list of {_RUNS:,} runs: {name}",
            f"{median(spent):.1f} ms (max {max(spent):.1f})",
            value=median(spent),
            unit=" ms",
            bar=_BAR,
        )
        for name, spent in times.items()
    ]


def _after(store: Store, share: float) -> tuple[int, str, str]:
    """Return the cursor of a reader who has turned a share of all pages."""
    row = store.runs.rows(round(_RUNS * share))[-1]
    return row.active_at, row.flow_key, row.run_id
