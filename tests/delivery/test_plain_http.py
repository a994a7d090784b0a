"""An endpoint without TLS beyond this machine is said once."""

import logging
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import FailpathSpanExporter, FailpathSpanProcessor, report
from failpath_otel.options.endpoint import warn_of_plain_http
from tests.keys import KEY


def by_configure(endpoint: str, **options: bool) -> None:
    client = failpath_otel.configure(
        project_key=KEY, endpoint=endpoint, enabled=options.get("enabled"), tracer_provider=NoOpTracerProvider()
    )
    client.shutdown(0)


def by_processor(endpoint: str, **options: bool) -> None:
    FailpathSpanProcessor(project_key=KEY, endpoint=endpoint, enabled=options.get("enabled")).shutdown()


def by_exporter(endpoint: str, **options: bool) -> None:
    FailpathSpanExporter(project_key=KEY, endpoint=endpoint, enabled=options.get("enabled")).shutdown()


makers = pytest.mark.parametrize("make", [by_configure, by_processor, by_exporter])


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    monkeypatch.setattr(report, "_logged", set())
    with caplog.at_level(logging.WARNING, "failpath_otel"):
        yield lambda: [record.getMessage() for record in caplog.records]


@makers
def test_plain_http_beyond_loopback_is_said_once_for_each_host(
    make: Callable[..., None], said: Callable[[], list[str]]
) -> None:
    make("http://failpath.invalid:8080/secret-path")
    make("http://failpath.invalid:9090")
    make("HTTP://Failpath.Invalid")
    make("http://192.0.2.1")
    assert said() == [
        f"Failpath: the endpoint http://{host} is not encrypted; the project key and all records can be read in transit"
        for host in ("failpath.invalid", "192.0.2.1")
    ]


@makers
def test_nothing_is_said_where_delivery_is_turned_off(make: Callable[..., None], said: Callable[[], list[str]]) -> None:
    make("http://failpath.invalid", enabled=False)
    assert said() == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://api.failpath.dev",
        "https://192.0.2.1",
        "http://127.0.0.1:3001",
        "http://127.8.9.10",
        "http://localhost:3001/x",
        "http://LOCALHOST",
        "http://localhost.",
        "http://shop.localhost",
        "http://[::1]:3001",
        "http://[::ffff:127.0.0.1]",
    ],
)
def test_nothing_is_said_of_tls_or_of_this_machine(endpoint: str, said: Callable[[], list[str]]) -> None:
    warn_of_plain_http(endpoint)
    assert said() == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://10.0.0.1",
        "http://[2001:db8::1]",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://0.0.0.0",
    ],
)
def test_what_only_looks_like_this_machine_is_said(endpoint: str, said: Callable[[], list[str]]) -> None:
    warn_of_plain_http(endpoint)
    assert len(said()) == 1
