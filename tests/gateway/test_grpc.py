"""The gateway by gRPC: a success is the same promise as by HTTP, and what is refused says so in gRPC's own way."""

import errno
import gzip
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.fault_server import FaultServer, accepted, fault_server, held, status
from tests.gateway.gateways import KEY, Gateway, start_gateway
from tests.gateway.requests import attribute, json_request, json_span, protobuf_of
from tests.gateway.test_bad_input import MOST_RESIDENT, bomb, message, resident
from tests.grpc_client import EXPORT, HEALTH, LOGS, METRICS, SERVICE, GrpcClient, Reply, start_grpc_client
from tests.http2 import Call, calling, prefix
from tests.ports import default_grpc_port, unused_port
from tests.receiver import COMMAND, wait_for
from tests.spans.foreign import a_span

pytestmark = pytest.mark.process

STEP: Final = protobuf_of([a_span()])
GRPC: Final = ("--grpc-port", "0")
SERVING: Final = b"\x08\x01"
NOT_SERVING: Final = b"\x08\x02"
MAX_MESSAGE: Final = 16 * 1_048_576


@pytest.fixture(scope="module")
def client() -> Iterator[GrpcClient]:
    with start_grpc_client() as started:
        yield started


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for tests that send nothing that another one would see."""
    journal = tmp_path_factory.mktemp("gateway") / "journal"
    with fault_server() as failpath, start_gateway(failpath.url, journal, *GRPC) as started:
        yield started


def url_of(gateway: Gateway) -> str:
    assert gateway.grpc is not None
    return gateway.grpc


def still_works(gateway: Gateway, client: GrpcClient) -> bool:
    return client.call(url_of(gateway), STEP).code == "OK"


@pytest.mark.parametrize("journaled", [True, False], ids=["journal", "memory"])
@pytest.mark.parametrize("gzipped", [True, False], ids=["gzip", "plain"])
def test_a_step_is_delivered_and_counted_with_those_by_http(
    server: FaultServer, client: GrpcClient, tmp_path: Path, journaled: bool, gzipped: bool
) -> None:
    body = protobuf_of([a_span(), a_span(identity={})])
    with start_gateway(server.url, tmp_path / "journal" if journaled else None, *GRPC) as gateway:
        assert client.call(url_of(gateway), body, gzip=gzipped) == Reply("OK")
        server.wait_for_events(2)
        assert server.statuses == ["running", "success"]
        assert gateway.send(body).status == 200
        counts = gateway.health()["spans"]
        assert (counts["requests"], counts["refused"], counts["steps"], counts["ignored"]) == (2, 0, 2, 2)


def test_spans_that_cannot_be_used_are_a_partial_success(gateway: Gateway, client: GrpcClient) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    )

    request = ExportTraceServiceRequest.FromString(protobuf_of([a_span(), a_span()]))
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b"\0"
    reply = client.call(url_of(gateway), request.SerializeToString())
    assert reply.code == "OK"
    partial = ExportTraceServiceResponse.FromString(reply.message).partial_success
    assert (partial.rejected_spans, partial.error_message[:8]) == (1, "span 0: ")


def nested(depth: int) -> bytes:
    """A step with a value in lists of lists, so deep."""
    value = b""
    for _ in range(depth):
        value = message(5, message(1, value))
    names = {"failpath.flow.key": "checkout", "failpath.step.key": "charge"}
    texts = [message(1, key.encode()) + message(2, message(1, text.encode())) for key, text in names.items()]
    attributes = [*texts, message(1, b"failpath.metadata.deep") + message(2, value)]
    ids = message(1, bytes(range(16))) + message(2, bytes(range(8)))
    return message(1, message(2, message(2, ids + b"".join(message(9, each) for each in attributes))))


REFUSED: list[tuple[str, bytes | int, str, str]] = [
    ("garbage", b"\xff\xfe garbage", "INVALID_ARGUMENT", "no ExportTraceServiceRequest"),
    ("cut short", STEP[:-3], "INVALID_ARGUMENT", "no ExportTraceServiceRequest"),
    ("JSON", json_request(json_span()), "INVALID_ARGUMENT", "no ExportTraceServiceRequest"),
    ("gzip cut short", gzip.compress(STEP)[:-9], "INVALID_ARGUMENT", "cannot be decompressed"),
    ("a gzip bomb", bomb(1 << 30), "RESOURCE_EXHAUSTED", "when it is decompressed"),
    ("too large", MAX_MESSAGE + 1, "RESOURCE_EXHAUSTED", "larger than max"),
    ("a hundred megabytes", 100_000_000, "RESOURCE_EXHAUSTED", "larger than max"),
]


@pytest.mark.parametrize(("sent", "code", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_bad_input_is_refused_for_good_with_a_reason(
    gateway: Gateway, client: GrpcClient, sent: bytes | int, code: str, text: str
) -> None:
    refused = gateway.health()["spans"]["refused"]
    reply = client.call(url_of(gateway), sent)
    assert reply.code == code
    assert text in reply.text
    assert reply.retry_after is None, "senders would send it again"
    # What gRPC refuses by itself, the gateway learns of a moment later.
    assert wait_for(lambda: gateway.health()["spans"]["refused"] == refused + 1)
    assert still_works(gateway, client)
    assert resident(gateway) < MOST_RESIDENT


def test_a_span_that_is_nested_without_end_costs_itself_alone(gateway: Gateway, client: GrpcClient) -> None:
    before = gateway.health()["spans"]
    reply = client.call(url_of(gateway), nested(5_000) + STEP)
    assert reply.code == "OK"
    assert b"span 0: " in reply.message
    after = gateway.health()["spans"]
    assert [after[name] - before[name] for name in ("steps", "rejected")] == [1, 1]


def test_a_message_that_is_as_large_as_may_be_is_read(gateway: Gateway, client: GrpcClient) -> None:
    padding = attribute("text", "x" * 900_000)
    large = protobuf_of([a_span(attributes={"text": padding["value"]["stringValue"]}) for _ in range(17)])
    assert 4 * 1_048_576 < len(large) < MAX_MESSAGE
    assert client.call(url_of(gateway), large).code == "OK"


@pytest.mark.parametrize(("method", "signal_name"), [(METRICS, "METRICS"), (LOGS, "LOGS")])
def test_another_signal_is_refused_with_the_variable_to_set(
    gateway: Gateway, client: GrpcClient, method: str, signal_name: str
) -> None:
    for _ in range(2):
        reply = client.call(url_of(gateway), STEP, method)
        assert (reply.code, reply.status) == ("UNIMPLEMENTED", (12, reply.text))
        assert f"set OTEL_{signal_name}_EXPORTER=none" in reply.text
    said = [line for line in gateway.stderr().splitlines() if f"OTEL_{signal_name}_EXPORTER=none" in line]
    assert len(said) == 1


def test_another_signal_is_taken_and_discarded_where_that_is_asked_for(
    server: FaultServer, client: GrpcClient, tmp_path: Path
) -> None:
    with start_gateway(server.url, tmp_path / "journal", *GRPC, "--accept-other-signals") as gateway:
        assert client.call(url_of(gateway), b"anything", METRICS) == Reply("OK")
        counted = gateway.health()
        assert counted["other_signals"]["metrics"] == {"discarded": 1, "refused": 0}
        assert (counted["spans"]["requests"], gateway.stderr()) == (0, "")


def test_the_health_service_knows_the_service_of_traces_and_the_server(gateway: Gateway, client: GrpcClient) -> None:
    named = message(1, SERVICE.encode())
    assert client.call(url_of(gateway), b"", HEALTH) == Reply("OK", message=SERVING)
    assert client.call(url_of(gateway), named, HEALTH) == Reply("OK", message=SERVING)
    assert client.call(url_of(gateway), message(1, b"other"), HEALTH).code == "NOT_FOUND"
    # Who watches learns from this that it need not.
    assert client.call(url_of(gateway), b"", "/grpc.health.v1.Health/Watch").code == "UNIMPLEMENTED"
    assert client.call(url_of(gateway), b"", "/other.Service/Export").code == "UNIMPLEMENTED"


def test_senders_show_the_token_and_probes_need_none(server: FaultServer, client: GrpcClient, tmp_path: Path) -> None:
    with start_gateway(server.url, tmp_path / "journal", *GRPC, "--token", "secret-of-mine") as gateway:
        url = url_of(gateway)
        assert client.call(url, STEP).code == "UNAUTHENTICATED"
        assert client.call(url, STEP, METRICS).code == "UNAUTHENTICATED"
        assert client.call(url, STEP, authorization="Bearer secret-of-yours").code == "UNAUTHENTICATED"
        assert client.call(url, STEP, authorization="Bearer secret-of-mine") == Reply("OK")
        assert client.call(url, b"", HEALTH).message == SERVING


def test_while_nothing_can_be_accepted_senders_learn_when_to_come_again(client: GrpcClient) -> None:
    with fault_server(status(429, Retry_After="70")) as failpath, start_gateway(failpath.url, None, *GRPC) as gateway:
        for _ in range(2):
            reply = client.call(url_of(gateway), STEP)
            assert (reply.code, reply.status) == ("UNAVAILABLE", (14, reply.text))
            assert reply.retry_after is not None
            assert 60 < reply.retry_after <= 70
        assert client.call(url_of(gateway), b"", HEALTH).message == NOT_SERVING
        assert gateway.health()["spans"]["refused"] == 2


def test_a_signal_lets_calls_in_progress_end_and_no_others_begin(client: GrpcClient) -> None:
    gate = threading.Event()
    replies: list[Reply] = []
    with (
        fault_server(held(gate, accepted)) as failpath,
        start_gateway(failpath.url, None, *GRPC, FAILPATH_SEND_TIMEOUT="20") as gateway,
        start_grpc_client() as patient,
    ):
        url = url_of(gateway)
        assert client.call(url, b"", HEALTH).message == SERVING
        thread = threading.Thread(target=lambda: replies.append(patient.call(url, STEP)))
        thread.start()
        failpath.wait_for_requests(1)
        gateway.process.send_signal(signal.SIGTERM)
        wait_for(lambda: client.call(url, b"", HEALTH).message == NOT_SERVING)
        reply = client.call(url, STEP)
        assert (reply.code, reply.text, reply.retry_after) == ("UNAVAILABLE", "this server is shutting down", 1)
        gate.set()
        thread.join(20)
        assert gateway.process.wait(20) == 0
        assert gateway.stderr() == ""
    assert replies == [Reply("OK")]
    assert failpath.statuses == ["running", "success"]


def test_a_kill_between_the_answer_and_the_delivery_loses_nothing(client: GrpcClient, tmp_path: Path) -> None:
    with fault_server(status(503)) as failpath:
        with start_gateway(failpath.url, tmp_path / "journal", *GRPC) as gateway:
            assert client.call(url_of(gateway), STEP).code == "OK"
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait(10)
        failpath.answer_with(accepted)
        with start_gateway(failpath.url, tmp_path / "journal"):
            failpath.wait_for_events(2)
            wait_for(lambda: len(failpath.taken) == 2)


def test_calls_that_never_send_their_message_do_not_block_others(gateway: Gateway, client: GrpcClient) -> None:
    """There are more of them than messages are read at a time."""
    with ExitStack() as stack:
        for number in range(40):
            call = stack.enter_context(calling(url_of(gateway)))
            call.begin()
            if number % 2:
                call.send(prefix(len(STEP)) + STEP[:-1])
        assert still_works(gateway, client)


def test_a_message_that_never_ends_is_refused_and_may_come_again(server: FaultServer) -> None:
    impatient = "from failpath_otel.serving import body; body.BODY_SECONDS = 0.3"
    with start_gateway(server.url, None, *GRPC, before=impatient) as gateway, calling(url_of(gateway)) as call:
        call.begin()
        call.send(prefix(len(STEP)) + STEP[:-1])
        assert b"the message took longer than" in call.wait_for_end()


def test_many_large_messages_at_once_stay_within_bounds_of_memory(gateway: Gateway, client: GrpcClient) -> None:
    size = MAX_MESSAGE - 1
    part = prefix(size) + bytes(size - 1)

    def send(call: Call) -> None:
        with suppress(OSError, AssertionError):  # it was refused, or the test is over
            call.begin()
            call.send(part)

    with ExitStack() as stack:
        calls = [stack.enter_context(calling(url_of(gateway))) for _ in range(20)]
        threads = [threading.Thread(target=send, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        assert wait_for(lambda: still_works(gateway, client), 30)
        assert resident(gateway) < MOST_RESIDENT
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_many_connections_without_a_call_do_not_block_others(gateway: Gateway, client: GrpcClient) -> None:
    host, _, port = url_of(gateway).rpartition("//")[2].rpartition(":")
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection((host, int(port)), 20))
        assert still_works(gateway, client)


def ended(*options: str) -> "subprocess.CompletedProcess[str]":
    variables = {**os.environ, "FAILPATH_PROJECT_KEY": KEY, "FAILPATH_JOURNAL": "off"}
    command = [*COMMAND, "gateway", "--port", "0", *options]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)


def test_a_port_that_was_asked_for_and_is_taken_ends_it_with_one_line(server: FaultServer) -> None:
    port = server.url.rpartition(":")[2]
    done = ended("--grpc-port", port)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert f"cannot serve at 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}, perhaps by an OpenTelemetry Col" in line
    assert "--grpc-port (0 picks a free one)" in line


def test_the_default_port_if_it_is_taken_is_one_warning_and_http_goes_on(server: FaultServer, tmp_path: Path) -> None:
    with default_grpc_port() as free, socket.socket() as taken:
        if free:
            taken.bind(("127.0.0.1", 4317))
            taken.listen()
        with start_gateway(server.url, tmp_path / "journal", grpc=None) as gateway:
            assert gateway.send(STEP).status == 200
            [line] = gateway.stderr().splitlines()
    assert gateway.grpc is None
    assert "gRPC is not served, because port 4317 cannot be used" in line
    assert "--grpc-port off" in line


def test_a_sender_of_grpc_at_the_port_of_http_learns_the_one_of_grpc(gateway: Gateway, client: GrpcClient) -> None:
    assert client.call(gateway.url, STEP).code == "UNAVAILABLE"
    port = gateway.url.rpartition(":")[2]
    [line] = [line for line in gateway.stderr().splitlines() if f"speaks gRPC to port {port}" in line]
    assert f"set OTEL_EXPORTER_OTLP_ENDPOINT={url_of(gateway)} for it" in line


def test_a_port_is_free_again_when_a_gateway_has_ended(server: FaultServer, client: GrpcClient) -> None:
    port = ("--grpc-port", str(unused_port()))
    for _ in range(2):
        with start_gateway(server.url, None, *port) as gateway:
            assert client.call(url_of(gateway), STEP, EXPORT).code == "OK"
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(20) == 0
            assert gateway.stderr() == ""


def threads(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


def test_calls_that_are_cancelled_take_their_places_until_their_work_is_done(client: GrpcClient) -> None:
    """Or a sender that gives up again and again would take any number of threads, and their memory."""
    gate = threading.Event()

    with (
        fault_server(held(gate, accepted)) as failpath,
        start_gateway(failpath.url, None, *GRPC, FAILPATH_SEND_TIMEOUT="20") as gateway,
    ):
        gateway.request("/metrics")  # has begun what it needs
        before = threads(gateway)
        for _ in range(2):
            with ExitStack() as calls:
                for _ in range(40):
                    call = calls.enter_context(calling(url_of(gateway)))
                    call.begin()
                    call.send(prefix(len(STEP)) + STEP)
                wait_for(lambda: threads(gateway) >= before + 32)
                for _ in range(20):
                    gateway.health()
                    assert threads(gateway) <= before + 32 + 8
            wait_for(lambda: b'code="CANCELLED"' in gateway.request("/metrics").body)
        gate.set()
        wait_for(lambda: still_works(gateway, client))
        assert gateway.stderr() == ""
