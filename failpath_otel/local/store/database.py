"""One SQLite file with a connection for writes and one for reads, each with its own lock."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_BUSY_SECONDS: Final = 1.0
"""How long to wait for another process that writes; a sender waits 1.5 s for its response."""

_CLOSE_SECONDS: Final = 0.3
_RETRY_SECONDS: Final = 0.01
_CACHE_KIB: Final = 16_384


class StoreError(Exception):
    """The database cannot be used; the text is one line that names the file and the reason."""


class Database:
    """A SQLite file. Thread-safe: one thread at a time writes and one reads, and neither waits for the other.

    Opens the file at ``path``, makes it (readable for its owner only) where there is none, and calls ``prepare`` with
    a connection before anything else. With ``read_only`` nothing is written, neither to the file nor beside it where
    its directory cannot be written. Every method raises :class:`StoreError` when the database refuses.
    """

    def __init__(
        self, path: Path, prepare: Callable[[sqlite3.Connection, Path], None], *, read_only: bool = False
    ) -> None:
        self._path = path.absolute()
        self.read_only: Final = read_only
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._closed = False
        with self.errors():
            if read_only:
                self._reader = self._writer = connect_read_only(self._path, prepare)
            else:
                self._open(path, prepare)
            self._identity = _identity(self._path)

    def _open(self, path: Path, prepare: Callable[[sqlite3.Connection, Path], None]) -> None:
        _make_private(path)
        self._writer = _connect(path)
        try:
            prepare(self._writer, path)
            _use_wal(self._writer)
            self._writer.execute("PRAGMA synchronous = NORMAL")
            self._reader = _connect(path)
        except BaseException:
            self._writer.close()
            raise
        self._reader.execute("PRAGMA query_only = ON")

    def rows(self, query: str, *values: str | int | None) -> list[tuple[Any, ...]]:
        """Return the rows of a query, which sees everything that was committed when it began."""
        with self.errors(), self._read_lock:
            self._check_usable()
            return self._reader.execute(query, values).fetchall()

    def number(self, query: str, *values: str | int | None) -> int:
        """Return the one number that a query yields."""
        return int(self.rows(query, *values)[0][0])

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """Commit everything in the block, or roll all of it back."""
        with self.errors(), self._write_lock:
            self._check_usable()
            if self.read_only:
                raise StoreError(f"{self._path} is open for reading only")
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def shrink(self, pages: int) -> None:
        """Return up to so many unused pages to the file system, if the file was made for that."""
        with self.errors(), self._write_lock:
            self._check_usable()
            # Each step of the statement frees one page, and `execute` makes one step only.
            self._writer.executescript(f"PRAGMA incremental_vacuum({int(pages)})")

    def close(self) -> None:
        """Interrupt running queries and close the file. It cannot be used afterwards.

        Takes 0.3 s at most: what another process blocks is left to SQLite, which loses nothing that was committed.
        """
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + _CLOSE_SECONDS
        # The writer is closed last, because the last connection checkpoints the write-ahead log.
        for connection, lock in ((self._reader, self._read_lock), (self._writer, self._write_lock)):
            # Only a running query: SQLite would interrupt its own checkpoint too.
            if not (held := lock.acquire(blocking=False)):
                connection.interrupt()
                held = lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
            if held:
                try:
                    connection.close()
                finally:
                    lock.release()

    @contextmanager
    def errors(self) -> Generator[None, None, None]:
        """Turn failures of the file in the block into :class:`StoreError`."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(f"{self._path}: {reason or type(error).__name__}") from error

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreError(f"{self._path} is closed")
        # SQLite would go on with the deleted file, and all that is written would be lost at the end.
        if _identity(self._path) != self._identity:
            raise StoreError(f"{self._path} was deleted or replaced while it was in use; start the receiver again")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path.absolute(), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except BaseException:
        connection.close()  # Python would leave it to the garbage collector, with a warning
        raise
    return connection


def connect_read_only(path: Path, prepare: Callable[[sqlite3.Connection, Path], None]) -> sqlite3.Connection:
    """Return a connection that only reads, also a file in a directory that cannot be written.

    Raises ``StoreError`` where that would leave out what another process has not merged into the file.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file to read")
    try:
        return _connect_by(f"{path.as_uri()}?mode=ro", prepare, path)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise  # another process is changing it
        # Without a place for its shared memory SQLite can only read a file that does not change.
        log = Path(f"{path}-wal")
        if log.exists() and log.stat().st_size:
            raise StoreError(
                f"{path}: {error}; the newest runs are in {log.name} beside it, which can be read in a directory that"
                " can be written: copy both"
            ) from None
        return _connect_by(f"{path.as_uri()}?mode=ro&immutable=1", prepare, path)


def _connect_by(address: str, prepare: Callable[[sqlite3.Connection, Path], None], path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for other processes when it changes this mode: several that open a new file at once
    # have to retry.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _make_private(path: Path) -> None:
    """Make the file and the directories above it for their owner only; leave existing ones alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(0, "is a directory", str(path)) from None
