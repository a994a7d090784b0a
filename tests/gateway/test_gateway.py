"""A gateway between a program and Failpath: a 2xx is a promise, which also holds when the gateway is killed."""

import gzip
import os
import signal
import socket
import subprocess
import threading
from http.client import HTTPException
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from failpath_otel import Failpath
from tests.fault_server import FaultServer, accepted, answer, fault_server, held, json_answer, refusing_where, status
from tests.gateway.gateways import KEY, start_gateway
from tests.gateway.requests import JSON, PROTOBUF, attribute, body_of, json_request, json_span, protobuf_of
from tests.ports import unused_url
from tests.receiver import COMMAND, wait_for
from tests.spans.foreign import a_span

pytestmark = pytest.mark.process


def numbered(number: int) -> dict[str, object]:
    return json_span(spanId=f"{number:016x}")


def ids(server: FaultServer) -> list[str]:
    return [event["id"] for event in server.taken]


@pytest.mark.parametrize("journaled", [True, False], ids=["journal", "memory"])
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("gzipped", [True, False], ids=["gzip", "plain"])
def test_a_step_is_delivered(server: FaultServer, tmp_path: Path, kind: str, journaled: bool, gzipped: bool) -> None:
    body = body_of([a_span(), a_span(identity={})], kind)
    with start_gateway(server.url, tmp_path / "journal" if journaled else None, NO_FORGE="1") as gateway:
        headers = {"Content_Encoding": "gzip"} if gzipped else {}
        reply = gateway.send(gzip.compress(body) if gzipped else body, kind, **headers)
        assert (reply.status, reply.body) == (200, b"{}" if kind == JSON else b"")
        assert reply.headers["content-type"] == kind
        server.wait_for_events(2)
        assert server.statuses == ["running", "success"]
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert gateway.health()["spans"] == {
            "requests": 1,
            "refused": 0,
            "received": 2,
            "steps": 1,
            "ignored": 1,
            "rejected": 0,
        }


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_exporter_of_opentelemetry_speaks_to_it(
    server: FaultServer, tmp_path: Path, compression: Compression
) -> None:
    with start_gateway(server.url, tmp_path / "journal") as gateway:
        resource = Resource({"process.pid": 12, "host.name": "box"})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{gateway.url}/v1/traces", compression=compression)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        run = Failpath(tracer_provider=provider).run("checkout", run_id="req-1")
        run.step("validate", lambda: None)
        with pytest.raises(ZeroDivisionError):
            run.step("charge", lambda: 1 / 0)
        events = server.wait_for_events(4)
        provider.shutdown()
    assert [(event["stepKey"], event["status"]) for event in events] == [
        ("validate", "running"),
        ("validate", "success"),
        ("charge", "running"),
        ("charge", "error"),
    ]
    assert events[3]["error"] == {"name": "ZeroDivisionError", "message": "division by zero"}
    assert all(event["process"] == {"pid": 12, "host": "box"} for event in events)


def test_a_span_that_is_sent_twice_has_the_same_records(server: FaultServer, tmp_path: Path) -> None:
    body = protobuf_of([a_span()])
    with start_gateway(server.url, tmp_path / "a") as first, start_gateway(server.url, None) as second:
        assert first.send(body).status == second.send(body).status == 200
        events = server.wait_for_events(4)
    assert len({event["id"] for event in events}) == 2


@pytest.mark.whole
def test_a_kill_between_the_answer_and_the_delivery_loses_nothing(tmp_path: Path) -> None:
    with fault_server(status(503)) as server:
        with start_gateway(server.url, tmp_path / "journal") as gateway:
            for number in range(1, 21):
                assert gateway.send(json_request(numbered(number)), JSON).status == 200
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait(10)
        assert server.taken == []
        server.answer_with(accepted)
        with start_gateway(server.url, tmp_path / "journal"):
            wait_for(lambda: len(ids(server)) == 40)
    assert {event["spanId"] for event in server.taken} == {f"{number:016x}" for number in range(1, 21)}


