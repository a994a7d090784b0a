"""Answers of servers that are no receivers, or have no end: an error in a line, and within bounds."""

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from failpath_otel.cli import local_client
from failpath_otel.cli.local_client import ReceiverError, RunQuery, fetch_runs


@contextmanager
def _answering(head: bytes, piece: bytes) -> Generator[str, None, None]:
    """Serve one answer, whose body is ``piece`` again and again until the client has gone."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
                while piece:
                    connection.sendall(piece)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def _of_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(local_client, "_ANSWER_SECONDS", 0.0)


def _of_size(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(local_client, "_MAX_BYTES", 1_000)


def _unbounded(_: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize(
    ("limit", "head", "piece", "reason"),
    [
        (_of_time, b"Content-Length: 999999999\r\n", b" ", "has not come to an end within 0 s"),
        (_of_size, b"", b" " * 500, "is larger than 1000 bytes"),
        (_unbounded, b"Content-Length: 100\r\n", b"", "IncompleteRead"),
    ],
)
def test_an_answer_that_does_not_end_as_it_should_is_given_up(
    limit: Callable[[pytest.MonkeyPatch], None], head: bytes, piece: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch)
    with _answering(head, piece) as url, pytest.raises(ReceiverError, match=reason):
        fetch_runs(url, RunQuery())
