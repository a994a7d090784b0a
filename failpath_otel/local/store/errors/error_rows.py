"""The rows of errors: written with the row of their run."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from failpath_otel.local.runs.summary import RunSummary
from failpath_otel.local.store.run_row import RunKey

_SAVE: Final = "INSERT INTO errors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def save_errors(connection: sqlite3.Connection, summaries: Sequence[RunSummary]) -> None:
    """Replace the errors of runs whose rows were."""
    runs = [RunKey(summary.flow_key, summary.run_id) for summary in summaries]
    connection.executemany("DELETE FROM errors WHERE flow_key = ? AND run_id = ?", runs)
    connection.executemany(
        _SAVE,
        [
            (*run, *error, summary.active_at)
            for run, summary in zip(runs, summaries, strict=True)
            for error in summary.errors
        ],
    )
