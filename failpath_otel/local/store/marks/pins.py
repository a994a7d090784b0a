"""The runs that are pinned: pruning leaves them alone."""

from typing import Final

from failpath_otel.local.store.database import Database
from failpath_otel.local.store.run_row import RunKey


class Pins:
    """The pins of a store. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._sizes: dict[RunKey, tuple[int, int]] = {}

    def all(self) -> list[RunKey]:
        """Return the runs that are pinned, in no particular order."""
        return [RunKey(*row) for row in self._database.rows("SELECT flow_key, run_id FROM pins")]

    def count(self, flow_key: str | None = None) -> int:
        """Return how many runs are pinned, of a flow or of all."""
        if flow_key is None:
            return self._database.number("SELECT count(*) FROM pins")
        return self._database.number("SELECT count(*) FROM pins WHERE flow_key = ?", flow_key)

    def set(self, run: RunKey, *, pinned: bool) -> bool:
        """Pin a run, or let go of it; return whether that has changed anything. One that is not there stays so."""
        with self._database.transaction() as connection:
            change = (
                "INSERT OR IGNORE INTO pins SELECT flow_key, run_id FROM runs WHERE flow_key = ? AND run_id = ?"
                if pinned
                else "DELETE FROM pins WHERE flow_key = ? AND run_id = ?"
            )
            return connection.execute(change, run).rowcount > 0

    def size(self) -> int:
        """Return about how many bytes of the file the pinned runs take; reads only what has changed since."""
        rows = self._database.rows(
            "SELECT pins.flow_key, pins.run_id, revision FROM pins JOIN runs USING (flow_key, run_id)"
        )
        sizes: dict[RunKey, tuple[int, int]] = {}
        for flow_key, run_id, revision in rows:
            run = RunKey(flow_key, run_id)
            known = self._sizes.get(run)
            sizes[run] = known if known is not None and known[0] == revision else (revision, self._size_of(run))
        self._sizes = sizes
        return sum(size for _, size in sizes.values())

    def _size_of(self, run: RunKey) -> int:
        # Beside the payload, a row has its columns and what two indexes repeat of them.
        return self._database.number(
            "SELECT coalesce(sum(length(payload) + 3 * length(id) + 4 * length(flow_key || run_id) + 64), 0) "
            "FROM events WHERE flow_key = ? AND run_id = ?",
            *run,
        )
