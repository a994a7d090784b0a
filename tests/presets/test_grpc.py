"""The preset for gRPC, with its instrumentation: a server and its client, in a process of their own."""

from typing import Final

import pytest

from tests.delivery.programs import succeed
from tests.fault_server import FaultServer
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import SERVICE, rows

pytestmark = pytest.mark.process

PROGRAM: Final = """
from concurrent.futures import ThreadPoolExecutor

import failpath_otel
import grpc
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
failpath = failpath_otel.configure()
GrpcInstrumentorServer().instrument()
GrpcInstrumentorClient().instrument()


def pay(request, context):
    failpath.flush(30)
    print(failpath.stats().delivered, flush=True)
    if request == b"2":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
    return b"paid"


handler = grpc.method_handlers_generic_handler("shop.Orders", {"Pay": grpc.unary_unary_rpc_method_handler(pay)})
with ThreadPoolExecutor(1) as pool:
    server = grpc.server(pool)
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary("/shop.Orders/Pay")
        print(call(b"1", timeout=30), flush=True)
        try:
            call(b"2", timeout=30)
        except grpc.RpcError as error:
            print(error.code(), flush=True)
    server.stop(30).wait(30)
print(failpath.flush(30), flush=True)
"""


def test_a_call_is_one_step_at_its_server_and_none_at_its_client_and_one_that_aborts_is_an_error(
    server: FaultServer,
) -> None:
    ended = succeed(PROGRAM, server.url, FAILPATH_RULES="preset:grpc", OTEL_SERVICE_NAME=SERVICE)
    pay = "shop.Orders/Pay"
    assert rows(server.events) == [
        *(("trace", pay, "running"), ("trace", pay, "success")),
        *(("trace", pay, "running"), ("trace", pay, "error")),
    ]
    assert ended.lines == ["1", "b'paid'", "3", "StatusCode.NOT_FOUND", "True"]
    [failed] = [event for event in server.events if event["status"] == "error"]
    assert failed["error"]["message"] == "gRPC 5 NOT_FOUND"
    assert pages_of(server.events) == documented("grpc")
