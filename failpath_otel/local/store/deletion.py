"""Deletes runs with all that belongs to them, in transactions that are small enough for other writers."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from failpath_otel.local.store.database import Database
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.schema import TABLES_OF_RUNS

DELETED_RUNS: Final = 100
_DELETED_EVENTS: Final = 1_000
"""The most that one transaction deletes: it blocks senders for some hundredths of a second."""


def delete_where(database: Database, condition: str, *values: str) -> int:
    """Delete the runs that pass a condition, in small transactions, and return their number."""
    tables = ("runs", "dirty")
    counts = (database.number(f"SELECT count(*) FROM {table} WHERE {condition}", *values) for table in tables)  # noqa: S608
    # No more than there are now, or it would not end beside a busy sender.
    deleted, at_most = 0, sum(counts)
    while deleted < at_most:
        with database.transaction() as connection:
            for table in tables:
                query = f"SELECT flow_key, run_id FROM {table} WHERE {condition} LIMIT ?"  # noqa: S608
                rows = connection.execute(query, (*values, DELETED_RUNS)).fetchall()
                if rows:
                    break
            else:
                break
            deleted += delete_some(connection, [RunKey(*row) for row in rows])
    return deleted


def delete_some(connection: sqlite3.Connection, runs: Sequence[RunKey]) -> int:
    """Delete runs until the transaction is large enough; return how many are deleted completely."""
    room = _DELETED_EVENTS
    gone = 0
    for run in runs:
        room -= connection.execute(
            "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE flow_key = ? AND run_id = ? LIMIT ?)",
            (*run, room),
        ).rowcount
        if room <= 0:
            # The row is deleted with the last of its events, so that an unfinished deletion is found again.
            break
        connection.execute("DELETE FROM runs WHERE flow_key = ? AND run_id = ?", run)
        for table in ("dirty", *TABLES_OF_RUNS):
            connection.execute(f"DELETE FROM {table} WHERE flow_key = ? AND run_id = ?", run)  # noqa: S608
        gone += 1
    if gone:
        connection.execute("UPDATE meta SET deletions = deletions + ?", (gone,))
    return gone
