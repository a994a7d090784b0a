"""The preset for Flask, with its instrumentation."""

from collections.abc import Iterator

import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from tests.fault_server import FaultServer
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import Watched, watching

PAY = "POST /orders/<int:number>/pay"


@pytest.fixture
def watched(server: FaultServer) -> Iterator[Watched]:
    with watching(server, "preset:flask") as made:
        yield made


@pytest.fixture
def shop(watched: Watched) -> Iterator[Flask]:
    app = Flask(__name__)
    app.logger.disabled = True

    @app.post("/orders/<int:number>/pay")
    def pay(number: int) -> str:
        watched.look()
        if number == 2:
            raise PermissionError("card declined")
        return "paid"

    FlaskInstrumentor().instrument_app(app, tracer_provider=watched.provider)  # type: ignore[no-untyped-call]
    yield app
    FlaskInstrumentor.uninstrument_app(app)  # type: ignore[no-untyped-call]


def test_a_route_is_one_step_for_all_numbers_in_it_and_a_view_that_raises_is_its_error(
    watched: Watched, shop: Flask
) -> None:
    with shop.test_client() as client:
        assert client.post("/orders/1/pay").status_code == 200
        assert client.post("/orders/2/pay").status_code == 500
    first = [("trace", PAY, "running"), ("trace", PAY, "success")]
    assert watched.rows() == [*first, ("trace", PAY, "running"), ("trace", PAY, "error")]
    assert watched.inside == [first[:1], [*first, ("trace", PAY, "running")]]
    assert watched.server.events[-1]["error"] == {"name": "PermissionError", "message": "card declined"}
    assert pages_of(watched.server.events) == documented("flask")


def test_addresses_without_a_route_make_no_step(watched: Watched, shop: Flask) -> None:
    with shop.test_client() as client:
        assert [client.get(f"/wp-admin/{number}").status_code for number in range(3)] == [404] * 3
    assert watched.rows() == []
