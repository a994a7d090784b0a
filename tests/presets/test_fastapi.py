"""The preset for FastAPI, with its instrumentation."""

import asyncio

import httpx
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from tests.fault_server import FaultServer
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import Watched, watching

PAY = "POST /orders/{number}/pay"


def shop(watched: Watched) -> FastAPI:
    app = FastAPI()

    @app.post("/orders/{number}/pay")
    async def pay(number: int) -> str:
        await asyncio.to_thread(watched.look)
        if number == 2:
            raise PermissionError("card declined")
        return "paid"

    FastAPIInstrumentor.instrument_app(app, tracer_provider=watched.provider)
    return app


async def codes(app: FastAPI, *paths: str) -> list[int]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return [(await client.post(path)).status_code for path in paths]


def test_a_request_is_one_step_and_not_also_what_it_sends_and_a_route_that_raises_is_its_error(
    server: FaultServer,
) -> None:
    with watching(server, "preset:fastapi") as watched:
        paths = "/orders/1/pay", "/orders/2/pay", "/wp-admin"
        assert asyncio.run(codes(shop(watched), *paths)) == [200, 500, 404]
        first = [("trace", PAY, "running"), ("trace", PAY, "success")]
        assert watched.rows() == [*first, ("trace", PAY, "running"), ("trace", PAY, "error")]
        assert watched.inside == [first[:1], [*first, ("trace", PAY, "running")]]
    assert watched.server.events[-1]["error"] == {"name": "PermissionError", "message": "card declined"}
    assert pages_of(server.events) == documented("fastapi")