def test_a_kill_under_load_loses_nothing_of_what_was_answered(server: FaultServer, tmp_path: Path) -> None:
    answered: list[int] = []
    with start_gateway(server.url, tmp_path / "journal") as gateway:

        def send() -> None:
            number = 0
            while True:
                number += 1
                try:
                    taken = gateway.send(json_request(numbered(number)), JSON).status == 200
                except (OSError, HTTPException):  # the second in the midst of an answer
                    return
                if taken:
                    answered.append(number)

        thread = threading.Thread(target=send)
        thread.start()
        wait_for(lambda: len(answered) > 100, 30)
        gateway.process.send_signal(signal.SIGKILL)
        thread.join(30)
        gateway.process.wait(10)
    with start_gateway(server.url, tmp_path / "journal"):
        expected = {f"{number:016x}" for number in answered}
        wait_for(lambda: expected <= {event["spanId"] for event in server.events if event["status"] == "success"}, 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_when_everything_is_delivered(tmp_path: Path, number: signal.Signals) -> None:
    gate = threading.Event()
    with fault_server(held(gate, accepted), accepted) as server:
        with start_gateway(server.url, tmp_path / "journal", NO_FORGE="1") as gateway:
            assert gateway.send(protobuf_of([a_span()])).status == 200
            server.wait_for_requests(1)
            gateway.process.send_signal(number)
            gate.set()
            assert gateway.process.wait(20) == 0
            assert gateway.stderr() == ""
        assert server.statuses == ["running", "success"]
    assert not list((tmp_path / "journal").glob("*"))


def test_a_signal_leaves_in_the_journal_what_cannot_be_delivered(tmp_path: Path) -> None:
    with start_gateway(unused_url(), tmp_path / "journal") as gateway:
        assert gateway.send(protobuf_of([a_span()])).status == 200
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
        assert "2 records wait in" in gateway.stderr()
    with fault_server() as server, start_gateway(server.url, tmp_path / "journal"):
        pass  # it was for another endpoint


def test_without_a_journal_what_cannot_be_delivered_is_refused(tmp_path: Path) -> None:
    with fault_server(status(503)) as server, start_gateway(server.url, None) as gateway:
        refused = [gateway.send(json_request(numbered(number)), JSON) for number in (1, 2)]
        assert [reply.status for reply in refused] == [503, 503]
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        assert refused[0].json()["code"] == 14
        assert gateway.health()["status"] == "failing"
        assert gateway.health()["records"]["waiting"] == 2, "the second request waits nowhere but at its sender"
        server.answer_with(accepted)
        wait_for(lambda: gateway.send(json_request(numbered(2)), JSON).status == 200, 30)
        assert {event["spanId"] for event in server.taken} >= {f"{2:016x}"}


def test_a_retry_after_of_the_endpoint_is_passed_on_to_the_sender(tmp_path: Path) -> None:
    with fault_server(status(429, Retry_After="70")) as server, start_gateway(server.url, None) as gateway:
        reply = gateway.send(protobuf_of([a_span()]))
        assert (reply.status, 60 < int(reply.headers["retry-after"]) <= 70) == (503, True)


def test_a_record_that_failpath_rejects_is_a_warning(tmp_path: Path) -> None:
    rejecting = json_answer({"rejected": [{"index": 1, "reason": "unknown flow"}]}, takes=(1,))
    with fault_server(rejecting) as server, start_gateway(server.url, None) as gateway:
        reply = gateway.send(json_request(numbered(1)), JSON)
    assert reply.status == 200
    assert "unknown flow" in reply.json()["partialSuccess"]["errorMessage"]


def test_a_record_that_failpath_refuses_for_what_it_contains_is_a_warning(tmp_path: Path) -> None:
    wrong = f"{1:016x}"
    with (
        fault_server(accepted, refusing_where(lambda event: event["spanId"] == wrong)) as server,
        start_gateway(server.url, None) as gateway,
    ):
        assert gateway.send(json_request(numbered(3)), JSON).status == 200
        reply = gateway.send(json_request(numbered(1), numbered(2)), JSON)
        taken = {event["spanId"] for event in server.taken}
    assert reply.status == 200
    assert "(400)" in reply.json()["partialSuccess"]["errorMessage"]
    assert taken == {f"{2:016x}", f"{3:016x}"}


def test_what_failpath_refuses_for_good_is_not_said_to_be_taken(tmp_path: Path) -> None:
    with fault_server(answer(404)) as server, start_gateway(server.url, None) as gateway:
        assert gateway.send(protobuf_of([a_span()])).status == 503


def test_senders_show_the_token_which_may_be_in_a_file_as_the_key_may(server: FaultServer, tmp_path: Path) -> None:
    body = protobuf_of([a_span()])
    for name, content in (("key", "fp_project_of_a_file\n"), ("token", " secret-of-mine\n")):
        (tmp_path / name).write_text(content)
    files = ("--project-key-file", str(tmp_path / "key"), "--token-file", str(tmp_path / "token"))
    with start_gateway(server.url, tmp_path / "journal", *files, FAILPATH_PROJECT_KEY="") as gateway:
        assert gateway.send(body).status == 401
        assert gateway.send(body, Authorization="Bearer secret-of-yours").status == 401
        assert gateway.send(body, Authorization="Bearer secret-of-mine").status == 200
        assert gateway.health("secret-of-mine")["spans"]["requests"] == 1
        [request, *_] = server.wait_for_requests(1)
    assert request.headers["authorization"] == "Bearer fp_project_of_a_file"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"FAILPATH_PROJECT_KEY": ""}, "set FAILPATH_PROJECT_KEY"),
        ({"FAILPATH_DEV_ENDPOINT": "nowhere"}, "FAILPATH_DEV_ENDPOINT"),
        ({"FAILPATH_SEND_TIMEOUT": "soon"}, "FAILPATH_SEND_TIMEOUT"),
        ({"FAILPATH_ENABLED": "false"}, "FAILPATH_ENABLED turns delivery off"),
    ],
    ids=str,
)
def test_an_option_that_cannot_work_ends_it_with_one_line(changed: dict[str, str], said: str) -> None:
    variables = {**os.environ, "FAILPATH_PROJECT_KEY": KEY, "FAILPATH_JOURNAL": "off", **changed}
    command = [*COMMAND, "gateway", "--port", "0"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_ends_it_with_one_line(server: FaultServer) -> None:
    variables = {**os.environ, "FAILPATH_PROJECT_KEY": KEY, "FAILPATH_JOURNAL": "off"}
    command = [*COMMAND, "gateway", "--port", server.url.rpartition(":")[2]]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    port = server.url.rpartition(":")[2]
    assert f"cannot serve at 127.0.0.1:{port}: Address already in use, perhaps by another gateway, or an" in line
    assert f"`lsof -i :{port}`" in line
    assert "--port" in line


def test_requests_for_unknown_routes_are_counted_and_a_sender_of_grpc_gets_the_reason(
    server: FaultServer, tmp_path: Path
) -> None:
    with start_gateway(server.url, tmp_path / "journal", "--token", "a-long-token") as gateway:
        assert gateway.request("/v1/traces/", b"{}", Content_Type=JSON).status == 404
        assert gateway.request("/v1/traces", method="GET").status == 405, "the route is known"
        health = gateway.health("a-long-token")
        assert (health["unknown_routes"], health["spans"]["refused"]) == (1, 0)
        assert gateway.health() == {"status": "ok"}, "without the token there are no figures"
        port = int(gateway.url.rpartition(":")[2])
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), 20) as connection:
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        [line] = gateway.stderr().splitlines()
        assert f"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and OTEL_EXPORTER_OTLP_ENDPOINT={gateway.url} " in line


