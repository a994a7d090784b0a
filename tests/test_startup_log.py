"""One line at ``INFO`` says at the start where the steps go."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import FailpathClient, StepRule, report
from tests.delivery.programs import run_program
from tests.ports import unused_url

KEY = "fp_project_of_the_start"
URL = "http://127.0.0.1:9"
Configure = Callable[..., FailpathClient]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    monkeypatch.setattr(report, "_logged", set())
    with caplog.at_level(logging.DEBUG, "failpath_otel"):
        yield lambda: [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


@pytest.fixture
def configure() -> Iterator[Configure]:
    made: list[FailpathClient] = []

    def call(provider: Any = None, **options: Any) -> FailpathClient:
        chosen = NoOpTracerProvider() if provider is None else provider
        given: dict[str, Any] = {"endpoint": URL, **options}
        made.append(failpath_otel.configure(**given, tracer_provider=chosen))
        return made[-1]

    yield call
    for client in made:
        client.shutdown(0)


def test_endpoint_journal_provider_and_rules_are_said_and_the_key_is_not(
    configure: Configure, said: Callable[[], list[str]], tmp_path: Path
) -> None:
    rules = [StepRule("checkout", "charge-card", span_name="charge"), StepRule("delivery", "ship", span_name="ship")]
    provider = TracerProvider(shutdown_on_exit=False)
    configure(
        provider,
        project_key=KEY,
        journal=tmp_path / "journal",
        rules=rules,
        headers={"X-Api-Key": "hidden-value"},
    )
    assert "; ".join(said()) == (
        f"INFO Failpath: steps go to {URL}; journal: {tmp_path / 'journal'}; joined:"
        " opentelemetry.sdk.trace.TracerProvider; rules: 2."
    )


def test_what_is_not_there_is_said_as_well(configure: Configure, said: Callable[[], list[str]]) -> None:
    configure(project_key=KEY, journal=None)
    assert "; ".join(said()) == (
        f"INFO Failpath: steps go to {URL}; journal: none, records wait in memory; joined: none, steps have a private"
        " tracer provider; rules: none."
    )


def test_the_same_is_said_once_and_another_endpoint_once_more(
    configure: Configure, said: Callable[[], list[str]]
) -> None:
    for url in (URL, URL, f"{URL}/other", URL):
        configure(project_key=KEY, endpoint=url, journal=None)
    assert [line.split(";")[0] for line in said()] == [
        f"INFO Failpath: steps go to {URL}",
        f"INFO Failpath: steps go to {URL}/other",
    ]


@pytest.mark.parametrize("options", [{"enabled": False, "project_key": KEY}, {"enabled": "if-key-present"}])
def test_where_delivery_is_off_that_is_said_instead(
    configure: Configure, said: Callable[[], list[str]], options: dict[str, Any]
) -> None:
    configure(**options)
    [line] = said()
    assert line.startswith("INFO Failpath: steps are not sent")
    assert URL not in line


def test_a_configuration_that_cannot_work_starts_nothing_and_says_nothing(said: Callable[[], list[str]]) -> None:
    with pytest.raises(failpath_otel.ConfigurationError):
        failpath_otel.configure(project_key=KEY, endpoint="ftp://127.0.0.1")
    assert said() == []


@pytest.mark.process
def test_the_start_without_code_says_it() -> None:
    code = """
        import logging
        from failpath_otel.instrumentor import FailpathInstrumentor
        logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
        FailpathInstrumentor().instrument()
        print("end", flush=True)
    """
    url = unused_url()
    ended = run_program(code, url)
    assert ended.errors.startswith(f"INFO Failpath: steps go to {url}; ")
    assert "fp_project" not in ended.errors


@pytest.mark.process
@pytest.mark.parametrize(
    ("level", "lines"), [("", 0), ("logging.basicConfig()", 0), ("logging.basicConfig(level='INFO')", 1)]
)
def test_a_program_sees_it_where_it_logs_at_info_and_nowhere_else(level: str, lines: int) -> None:
    code = f"""
        import logging
        import failpath_otel
        {level}
        failpath_otel.configure()
        print("end", flush=True)
    """
    ended = run_program(code, unused_url())
    assert ended.errors.count("Failpath: steps go to") == len(ended.errors.splitlines()) == lines
