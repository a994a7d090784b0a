"""A real OTLP backend on loopback: what an OTLP exporter sends, read back whole.

The backend is `oteltap <https://pypi.org/project/oteltap/>`_ in a process of its own. It speaks OTLP over
http/protobuf without compression and prints each span that it receives as one line of JSON.
"""

import http.client
import importlib.util
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.ports import unused_port

START_TIMEOUT: Final = 30.0
"""Seconds that the backend may take from the start of its process until it listens."""

READ_TIMEOUT: Final = 10.0
"""Seconds that the backend may take to print what it has accepted."""

_START_ATTEMPTS: Final = 5
_POLL_INTERVAL: Final = 0.01
_MARKER: Final = "otlp-backend-marker-"
_STATUS_CODES: Final = ("UNSET", "OK", "ERROR")


class OtlpEvent(NamedTuple):
    """One event of a span; a plain tuple of three for whoever compares."""

    name: str
    attributes: dict[str, Any]
    time_unix_nano: int


@dataclass(frozen=True)
class OtlpSpan:
    """One span as the backend received it; ids are lower-case hex, ``parent_span_id`` is empty on a root."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    attributes: dict[str, Any]
    events: list[OtlpEvent]
    status_code: str
    status_message: str
    start_time_unix_nano: int
    end_time_unix_nano: int


class OtlpBackend:
    """A running backend; :func:`start_otlp_backend` makes one."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self._process = process
        self._port = port
        self._output = output

    @property
    def endpoint(self) -> str:
        """The URL for ``OTLPSpanExporter(endpoint=...)``."""
        return f"http://127.0.0.1:{self._port}/v1/traces"

    def spans(self) -> list[OtlpSpan]:
        """Every span that an exporter has an answer for by now, in the order in which they arrived."""
        # The backend answers before it prints. It prints in order, so once a span sent from here is printed,
        # everything that was answered before is printed as well.
        marker = self._send_marker()
        deadline = time.monotonic() + READ_TIMEOUT
        while True:
            printed = self._output.read_bytes()
            if marker.encode() in printed:
                # Of the last line, the marker's own, only a part may be written.
                whole = printed[: printed.rfind(b"\n")].splitlines()
                spans = [_span(line) for line in whole if line.startswith(b"{")]
                return [span for span in spans if not span.name.startswith(_MARKER)]
            if self._process.poll() is not None:
                message = f"the OTLP backend ended with exit code {self._process.returncode}"
                raise RuntimeError(message)
            if time.monotonic() > deadline:
                message = f"the OTLP backend printed no span for {READ_TIMEOUT} s"
                raise TimeoutError(message)
            time.sleep(_POLL_INTERVAL)

    def wait_for(self, condition: Callable[[list[OtlpSpan]], bool], timeout: float = READ_TIMEOUT) -> list[OtlpSpan]:
        """The spans as soon as ``condition`` holds for them: for senders that cannot be asked to flush."""
        deadline = time.monotonic() + timeout
        while not condition(spans := self.spans()):
            if time.monotonic() > deadline:
                message = f"after {timeout} s the OTLP backend has only {[span.name for span in spans]}"
                raise TimeoutError(message)
            time.sleep(_POLL_INTERVAL)
        return spans

    def _send_marker(self) -> str:
        name = _MARKER + uuid.uuid4().hex
        request = ExportTraceServiceRequest()
        request.resource_spans.add().scope_spans.add().spans.add(name=name)
        # http.client, because tests instrument requests and urllib3 and count what those send.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=READ_TIMEOUT)
        try:
            headers = {"Content-Type": "application/x-protobuf"}
            connection.request("POST", "/v1/traces", request.SerializeToString(), headers)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            message = f"the OTLP backend answered {response.status} to a span of its own"
            raise RuntimeError(message)
        return name


@contextmanager
def start_otlp_backend() -> Iterator[OtlpBackend]:
    """Run a backend for the time of the ``with`` block; skips the test where the backend has no binary."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        pytest.skip("oteltap ships its binary for x86-64 only")
    if importlib.util.find_spec("oteltap") is None:
        pytest.skip("oteltap needs a newer OpenTelemetry than this one")
    with tempfile.TemporaryDirectory(prefix="otlp-backend-", ignore_cleanup_errors=True) as directory:
        output, errors = Path(directory, "stdout"), Path(directory, "stderr")
        for _ in range(_START_ATTEMPTS):
            port = unused_port()
            process = _start(port, output, errors)
            try:
                if _listens(process, output):
                    yield OtlpBackend(process, port, output)
                    return
            finally:
                _end(process)
        # Somebody else may take a port between choosing and binding it, but not time after time.
        message = f"the OTLP backend did not start:\n{errors.read_text(errors='replace')}"
        raise RuntimeError(message)


def _start(port: int, output: Path, errors: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as stdout, errors.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "oteltap", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


def _listens(process: subprocess.Popen[bytes], output: Path) -> bool:
    """Wait until the backend says that it listens; false if its process ended instead."""
    deadline = time.monotonic() + START_TIMEOUT
    while b"Listening for OTLP" not in output.read_bytes():
        if process.poll() is not None:
            return False
        if time.monotonic() > deadline:
            message = f"the OTLP backend did not listen within {START_TIMEOUT} s"
            raise TimeoutError(message)
        time.sleep(_POLL_INTERVAL)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Value(msgspec.Struct, rename="camel"):
    """OTLP's AnyValue in JSON: at most one field is set, none for null; 64-bit integers are strings."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    bytes_value: bytes | None = None
    array_value: "_Values | None" = None
    kvlist_value: "_KeyValues | None" = None

    def plain(self) -> Any:
        if self.array_value is not None:
            return [value.plain() for value in self.array_value.values]
        if self.kvlist_value is not None:
            return _plain(self.kvlist_value.values)
        scalars = (self.string_value, self.bool_value, self.int_value, self.double_value, self.bytes_value)
        return next((scalar for scalar in scalars if scalar is not None), None)


class _Values(msgspec.Struct):
    values: list[_Value]


class _KeyValue(msgspec.Struct):
    key: str
    value: _Value | None = None


class _KeyValues(msgspec.Struct):
    values: list[_KeyValue]


class _Event(msgspec.Struct, rename="camel"):
    name: str
    time_unix_nano: int
    attributes: list[_KeyValue]


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Span(msgspec.Struct, rename="camel"):
    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    attributes: list[_KeyValue]
    events: list[_Event]
    status: _Status | None = None


# Not strict, because OTLP's JSON form writes 64-bit integers as strings.
_decode: Final = msgspec.json.Decoder(_Span, strict=False).decode


def _plain(attributes: list[_KeyValue]) -> dict[str, Any]:
    return {item.key: None if item.value is None else item.value.plain() for item in attributes}


def _span(line: bytes) -> OtlpSpan:
    span = _decode(line)
    status = span.status or _Status()
    return OtlpSpan(
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        attributes=_plain(span.attributes),
        events=[OtlpEvent(event.name, _plain(event.attributes), event.time_unix_nano) for event in span.events],
        status_code=_STATUS_CODES[status.code],
        status_message=status.message,
        start_time_unix_nano=span.start_time_unix_nano,
        end_time_unix_nano=span.end_time_unix_nano,
    )
