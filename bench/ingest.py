"""Throughput of the local receiver with a page open, and how long a sender waits for its answer."""

import resource
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

from bench.records import records
from bench.sink import HOST, BenchError
from bench.table import Row

_RUNS: Final = 10_000
_BATCH: Final = 512
_LOOK_AGAIN_SECONDS: Final = 0.5
_COMMAND: Final = (sys.executable, "-m", "failpath_otel.cli", "local", "--port", "0", "--db")
_HEADERS: Final = {"Authorization": "Bearer fp_project_bench", "Content-Type": "application/json"}


def measure() -> list[Row]:
    """Send ten records per run, 512 per request, one request after another over one connection.

    Meanwhile the receiver makes the rows of the runs, and a third process does what an open list of flows does: it
    reads the stream of changes, and requests the list twice a second. The clock stops when the last row is there.
    """
    bodies = list(_bodies())
    count = sum(size for size, _ in bodies)
    answers: list[float] = []
    spent_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with TemporaryDirectory() as directory:
        database = Path(directory, "local.db")
        server = subprocess.Popen([*_COMMAND, str(database)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().partition(f"http://{HOST}:")[2].split()[0])
            page = subprocess.Popen([sys.executable, "-m", "bench.ingest", str(port)], stdout=subprocess.PIPE)
            assert page.stdout is not None
            page.stdout.readline()
            connection = HTTPConnection(HOST, port, timeout=30)
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
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            page.terminate()
            page.communicate()
        size = database.stat().st_size
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


def _be_a_page(port: int) -> None:
    threading.Thread(target=_ask_for_flows, args=(port,), daemon=True).start()
    connection = HTTPConnection(HOST, port)
    connection.request("GET", "/api/page/stream")
    stream = connection.getresponse()
    print(stream.readline(), flush=True)
    while stream.readline():
        pass


def _ask_for_flows(port: int) -> None:
    connection = HTTPConnection(HOST, port)
    while True:
        connection.request("GET", "/api/page/flows")
        connection.getresponse().read()
        time.sleep(_LOOK_AGAIN_SECONDS)


if __name__ == "__main__":
    _be_a_page(int(sys.argv[1]))