def test_a_rule_makes_steps_of_spans_that_carry_none_of_our_names(server: FaultServer, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nflow = "checkout"\nstep = "charge"\nspan_name = "POST /charge"\nrun_id = "order"\n')
    order = attribute("order", "o-7")
    other = json_span(name="GET /health", attributes=[])
    unusable = json_span(name="POST /charge", attributes=[order], traceId="00")
    with start_gateway(server.url, tmp_path / "journal", FAILPATH_RULES=str(rules)) as gateway:
        body = json_request(json_span(name="POST /charge", attributes=[order]), other, unusable)
        reply = gateway.send(body, JSON)
        assert reply.json()["partialSuccess"]["errorMessage"] == "span 2: its trace id has 1 bytes, not 16"
        events = server.wait_for_events(2)
        counts = gateway.health()["spans"]
    assert (counts["steps"], counts["ignored"], counts["rejected"]) == (1, 1, 1)
    assert {(event["flowKey"], event["runId"], event["stepKey"]) for event in events} == {("checkout", "o-7", "charge")}


def test_a_large_request_that_was_compressed_well_is_taken(server: FaultServer, tmp_path: Path) -> None:
    body = json_request(*[numbered(number) for number in range(1, 5_001)])
    packed = gzip.compress(body)
    assert len(packed) < 1_048_576 < len(body)
    # On a machine that is busy, a batch that has come must not be taken for lost, and sent again.
    with start_gateway(server.url, tmp_path / "journal", FAILPATH_SEND_TIMEOUT="30") as gateway:
        assert gateway.send(packed, JSON, Content_Encoding="gzip").status == 200
        assert len(server.wait_for_events(10_000, 30)) == 10_000
