"""gRPC servers that OpenTelemetry instruments, and whose calls are steps by a rule: each in a process of its own."""

from importlib.util import find_spec
from typing import Final

import pytest

from tests.delivery.programs import run_program
from tests.fault_server import FaultServer

NEEDED: Final = ("grpc", "opentelemetry.instrumentation", "opentelemetry.instrumentation.grpc")
# Not imported here: gRPC has threads, and other tests of this process fork.
pytestmark = pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason="gRPC is not installed")

COMMON: Final = """
import asyncio
from concurrent.futures import ThreadPoolExecutor

import failpath_otel
import grpc
from failpath_otel import StepRule
from opentelemetry.instrumentation import grpc as instrumentation
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
calls = ["returns", "raises", "aborts", "aborts_for_a_fault", "answers_with_a_code", "streams_and_raises"]
rules = [StepRule("shop", key, span_name=f"/shop.Shop/{key}") for key in calls]
failpath = failpath_otel.configure(tracer_provider=provider, rules=rules)


def handlers(made):
    return [
        grpc.method_handlers_generic_handler(
            "shop.Shop",
            {
                key: (grpc.unary_stream_rpc_method_handler if key[0] == "s" else grpc.unary_unary_rpc_method_handler)(
                    made[key]
                )
                for key in calls
            },
        )
    ]


def call_all(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        for key in calls:
            try:
                if key[0] == "s":
                    list(channel.unary_stream(f"/shop.Shop/{key}")(b"order", timeout=30))
                else:
                    channel.unary_unary(f"/shop.Shop/{key}")(b"order", timeout=30)
            except grpc.RpcError:
                pass
"""

THREADS: Final = """
def returns(request, context):
    return b"done"

def raises(request, context):
    raise ValueError("card declined")

def aborts(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such order")

def aborts_for_a_fault(request, context):
    context.abort(grpc.StatusCode.INTERNAL, "no shelf")

def answers_with_a_code(request, context):
    context.set_code(grpc.StatusCode.PERMISSION_DENIED)
    return b""

def streams_and_raises(request, context):
    yield b"one"
    raise ValueError("card declined")

with ThreadPoolExecutor(1) as pool:
    server = grpc.server(pool, interceptors=[instrumentation.server_interceptor(tracer_provider=provider)])
    server.add_generic_rpc_handlers(handlers(globals()))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    call_all(port)
    assert server.stop(30).wait(30)
print(failpath.flush(), flush=True)
"""

ASYNCIO: Final = """
async def returns(request, context):
    return b"done"

async def raises(request, context):
    raise ValueError("card declined")

async def aborts(request, context):
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such order")

async def aborts_for_a_fault(request, context):
    await context.abort(grpc.StatusCode.INTERNAL, "no shelf")

async def answers_with_a_code(request, context):
    context.set_code(grpc.StatusCode.PERMISSION_DENIED)
    return b""

async def streams_and_raises(request, context):
    yield b"one"
    raise ValueError("card declined")

async def main():
    server = grpc.aio.server(interceptors=[instrumentation.aio_server_interceptor(tracer_provider=provider)])
    server.add_generic_rpc_handlers(handlers(globals()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.to_thread(call_all, port)
    await server.stop(30)

asyncio.run(main())
print(failpath.flush(), flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("program", "aborted"),
    [
        (THREADS, ("gRPC 5 NOT_FOUND", "StatusCode.INTERNAL:no shelf")),
        (ASYNCIO, ("Locally aborted.", "Locally aborted.")),  # so says the exception there
    ],
    ids=["threads", "asyncio"],
)
def test_a_call_that_raises_aborts_or_answers_with_a_code_is_an_error(
    server: FaultServer, program: str, aborted: tuple[str, str]
) -> None:
    ended = run_program(COMMON + program, server.url)

    assert (ended.code, ended.lines) == (0, ["True"]), ended
    outcomes = {event["stepKey"]: event for event in server.events if event["status"] != "running"}
    assert len(server.events) == 2 * len(outcomes)
    reported = {key: (event["status"], event.get("error", {}).get("message")) for key, event in outcomes.items()}
    assert reported == {
        "returns": ("success", None),
        "raises": ("error", "card declined"),
        "aborts": ("error", aborted[0]),
        "aborts_for_a_fault": ("error", aborted[1]),
        "answers_with_a_code": ("error", "gRPC 7 PERMISSION_DENIED"),
        "streams_and_raises": ("error", "card declined"),
    }
    assert outcomes["raises"]["error"]["name"] == "ValueError"
