"""A gRPC service that continues the run of its caller, and its caller.

    pip install grpcio
    python examples/frameworks/grpc_service.py serve 50051
    python examples/frameworks/grpc_service.py call 50051 order-17

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. With ``--slow`` the
warehouse takes a minute, so that there is time to kill the service in the middle of a step. The messages are plain
bytes, so that no generated code is needed; with generated classes the lines of this package are the same.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

import failpath_otel

failpath = failpath_otel.configure()


def reserve(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer a unary call in the run of its caller, else in one with the request's id."""
    headers = context.invocation_metadata()
    with failpath.run_from_headers(headers, flow="reserve", run_id_header="x-request-id") as run:
        with run.step("reserve-stock"):
            time.sleep(60 if request == b"slow" else 0.05)
        if request == b"unknown":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such parcel")
        return b"shelf B-7"


def track(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer a call with a stream: the step lasts from the first message to the last."""
    run = failpath.run_from_headers(context.invocation_metadata(), flow="track")
    with run.step("track-parcel"):
        for place in (b"depot", b"van", b"door"):
            yield request + b": " + place


def serve(port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    server = grpc.server(ThreadPoolExecutor(4))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Reserve": grpc.unary_unary_rpc_method_handler(reserve),
        "Track": grpc.unary_stream_rpc_method_handler(track),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Warehouse", handlers),))
    print(f"Serving at 127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}", flush=True)
    server.start()
    server.wait_for_termination()


def call(port: int, order: str, request: bytes) -> None:
    """Call the service in a run, and send its headers as the metadata of the call."""
    run = failpath.run("fulfilment", run_id=order)
    metadata = tuple(run.headers().items())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        reservation: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/shop.Warehouse/Reserve")
        tracking: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/shop.Warehouse/Track")
        print(run.step("call-warehouse", lambda: reservation(request, metadata=metadata)).decode())
        print(*(place.decode() for place in tracking(order.encode(), metadata=metadata)), sep="\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        call(int(sys.argv[2]), sys.argv[3], b"slow" if "--slow" in sys.argv else b"parcel")
