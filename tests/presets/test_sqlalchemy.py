"""The preset for SQLAlchemy, with its instrumentation and SQLite."""

from pathlib import Path

import pytest
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from tests.fault_server import FaultServer
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import watching


@pytest.mark.parametrize("database", ["", "/shop.sqlite"])
def test_statements_are_steps_by_their_first_word_in_the_run_around_them(
    server: FaultServer, tmp_path: Path, database: str
) -> None:
    url = f"sqlite:///{tmp_path}{database}" if database else "sqlite://"
    engine = create_engine(url, connect_args={"check_same_thread": False}, poolclass=StaticPool)
    with watching(server, "preset:sqlalchemy") as watched:
        instrumentor = SQLAlchemyInstrumentor()
        instrumentor.instrument(engine=engine, tracer_provider=watched.provider)
        try:
            with engine.connect() as connection, watched.failpath.run("shop", run_id="order-17").step("pay"):
                # A function of the database, so that there is something to see while a statement runs.
                driver = connection.connection.driver_connection
                assert driver is not None
                driver.create_function("look", 0, lambda: len(watched.look()))
                connection.execute(text("CREATE TABLE payments (amount INTEGER)"))
                connection.execute(text("INSERT INTO payments VALUES (look())"))
                with pytest.raises(OperationalError):
                    connection.execute(text("SELECT amount FROM refunds"))
        finally:
            instrumentor.uninstrument()
            engine.dispose()
        statuses = [("pay", "running"), ("CREATE", "running"), ("CREATE", "success"), ("INSERT", "running")]
        rest = [("INSERT", "success"), ("SELECT", "running"), ("SELECT", "error"), ("pay", "success")]
        assert watched.rows() == [("order-17", *each) for each in (*statuses, *rest)]
        assert watched.inside == [[("order-17", *each) for each in statuses]]
    [failed] = [event for event in server.events if event["status"] == "error"]
    assert failed["error"]["message"] == "no such table: refunds"
    assert pages_of(server.events) == documented("sqlalchemy")
