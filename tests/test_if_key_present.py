"""``enabled="if-key-present"``: without a project key nothing is sent and nothing is said, and steps are spans."""

import logging
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import failpath_otel
from failpath_otel import ConfigurationError, FailpathSpanExporter, FailpathSpanProcessor, Stats, report
from failpath_otel.instrumentor import FailpathInstrumentor, NamedSpanExporter
from failpath_otel.options.arguments import Enabled
from failpath_otel.options.options import Options
from tests.fault_server import FaultServer

KEY = "fp_project_if_present"
WORD: Enabled = "if-key-present"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    monkeypatch.setattr(report, "_logged", set())
    with caplog.at_level(logging.WARNING):
        yield lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_steps_are_spans_and_nothing_is_sent_kept_or_said(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    server: FaultServer,
    said: Callable[[], list[str]],
    key: str | None,
) -> None:
    client = failpath_otel.configure(project_key=key, endpoint=server.url, enabled=WORD, tracer_provider=provider)
    assert client.run("checkout").step("pack", lambda: 7) == 7
    assert client.flush() is True
    assert client.shutdown() is True
    assert [span.name for span in exporter.get_finished_spans()] == ["pack"]
    assert (server.requests, client.stats(), said()) == ([], Stats(0, 0, 0, {}), [])


def test_with_a_key_everything_is_sent(provider: TracerProvider, server: FaultServer) -> None:
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, enabled=WORD, tracer_provider=provider)
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    client.shutdown()
    assert server.statuses == ["running", "success"]


@pytest.mark.parametrize("word", ["if-key-present", " If-Key-Present "])
def test_the_variable_says_it_too_and_takes_the_key_from_its_variable(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("FAILPATH_ENABLED", word)
    without = Options.resolve()
    assert (without.enabled, without.project_key, without.journal) == (False, "", None)
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    assert (Options.resolve().enabled, Options.resolve().project_key) == (True, KEY)


def test_a_key_that_comes_later_is_used_by_the_next_configure(
    provider: TracerProvider, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failpath_otel.configure(endpoint=server.url, enabled=WORD, tracer_provider=provider)
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    client = failpath_otel.configure(endpoint=server.url, enabled=WORD, tracer_provider=provider)
    client.run("checkout").skip("ship")
    assert client.flush()
    client.shutdown()
    assert server.statuses == ["skipped"]


@pytest.mark.parametrize("key", ["fp project", 7])
def test_a_key_that_is_there_and_cannot_work_is_still_an_error(key: object) -> None:
    with pytest.raises(ConfigurationError, match="key"):
        Options.resolve(project_key=key, enabled=WORD)


def test_other_options_are_still_checked() -> None:
    with pytest.raises(ConfigurationError, match="send_timeout"):
        Options.resolve(enabled=WORD, send_timeout=-1)


@pytest.mark.parametrize("given", ["if_key_present", "IF-KEY-PRESENT", "key", "", 1])
def test_bad_input_another_value_is_refused_with_those_that_are_allowed(given: object) -> None:
    with pytest.raises(ConfigurationError, match="enabled must be True, False or 'if-key-present'"):
        Options.resolve(project_key=KEY, enabled=given)


def test_the_default_is_still_an_error_without_a_key() -> None:
    with pytest.raises(ConfigurationError, match="the project key is missing"):
        failpath_otel.configure()


def test_those_who_wire_by_hand_have_it_as_well(
    provider: TracerProvider, exporter: InMemorySpanExporter, said: Callable[[], list[str]]
) -> None:
    provider.add_span_processor(FailpathSpanProcessor(enabled=WORD))
    provider.add_span_processor(SimpleSpanProcessor(FailpathSpanExporter(enabled=WORD)))
    failpath_otel.Failpath(tracer_provider=provider).run("checkout").step("pack", lambda: None)
    provider.shutdown()
    assert [span.name for span in exporter.get_finished_spans()] == ["pack"]
    assert said() == []


def test_the_start_without_code_says_nothing_of_rules_and_of_the_exporter(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("FAILPATH_ENABLED", "if-key-present")
    monkeypatch.setenv("FAILPATH_RULES", "rules.toml")
    FailpathInstrumentor().instrument()
    monkeypatch.delenv("FAILPATH_RULES")
    NamedSpanExporter().shutdown()
    assert said() == []


def test_the_instrumentor_says_nothing_of_rules_where_its_file_has_the_word(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("FAILPATH_RULES", "rules.toml")
    FailpathInstrumentor().instrument(enabled=WORD)
    assert said() == []
