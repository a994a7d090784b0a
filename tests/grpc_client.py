"""A client of gRPC in a process of its own, because gRPC has threads, and processes of tests fork.

As a program, ``python -m tests.grpc_client``, it reads calls from its input, a line of JSON each, and makes them.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
EXPORT: Final = f"/{SERVICE}/Export"
METRICS: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LOGS: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
HEALTH: Final = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True)
class Reply:
    """How a call has ended: the code, its text, and for a success the message."""

    code: str
    text: str = ""
    message: bytes = b""
    retry_after: float | None = None
    """Seconds, by the ``RetryInfo``."""
    status: tuple[int, str] | None = None
    """That of ``google.rpc.Status``."""


class GrpcClient:
    """The process; one channel for each server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process: Final = process

    def call(
        self,
        url: str,
        message: bytes | int = b"",
        method: str = EXPORT,
        *,
        gzip: bool = False,
        ca: Path | None = None,
        identity: Path | None = None,
        **metadata: str,
    ) -> Reply:
        """Makes a call, with so many zeros where the message is a number, and waits for its end."""
        sent = message if isinstance(message, int) else base64.b64encode(message).decode()
        tls = {"ca": ca and str(ca), "identity": identity and str(identity)}
        call = {"url": url, "message": sent, "method": method, "gzip": gzip, "metadata": metadata, **tls}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        status = said["status"]
        return Reply(
            said["code"],
            said["text"],
            base64.b64decode(said["message"]),
            said["retry_after"],
            None if status is None else (status[0], status[1]),
        )


@contextmanager
def start_grpc_client() -> Generator[GrpcClient]:
    """Starts a client, and ends it."""
    command = [sys.executable, "-m", "tests.grpc_client"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield GrpcClient(process)
        finally:
            process.kill()


def _main() -> None:
    import grpc  # noqa: PLC0415 - by the program alone

    channels: dict[str, grpc.Channel] = {}
    for line in sys.stdin:
        call = json.loads(line)
        key = f"{call['url']} {call['ca']} {call['identity']}"
        if key not in channels:
            channels[key] = _channel(grpc, call)
        sys.stdout.write(json.dumps(_make(grpc, channels[key], call)) + "\n")
        sys.stdout.flush()


def _channel(grpc: Any, call: Mapping[str, Any]) -> Any:
    address = call["url"].partition("://")[2]
    if call["ca"] is None:
        return grpc.insecure_channel(address)
    ca = Path(call["ca"]).read_bytes()
    pair = None if call["identity"] is None else Path(call["identity"]).read_bytes()
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, pair, pair))


def _make(grpc: Any, channel: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415

    sent = call["message"]
    message = bytes(sent) if isinstance(sent, int) else base64.b64decode(sent)
    method = channel.unary_unary(call["method"])
    compression = grpc.Compression.Gzip if call["gzip"] else grpc.Compression.NoCompression
    metadata = tuple(call["metadata"].items())
    try:
        reply = method(message, timeout=30, metadata=metadata, compression=compression)
    except grpc.RpcError as failure:
        error: Any = failure
        said = {"code": error.code().name, "text": error.details(), "message": "", "retry_after": None, "status": None}
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        if details is not None:
            status = status_pb2.Status.FromString(details)
            said["status"] = [status.code, status.message]
            for detail in status.details:
                info = error_details_pb2.RetryInfo()
                assert detail.Unpack(info)
                said["retry_after"] = info.retry_delay.ToTimedelta().total_seconds()
        return said
    message_of_reply = base64.b64encode(reply).decode()
    return {"code": "OK", "text": "", "message": message_of_reply, "retry_after": None, "status": None}


if __name__ == "__main__":
    _main()
