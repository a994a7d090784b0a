"""Secrets that an application plants wherever it can: what leaves the process has none of them."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import failpath_otel
from failpath_otel import DeliveryError, FailpathClient, report
from failpath_otel.options.options import Options
from tests.fault_server import FaultServer, accepted, rejecting, status
from tests.planted import (
    NAMED,
    PROJECT_KEY,
    SECRETS,
    TEXTS,
    found_in,
    plant_by_hand,
    plant_in_errors,
    plant_in_foreign_spans,
    plant_in_metadata,
)


class Application:
    """An application with a backend of its own, and all that has left its process."""

    def __init__(self, server: FaultServer, caplog: pytest.LogCaptureFixture, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.errors: list[DeliveryError] = []
        self.failpath: FailpathClient = failpath_otel.configure(
            project_key=PROJECT_KEY,
            endpoint=server.url,
            tracer_provider=self.provider,
            capture_stack=True,
            default_metadata={**NAMED, "url": TEXTS["pl4nted-url"]},
            on_error=self.errors.append,
            **options,
        )
        self._server = server
        self._caplog = caplog

    def sent(self) -> bytes:
        """The bytes of all requests, but for the header that is there to hold the project key."""
        return b"\n".join(
            "\n".join(value for name, value in request.headers.items() if name != "authorization").encode()
            + request.path.encode()
            + request.body
            for request in self._server.requests
        )

    def exported(self) -> str:
        """What the application's backend has got of our spans."""
        return "\n".join(of_span(span) for span in self.exporter.get_finished_spans() if span.name != "s")

    def said(self) -> str:
        """Everything that was logged, and the errors that ``on_error`` got."""
        return self._caplog.text + "".join(f"{error} {error!r} {error.__dict__}" for error in self.errors)


def of_span(span: ReadableSpan) -> str:
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    return f"{span.name} {span.status.description} {dict(span.attributes or {})} {events}"


