"""Environment variables: the two names of the endpoint, and names that are nearly those of ours."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import ConfigurationError, FailpathSpanExporter, FailpathSpanProcessor, report
from failpath_otel.cli.main import main
from failpath_otel.cli.parser import new_parser
from failpath_otel.instrumentor import FailpathInstrumentor
from failpath_otel.options.options import Options
from failpath_otel.options.variables import VARIABLES
from tests.fault_server import FaultServer
from tests.keys import KEY

NATURAL = "FAILPATH_ENDPOINT"
OLD = "FAILPATH_DEV_ENDPOINT"
PACKAGE = Path(failpath_otel.__file__).parent


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    monkeypatch.setattr(report, "_logged", set())
    with caplog.at_level(logging.WARNING, "failpath_otel"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_the_natural_name_of_the_endpoint_is_read(monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> None:
    monkeypatch.setenv(NATURAL, f" {server.url}/ ")
    client = failpath_otel.configure(project_key=KEY, tracer_provider=NoOpTracerProvider())
    assert client._join.reporter.options.endpoint == server.url  # before anything goes elsewhere
    client.run("checkout").skip("ship")
    assert client.flush()
    client.shutdown()
    assert server.statuses == ["skipped"]


def test_both_names_of_the_endpoint_may_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NATURAL, "http://127.0.0.1:3001/")
    monkeypatch.setenv(OLD, " http://127.0.0.1:3001")
    assert Options.resolve(project_key=KEY).endpoint == "http://127.0.0.1:3001"


@pytest.mark.parametrize(("filled", "empty"), [(NATURAL, OLD), (OLD, NATURAL)])
def test_an_empty_one_of_the_two_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, filled: str, empty: str) -> None:
    monkeypatch.setenv(filled, "http://127.0.0.1:3001")
    monkeypatch.setenv(empty, " ")
    assert Options.resolve(project_key=KEY).endpoint == "http://127.0.0.1:3001"


@pytest.mark.parametrize("make", [failpath_otel.configure, FailpathSpanProcessor, FailpathSpanExporter])
def test_two_names_with_two_endpoints_are_an_error_that_names_both_and_shows_neither(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., object]
) -> None:
    monkeypatch.setenv(NATURAL, "http://127.0.0.1:3001/one")
    monkeypatch.setenv(OLD, "http://127.0.0.1:3002/two")
    with pytest.raises(ConfigurationError, match=f"{OLD} and {NATURAL} .*differ") as refused:
        make(project_key=KEY)
    assert "127.0.0.1" not in str(refused.value)


@pytest.mark.parametrize("bad", [NATURAL, OLD])
def test_the_one_of_the_two_that_cannot_work_is_named(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    for name in (NATURAL, OLD):
        monkeypatch.setenv(name, "ftp://127.0.0.1" if name == bad else "http://127.0.0.1")
    with pytest.raises(ConfigurationError, match=f"^{bad} must be"):
        Options.resolve(project_key=KEY)


def test_an_endpoint_as_an_argument_goes_before_two_names_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NATURAL, "http://127.0.0.1:3001")
    monkeypatch.setenv(OLD, "http://127.0.0.1:3002")
    assert Options.resolve(project_key=KEY, endpoint="http://127.0.0.1:3003").endpoint == "http://127.0.0.1:3003"


def test_the_start_without_code_logs_two_endpoints_that_differ_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    monkeypatch.setenv(NATURAL, "http://127.0.0.1:3001")
    monkeypatch.setenv(OLD, "http://127.0.0.1:3002")
    instrumentor = FailpathInstrumentor()
    instrumentor.instrument()
    assert not instrumentor.is_instrumented_by_opentelemetry
    [line] = said()
    assert line.startswith("Failpath: no steps are reported: ")
    assert NATURAL in line


@pytest.mark.parametrize("name", [NATURAL, OLD])
def test_the_runs_of_the_command_come_from_the_endpoint_by_either_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:3009")
    assert new_parser().parse_args(["runs"]).url == "http://127.0.0.1:3009"


def test_the_command_refuses_to_choose_between_two_receivers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(NATURAL, "http://127.0.0.1:3001")
    monkeypatch.setenv(OLD, "http://127.0.0.1:3002")
    assert main(["runs"]) == 2
    assert f"{OLD} and {NATURAL}" in capsys.readouterr().err
    assert new_parser().parse_args(["runs", "--url", "http://127.0.0.1:3003"]).url == "http://127.0.0.1:3003"
    assert new_parser().parse_args(["local"]).command == "local"


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("FAILPATH_ENDPIONT", NATURAL),
        ("FAILPATH_DEV_ENDPOINTS", OLD),
        ("FAILPATH_PROJECT", "FAILPATH_PROJECT_KEY"),
        ("FAILPATH_PROJECTKEY", "FAILPATH_PROJECT_KEY"),
        ("FAILPATH_KEY", "FAILPATH_PROJECT_KEY"),
        ("FAILPATH_RULE", "FAILPATH_RULES"),
        ("FAILPATH_ENABLE", "FAILPATH_ENABLED"),
        ("FAILPATH_QUEUE_SIZE", "FAILPATH_MAX_QUEUE_SIZE"),
        ("FAILPATH_TIMEOUT", "FAILPATH_SEND_TIMEOUT"),
        ("FAILPATH_STACK", "FAILPATH_CAPTURE_STACK"),
        ("Failpath_Journal", "FAILPATH_JOURNAL"),
    ],
)
def test_a_variable_that_is_nearly_one_of_ours_is_said_once_with_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]], wrong: str, meant: str
) -> None:
    monkeypatch.setenv(wrong, "a-value-that-may-be-secret")
    for _ in range(2):
        Options.resolve(project_key=KEY)
    assert said() == [f"Failpath: the environment variable {wrong} is unknown; did you mean {meant}?"]


@pytest.mark.parametrize(
    "name", ["FAILPATH_TEAM", "FAILPATH_FLOW_KEY", "FAILPATH_", "FAILPATHS_RULES", "MY_FAILPATH_RULE"]
)
def test_a_variable_of_the_applications_own_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]], name: str
) -> None:
    monkeypatch.setenv(name, "x")
    Options.resolve(project_key=KEY)
    assert said() == []


def test_all_variables_of_this_package_together_are_no_reason_to_say_anything(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "off" if name == "FAILPATH_JOURNAL" else "")  # on Windows, there is a line without it
    Options.resolve(project_key=KEY)
    assert said() == []


def test_a_misspelt_key_is_said_before_the_error_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("FAILPATH_PROJECTKEY", KEY)
    with pytest.raises(ConfigurationError, match="missing"):
        Options.resolve()
    assert KEY not in "".join(said())
    assert len(said()) == 1


def test_the_start_without_code_says_a_misspelt_key(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("FAILPATH_PROJECTKEY", KEY)
    FailpathInstrumentor().instrument()
    assert [line.rpartition("did you mean ")[2] for line in said()] == ["FAILPATH_PROJECT_KEY?"]


def test_every_variable_that_the_package_names_is_known() -> None:
    named = set[str]()
    for source in PACKAGE.rglob("*.py"):
        named.update(re.findall(r"\bFAILPATH_[A-Z_]*[A-Z]\b", source.read_text(encoding="utf-8")))
    assert named == set(VARIABLES)
