"""What the tests of the store's rows have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.runs.summary import RunOverview, summarise
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import build_run_view
from failpath_otel.local.store.projector import Projector
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.local.store.store import ReceivedEvent, Store
from failpath_otel.records.record import Record

RECEIVED: Final = 1_800_000_000_000_000
"""When records are received: later than the times of all of them, as where no clock is ahead."""


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """A store that is closed at the end."""
    store = Store(path)
    try:
        yield store
    finally:
        store.close()


def received_events(*records: Record) -> list[ReceivedEvent]:
    return [ReceivedEvent(decode_event(text), text) for text in (record.to_json().decode() for record in records)]


def project(store: Store) -> None:
    """Makes every row."""
    while store.dirty(1):
        Projector(store).catch_up()


def stored(store: Store, *records: Record) -> None:
    """Stores the records, as received at the time of the last of them, and makes every row."""
    store.add(received_events(*records), max((parse_rfc3339(record.timestamp) for record in records), default=1))
    project(store)


def expected(run: RunKey, records: list[Record], revision: int) -> RunRow:
    """The row that follows from all records of a run."""
    own = [record for record in records if (record.flow_key, record.run_id) == run]
    summary = summarise(build_run_view(own), own)
    overview = {name: getattr(summary, name) for name in RunOverview.__struct_fields__}
    return RunRow(**overview, revision=revision)


def noted_plans(store: Store) -> list[str]:
    """A list to which each query of the store from now on adds how SQLite answers it."""
    plans: list[str] = []
    rows = store._database.rows

    def noted(query: str, *values: str | int | None) -> list[tuple[object, ...]]:
        plans.extend(str(row[3]) for row in rows(f"EXPLAIN QUERY PLAN {query}", *values))
        return rows(query, *values)

    store._database.rows = noted  # type: ignore[method-assign]
    return plans
