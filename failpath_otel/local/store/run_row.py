"""The row of a run in the database: its key, and the columns that lists show."""

from typing import Final, NamedTuple

from msgspec.structs import fields

from failpath_otel.local.runs.summary import AttemptSummary, RunOverview
from failpath_otel.records.record import Status


class RunKey(NamedTuple):
    """Identifies a run."""

    flow_key: str
    run_id: str


class _StoredRow(RunOverview[int], frozen=True):
    """The columns of a run that follow from its events; each change gives it a higher ``revision``."""

    revision: int


class RunRow(_StoredRow, frozen=True):
    """A run as lists show it.

    ``pinned`` is 1 if it is not pruned. ``exported_liveness`` is set if it came as a file: what its liveness was there,
    empty if it was not running.
    """

    pinned: int = 0
    exported_liveness: str | None = None

    @property
    def key(self) -> RunKey:
        """The key of the run."""
        return RunKey(self.flow_key, self.run_id)

    @property
    def place(self) -> tuple[int, str, str]:
        """Where it stands in a list, the newest activity first."""
        return self.active_at, self.flow_key, self.run_id


class StoredRun(NamedTuple):
    """A run's row and its attempts."""

    row: RunRow
    attempts: list[AttemptSummary]


STORED: Final = _StoredRow.__struct_fields__
"""The columns of a row that are stored with it."""

COLUMNS: Final = ", ".join(
    [
        *STORED,
        "(runs.flow_key, runs.run_id) IN pins",
        "(SELECT liveness FROM imports AS i WHERE i.flow_key = runs.flow_key AND i.run_id = runs.run_id AND NOT mixed)",
    ]
)
"""What to select of ``runs`` for a :class:`RunRow`, in the order of its fields."""

_SQL_TYPES: Final[dict[object, str]] = {
    str: "TEXT NOT NULL",
    Status: "TEXT NOT NULL",
    int: "INTEGER NOT NULL",
    str | None: "TEXT",
    int | None: "INTEGER",
    float | None: "REAL",
}

COLUMN_DEFINITIONS: Final = ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in fields(_StoredRow))
"""The stored columns with their types, for ``CREATE TABLE``."""
