"""How many records a second the local receiver takes with a page open, and how long a sender waits for its answer."""

import resource
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvicorn

from bench.records import records
from bench.sink import HOST, BenchError
from bench.table import Row
from failpath_otel.local.app import create_app
from failpath_otel.local.parts import Parts
from failpath_otel.local.store import Store

_RUNS: Final = 10_000
_BATCH: Final = 512
_POLL_SECONDS: Final = 0.1
_PAGE: Final = 200
_HEADERS: Final = {"Authorization": "Bearer fp_project_bench", "Content-Type": "application/json"}


def measure() -> list[Row]:
    """Ten records a run, 512 a request, one request after another over one connection, from this process to another.

    The receiver's process makes the rows of the runs meanwhile, and reads the changes every 100 ms as an open page
    would. The clock stops when the last row is there.
    """
    bodies = list(_bodies())
    count = sum(size for size, _ in bodies)
    answers: list[float] = []
    spent_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with TemporaryDirectory() as directory:
        database = Path(directory, "local.db")
        server = subprocess.Popen([sys.executable, "-m", "bench.ingest", str(database)], stdin=-1, stdout=-1)
        try:
            assert server.stdout is not None
            connection = HTTPConnection(HOST, int(server.stdout.readline()), timeout=30)
            begin = time.perf_counter()
            for _, body in bodies:
                asked = time.perf_counter()
                connection.request("POST", "/v1/events", body, _HEADERS)
                answer = connection.getresponse()
                answer.read()
                answers.append((time.perf_counter() - asked) * 1000)
                if answer.status != 202:  # noqa: PLR2004 - Accepted
                    msg = f"the receiver answered {answer.status}"
                    raise BenchError(msg)
            sent = time.perf_counter() - begin
            _wait_for_rows(database)
            spent = time.perf_counter() - begin
        finally:
            server.terminate()
            server.communicate()
        size = database.stat().st_size
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime - spent_before.ru_utime - spent_before.ru_stime
    answers.sort()
    p95 = answers[-(-95 * len(answers) // 100) - 1]
    return [
        Row(
            f"ingest: {count:,} records into SQLite, a page open",
            f"{count / spent:,.0f} records/s, rows {1000 * (spent - sent):.0f} ms later, {size / count:.0f} B each",
            value=spent / count * 1e6,
            unit=" µs each",
            bar=200,
        ),
        Row("ingest: the receiver's CPU, start and end included", f"{cpu / count * 1e6:.0f} µs a record"),
        Row(
            f"ingest: answer to {_BATCH} records", f"p95 {p95:.0f} ms, max {answers[-1]:.0f} ms", value=p95, unit=" ms"
        ),
    ]


def _bodies() -> Iterator[tuple[int, bytes]]:
    encoded = [record.to_json() for record in records(_RUNS)]
    for first in range(0, len(encoded), _BATCH):
        some = encoded[first : first + _BATCH]
        yield len(some), b'{"events":[%b]}' % b",".join(some)


def _wait_for_rows(database: Path) -> None:
    deadline = time.monotonic() + 60
    with closing(sqlite3.connect(database)) as connection:
        while connection.execute("SELECT EXISTS (SELECT 1 FROM dirty)").fetchone()[0]:
            if time.monotonic() > deadline:
                msg = "the rows never came"
                raise BenchError(msg)
            time.sleep(0.01)
        (rows,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    if rows != _RUNS:
        msg = f"{rows} rows of {_RUNS} runs"
        raise BenchError(msg)


def _serve(database: Path) -> None:
    store = Store(database)
    parts = Parts(store, lambda: time.time_ns() // 1000)
    parts.start()
    threading.Thread(target=_read_changes, args=(store,), daemon=True).start()
    config = uvicorn.Config(
        create_app(parts),
        http="h11",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    listener = socket.create_server((HOST, 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    parts.close()
    store.close()


def _read_changes(store: Store) -> None:
    revision = store.revision()
    while True:
        time.sleep(_POLL_SECONDS)
        while rows := store.changes(revision, _PAGE):
            revision = rows[-1].revision


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
