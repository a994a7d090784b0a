"""Senders by gRPC: those for which it is the default, with and without a collector between them and the gateway."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fault_server import accepted, fault_server, held, status
from tests.gateway.gateways import start_gateway
from tests.integration.peers import senders
from tests.integration.peers.node import Node
from tests.integration.peers.records import STEPS, Chain, assert_story, statuses
from tests.integration.peers.rotel import start_rotel
from tests.ports import default_grpc_port
from tests.receiver import wait_for

pytestmark = pytest.mark.process


def test_python_with_the_defaults_of_its_distribution_and_no_variable_arrives(run_id: str, tmp_path: Path) -> None:
    """Neither the program nor the gateway says which port: both take that of OTLP over gRPC."""
    with default_grpc_port() as free:
        if not free:
            pytest.skip("another program has port 4317")
        with fault_server() as failpath, start_gateway(failpath.url, tmp_path / "journal", grpc=None) as gateway:
            assert gateway.grpc == "http://127.0.0.1:4317"
            assert senders.run_untouched(run_id) == ""
            chain = Chain(gateway, failpath)
            chain.settle()
            assert statuses(chain.events_of(run_id)) == senders.STEPS
            assert gateway.health()["spans"]["refused"] == 0


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_javascript_arrives(node: Node, chain: Chain, run_id: str, compression: str) -> None:
    told = node.act("steps", run_id, chain.grpc, "grpc", OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    assert (told.taken, told.every("complaint")) == ([True], [])
    chain.settle()
    assert_story(chain.events_of(run_id), run_id, told.pid, told.trace)


def test_by_way_of_rotel_with_grpc_on_both_sides_javascript_arrives(
    node: Node, rotel_program: Path, chain: Chain, run_id: str, tmp_path: Path
) -> None:
    with start_rotel(rotel_program, chain.grpc, tmp_path, protocol="grpc") as rotel:
        told = node.act("steps", run_id, rotel.grpc, "grpc")
        assert (told.taken, told.every("complaint")) == ([True], [])
        wait_for(lambda: len(chain.events_of(run_id)) >= 7)
        chain.settle()
    assert_story(chain.events_of(run_id), run_id, told.pid, told.trace)


def test_the_example_sends_its_steps_to_a_backend_by_grpc(rotel_program: Path, tmp_path: Path) -> None:
    """The backend is rotel, which passes on by HTTP what it has taken by gRPC, to be looked at."""
    spans: dict[str, dict[str, str]] = {}

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
            for span in request.resource_spans[0].scope_spans[0].spans:
                spans[span.name] = {each.key: each.value.string_value for each in span.attributes}
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with start_rotel(rotel_program, f"http://127.0.0.1:{server.server_port}", tmp_path) as rotel:
            assert senders.run_example("otlp_grpc.py", rotel.grpc) == "[1, 2, 3]\n"
            wait_for(lambda: len(spans) == 3)
        server.shutdown()
    outcomes = {name: attributes["failpath.step.status"] for name, attributes in spans.items()}
    assert outcomes == {"load": "success", "sort": "success", "send": "skipped"}
    assert {attributes["failpath.metadata.region"] for attributes in spans.values()} == {"eu"}


def test_while_failpath_takes_nothing_pythons_exporter_comes_again_when_it_is_told_to(run_id: str) -> None:
    with (
        fault_server(status(429, Retry_After="3"), accepted) as failpath,
        start_gateway(failpath.url, None, grpc="0") as gateway,
    ):
        assert gateway.grpc is not None
        done = senders.export(run_id, gateway.grpc)
        assert done.taken == "SUCCESS", done.errors
        # By itself it would have come again after a second or so.
        assert done.seconds >= 2.5
        chain = Chain(gateway, failpath)
        chain.settle()
        assert statuses(chain.kept_of(run_id)) == {"charge": ["running", "success"]}


def test_javascripts_exporter_never_comes_again_by_grpc_so_a_journal_is_what_protects(
    node: Node, run_id: str, tmp_path: Path
) -> None:
    with fault_server(status(503)) as failpath:
        with start_gateway(failpath.url, None, grpc="0") as gateway:
            assert gateway.grpc is not None
            told = node.act("unusable", f"{run_id}-1", gateway.grpc, "grpc")
            assert (told.taken, told.every("retry")) == ([False], [])
            assert gateway.health()["spans"]["refused"] == 1
            failpath.answer_with(accepted)  # its end would wait
        failpath.answer_with(status(503))
        with start_gateway(failpath.url, tmp_path / "journal", grpc="0") as gateway:
            assert gateway.grpc is not None
            assert node.act("steps", run_id, gateway.grpc, "grpc").taken == [True]
            failpath.answer_with(accepted)
            wait_for(lambda: statuses(Chain(gateway, failpath).kept_of(run_id)) == STEPS, 30)


def test_a_gateway_that_ends_lets_an_export_by_grpc_end(run_id: str) -> None:
    gate = threading.Event()
    with (
        fault_server(held(gate, accepted)) as failpath,
        start_gateway(failpath.url, None, grpc="0", FAILPATH_SEND_TIMEOUT="20") as gateway,
    ):
        assert gateway.grpc is not None
        url, done = gateway.grpc, []
        thread = threading.Thread(target=lambda: done.append(senders.export(run_id, url)))
        thread.start()
        failpath.wait_for_requests(1)
        gateway.process.terminate()
        gate.set()
        thread.join(40)
        assert gateway.process.wait(20) == 0
    assert [each.taken for each in done] == ["SUCCESS"]
    assert len(failpath.taken) == 2