@pytest.fixture
def application(
    server: FaultServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    monkeypatch.setattr(report, "_logged", set())
    caplog.set_level(logging.DEBUG)
    made = Application(server, caplog)
    yield made
    made.failpath.shutdown(0)
    made.provider.shutdown()


def assert_clean(application: Application, least_events: int, server: FaultServer) -> None:
    assert application.failpath.flush(30)
    assert len(server.events) >= least_events
    assert found_in(application.sent()) == []
    written = b"".join(path.read_bytes() for path in Path(os.environ["FAILPATH_JOURNAL"]).rglob("*.records"))
    assert written.count(b'"flowKey"') >= least_events
    assert found_in(written) == []
    assert found_in(application.exported()) == []
    assert found_in(application.said()) == []


def test_no_secret_of_an_exception_leaves_the_process_and_the_exception_stays_as_it_is(
    application: Application, server: FaultServer
) -> None:
    shown = []
    for raised, came_out in plant_in_errors(application.failpath.run("checkout", run_id="failing")):
        assert raised is came_out
        shown.append(repr(came_out))
    # They were there: the application sees what it has raised.
    assert {secret for secret in SECRETS if any(secret in text for text in shown)} >= set(TEXTS)
    assert_clean(application, 2 * len(shown), server)
    assert all("stack" in event["error"] for event in server.events if event["status"] == "error")


def test_no_secret_of_a_run_that_fails_leaves_the_process(application: Application, server: FaultServer) -> None:
    for text in TEXTS.values():
        with suppress(OSError), application.failpath.run("checkout") as run:
            run.skip("ship")
            raise OSError(text)
    assert_clean(application, len(TEXTS), server)


def test_no_secret_in_metadata_leaves_the_process(application: Application, server: FaultServer) -> None:
    plant_in_metadata(application.failpath)
    assert_clean(application, 30, server)


def test_no_secret_of_a_record_by_hand_leaves_the_process(application: Application, server: FaultServer) -> None:
    plant_by_hand(application.failpath)
    assert_clean(application, 50, server)


def test_no_secret_in_the_spans_of_others_leaves_the_process_by_us(
    application: Application, server: FaultServer
) -> None:
    plant_in_foreign_spans(application.provider.get_tracer("application"))
    assert_clean(application, 100, server)


def test_what_the_server_says_shows_no_secret(application: Application, server: FaultServer) -> None:
    server.answer_with(*(rejecting(0, reason=text) for text in TEXTS.values()), status(503), accepted)
    for _ in TEXTS:
        application.failpath.run("checkout").skip("ship")
        application.failpath.flush(10)
    assert application.errors
    assert found_in(application.said()) == []


def test_a_warning_of_ours_quotes_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    for text in TEXTS.values():
        report.warn("the server says: %s (%d)", text, 7)
    assert len(caplog.records) == len(TEXTS)
    assert found_in(caplog.text) == []


def test_what_redact_returns_is_redacted_as_well(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    application = Application(server, caplog, redact=lambda key, value: {"was": TEXTS["pl4nted-bearer"]})
    with pytest.raises(OSError, match="no connection"):
        application.failpath.run("checkout").step("pay", lambda: (_ for _ in ()).throw(OSError("no connection")))
    assert_clean(application, 2, server)
    application.failpath.shutdown(0)


class Interrupting(BaseException):
    """Neither an exception nor one that Python knows."""


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, GeneratorExit, RecursionError, Interrupting], ids=lambda kind: str(kind.__name__)
)
def test_a_redact_that_raises_shows_the_value_nowhere(
    server: FaultServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(report, "_logged", set())
    caplog.set_level(logging.DEBUG)

    def redact(key: str, value: object) -> object:
        raise error(f"what is {value}?")

    application = Application(server, caplog, redact=redact)
    run = application.failpath.run("checkout", metadata={"city": "pl4nted, known to redact alone"})
    with pytest.raises(OSError, match="pl4nted"):
        run.step("pay", lambda: (_ for _ in ()).throw(OSError("pl4nted, known to redact alone")))
    assert application.failpath.flush()
    assert [event["status"] for event in server.events] == ["running", "error"]
    assert server.events[1]["error"] == {"name": "OSError", "message": "[redacted]", "stack": "[redacted]"}
    assert found_in(application.sent()) == []
    assert found_in(application.said()) == []
    assert "calling redact failed" in application.said()
    application.failpath.shutdown(0)


def test_ctrl_c_in_redact_shows_the_value_nowhere(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    def redact(key: str, value: object) -> object:
        raise KeyboardInterrupt

    application = Application(server, caplog, redact=redact)
    run = application.failpath.run("checkout", metadata={"city": "pl4nted, known to redact alone"})
    with pytest.raises(KeyboardInterrupt):
        run.step("pay", lambda: None)
    application.failpath.flush()
    assert found_in(application.sent()) == []
    application.failpath.shutdown(0)


class Unserialisable:
    """What a redact returns that does not know what it is doing."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        raise TypeError(f"no text of {self.value}")

    __repr__ = __str__


def test_what_redact_returns_that_has_no_text_shows_nothing(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    application = Application(server, caplog, redact=lambda key, value: Unserialisable(value))
    run = application.failpath.run("checkout", metadata={"city": "pl4nted, known to redact alone"})
    with pytest.raises(OSError, match="pl4nted"):
        run.step("pay", lambda: (_ for _ in ()).throw(OSError("pl4nted, known to redact alone")))
    assert application.failpath.flush()
    assert len(server.events) == 2
    assert found_in(application.sent()) == []
    application.failpath.shutdown(0)


def test_a_fault_of_ours_in_the_midst_of_an_error_is_logged_without_its_secrets(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_logged", set())
    for number, text in enumerate(TEXTS.values()):
        try:
            try:
                raise OSError(text)
            except OSError:
                raise TypeError(text)  # noqa: B904 - in its context
        except TypeError:
            report.exception_once(f"place {number}")
    assert caplog.text.count("TypeError") >= len(TEXTS)
    assert found_in(caplog.text) == []
    assert not any(record.exc_info for record in caplog.records)


def test_no_repr_shows_the_project_key_or_a_header(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    application = Application(server, caplog, headers={"X-Api-Key": "pl4nted-header"}, session=None)
    options = Options.resolve(project_key=PROJECT_KEY, endpoint=server.url, headers={"X-Api-Key": "pl4nted-header"})
    failpath = application.failpath
    for shown in (options, failpath, failpath.stats(), failpath.run("checkout"), failpath._join.reporter):
        assert found_in(repr(shown)) == []
    application.failpath.shutdown(0)
