"""Rules with the instrumentations of Flask and SQLAlchemy as they are: their spans are steps, live."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

import failpath_otel
from tests.fault_server import FaultServer
from tests.integration.instrumented import RULES

Told = list[tuple[str, str, str]]


@dataclass
class Shop:
    """An application, what its view does besides paying, and the client that reports."""

    app: Flask
    work: list[Callable[[], object]]
    failpath: failpath_otel.FailpathClient
    server: FaultServer

    def charge(self, run_id: str) -> int:
        with self.app.test_client() as client:
            return client.post("/charge", headers={"X-Request-Id": run_id}).status_code

    def told(self) -> Told:
        return [(event["runId"], event["stepKey"], event["status"]) for event in self.server.events]


@pytest.fixture
def shop(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "X-Request-Id")
    provider = TracerProvider(shutdown_on_exit=False)
    failpath = failpath_otel.configure(
        project_key="fp_project_rules", endpoint=server.url, tracer_provider=provider, rules=RULES
    )
    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE payments (amount INTEGER)"))
    made = Shop(Flask(__name__), [], failpath, server)
    made.app.logger.disabled = True

    @made.app.post("/charge")
    def charge() -> str:
        for each in made.work:
            each()
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO payments VALUES (4999)"))
        return "charged"

    FlaskInstrumentor().instrument_app(made.app, tracer_provider=provider)  # type: ignore[no-untyped-call]
    sql = SQLAlchemyInstrumentor()
    sql.instrument(engine=engine, tracer_provider=provider)
    yield made
    sql.uninstrument()
    FlaskInstrumentor.uninstrument_app(made.app)  # type: ignore[no-untyped-call]
    failpath.shutdown()
    engine.dispose()


def test_a_request_and_its_insert_are_one_run_of_two_steps(shop: Shop) -> None:
    assert shop.charge("req-1") == 200
    assert shop.failpath.flush()
    assert shop.told() == [
        *(("req-1", "charge-card", "running"), ("req-1", "save-payment", "running")),
        *(("req-1", "save-payment", "success"), ("req-1", "charge-card", "success")),
    ]


def test_running_is_at_the_server_while_the_view_runs(shop: Shop) -> None:
    seen: list[Told] = []

    def look() -> None:
        shop.server.wait_for_events(1)
        seen.append(shop.told())

    shop.work.append(look)
    assert shop.charge("req-2") == 200
    assert seen == [[("req-2", "charge-card", "running")]]


def test_an_exception_of_the_view_is_the_error_of_the_step(shop: Shop) -> None:
    def decline() -> None:
        msg = "the bank declined the card, password=hunter2"
        raise PermissionError(msg)

    shop.work.append(decline)
    assert shop.charge("req-3") == 500
    assert shop.failpath.flush()
    assert shop.told() == [("req-3", "charge-card", "running"), ("req-3", "charge-card", "error")]
    error = shop.server.events[1]["error"]
    assert error == {"name": "PermissionError", "message": "the bank declined the card, password=[redacted]"}


def test_a_request_without_the_header_is_a_run_of_its_trace(shop: Shop) -> None:
    with shop.app.test_client() as client:
        assert client.post("/charge").status_code == 200
    assert shop.failpath.flush()
    assert {event["runId"] for event in shop.server.events} == {event["traceId"] for event in shop.server.events}
    assert len(shop.told()) == 4
