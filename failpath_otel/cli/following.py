"""Follows runs of a local receiver: those there are, and then what changes, without an end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import sleep
from typing import Final

from failpath_otel.cli.local_client import (
    NoSuchRunError,
    RunQuery,
    UnavailableError,
    fetch_changes,
    fetch_run,
    fetch_runs,
)
from failpath_otel.local.runs.view import RunView

_WAIT_SECONDS: Final = 5
_PACE_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 1.0


def follow(
    url: str, query: RunQuery, *, limit: int, token: str | None, notice: Callable[[str], object]
) -> Iterator[list[RunView]]:
    """Yield the runs that are asked for, the oldest first, and from then on those that have changed.

    A receiver that is away for a while is waited for; nothing that it has stored is left out.

    Args:
        url: the receiver.
        query: which runs. ``since`` is about those there are at first.
        limit: how many of these.
        token: the receiver's, if it has one.
        notice: called with what the user has to know besides.

    Raises:
        ReceiverError: the receiver is not there at first, or does not answer as one.
    """
    following = _Following(url, query, limit, token)
    is_first, is_away = True, False
    while True:
        try:
            runs, more = following.next()
        except UnavailableError as error:
            if is_first:
                raise
            if not is_away:
                notice(f"{error}; waiting for it")
            is_away = True
            sleep(_RETRY_SECONDS)
            continue
        if is_first:
            notice(f"following runs at {url}; Ctrl-C ends it")
        elif is_away:
            notice(f"the receiver at {url} is back")
        if is_first and query.run_id is not None and not runs:
            notice(f"no such run at {url} yet: {query.run_id!r}; waiting for it")
        is_first = is_away = False
        if runs:
            yield runs
        if not more:
            sleep(_PACE_SECONDS)


@dataclass
class _Following:
    """The place of a client in the changes of a receiver."""

    url: str
    query: RunQuery
    limit: int
    token: str | None
    cursor: str | None = None

    def next(self) -> tuple[list[RunView], bool]:
        """Return runs, and whether there are more already: those there are at first, then those that have changed."""
        if self.cursor is None:
            # The cursor comes first, so that what changes meanwhile is seen twice rather than not at all.
            cursor = fetch_changes(self.url, self.query, after=None, token=self.token).cursor
            present = self._present()
            self.cursor = cursor
            return present, False
        changes = fetch_changes(self.url, self.query, after=self.cursor, wait=_WAIT_SECONDS, token=self.token)
        self.cursor = None if changes.reset else changes.cursor
        return changes.runs, changes.more or changes.reset

    def _present(self) -> list[RunView]:
        if self.query.run_id is None:
            return fetch_runs(self.url, self.query, limit=self.limit, token=self.token)[::-1]
        try:
            return [fetch_run(self.url, self.query.run_id, flow_key=self.query.flow_key, token=self.token)]
        except NoSuchRunError:
            return []
