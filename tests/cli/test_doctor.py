"""``failpath-otel doctor``, in this process: what it finds, and what it says to do."""

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import certifi
import pytest

from failpath_otel import report
from failpath_otel.cli.doctor import examination
from failpath_otel.cli.doctor.installed import Installed, read_installed
from failpath_otel.cli.main import main
from failpath_otel.journal.clock import machine_clock
from failpath_otel.journal.journal import Journal
from failpath_otel.limits import MAX_AGE_SECONDS
from failpath_otel.local.api.events import read_events
from failpath_otel.options.options import Options
from tests.delivery.pipelines import a_record
from tests.docs.pages import ROOT, read_page
from tests.fault_server import (
    Behaviour,
    Exchange,
    FaultServer,
    accepted,
    answer,
    html,
    redirect,
    rejecting,
    silent,
    status,
)
from tests.ports import unused_url

KEY = "fp_project_of_a_patient"
PAGE = ROOT / "docs" / "troubleshooting.md"
OF_NETWORK = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")


@pytest.fixture(scope="module")
def installed() -> Installed:
    """What is installed, read once: a tenth of a second."""
    return read_installed()


@pytest.fixture(autouse=True)
def _healthy(monkeypatch: pytest.MonkeyPatch, server: FaultServer, installed: Installed) -> None:
    """A program in this environment reports to the server."""
    for name in os.environ:
        if name.startswith(("OTEL_", "SSL")) or name.lower() in OF_NETWORK:
            monkeypatch.delenv(name)
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", server.url)
    monkeypatch.setattr(examination, "read_installed", lambda: installed)
    monkeypatch.setattr(report, "_logged", set())
    monkeypatch.setattr(machine_clock, "_epoch", None)


@dataclass
class Said:
    code: int
    text: str
    checks: list[dict[str, Any]]

    def levels(self, check: str) -> list[str]:
        return [each["level"] for each in self.checks if each["check"] == check]

    def worst(self, check: str) -> dict[str, Any]:
        order = ["ok", "note", "warning", "problem"]
        return max(
            (each for each in self.checks if each["check"] == check), key=lambda each: order.index(each["level"])
        )

    def facts(self, check: str) -> dict[str, Any]:
        return {name: value for each in self.checks if each["check"] == check for name, value in each["facts"].items()}


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    def ask(*arguments: str) -> Said:
        code = main(["doctor", "--json", *arguments])
        out, _ = capsys.readouterr()
        assert out.count("\n") == 1
        found = json.loads(out)
        assert found["ok"] is (code == 0)
        assert found["problems"] == sum(each["level"] == "problem" for each in found["checks"])
        return Said(code, out, found["checks"])

    return ask


def test_where_all_is_well_it_says_so_exits_with_0_and_has_asked_once_without_an_event(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\nnothing is wrong\n")
    assert "->" not in out
    assert err == ""
    [request] = server.requests
    assert (request.headers["authorization"], json.loads(request.body)) == (f"Bearer {KEY}", {"events": []})
    checks = ["versions", "key", "options", "proxy", "certificates", "endpoint", "clock", "journal", "opentelemetry"]
    assert list(dict.fromkeys(line.split()[1] for line in out.splitlines()[:-1])) == checks


def test_the_page_explains_each_check(ask: Any) -> None:
    explained = [name.strip(" `") for cells in read_page(PAGE).rows("check") for name in cells[0].split(",")]
    assert explained == list(dict.fromkeys(each["check"] for each in ask().checks))


def test_what_is_wrong_is_counted_and_what_to_do_stands_below_it(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("problem"))
    assert "missing" in lines[at]
    assert lines[at + 1].strip().startswith("-> set FAILPATH_PROJECT_KEY")
    assert lines[-1] == "1 problem"
    assert server.requests == []


def test_a_terminal_gets_colours_unless_it_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", coloured := Terminal())
    main(["doctor"])
    assert "\x1b[32mok" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", plain := Terminal())
    main(["doctor"])
    assert "\x1b" not in plain.getvalue()


def test_no_secret_is_in_a_report_whatever_quotes_it(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "no-usual-form-of-a-key"
    file = tmp_path / "otel.yaml"
    file.write_text(
        "instrumentation/development: {python: {failpath: {headers: {X-Token: token-of-a-header},"
        " default_metadata: {note: text-of-metadata}}}}"
    )
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", key)
    monkeypatch.setenv("FAILPATH_JOURNAL", str(tmp_path / key))
    monkeypatch.setenv("http_proxy", f"http://user-of-a-proxy:pass-of-a-proxy@{server.url.removeprefix('http://')}")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret-of-a-backend")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "owner=name-of-an-owner")
    server.answer_with(rejecting(0, reason=f"unknown key {key}"))
    said = ask("--send")
    assert main(["doctor", "--send"]) == 1
    out, err = capsys.readouterr()
    assert len(server.requests) == 2
    for text in (said.text, out, err):
        for secret in (key, "user-of-a", "pass-of-a", "token-of-a", "text-of-m", "secret-of-a", "name-of-an"):
            assert secret not in text
    assert "X-Token" in out
    assert "OTEL_EXPORTER_OTLP_HEADERS" in out
    assert said.facts("proxy")["proxy"] == server.url


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ('"fp_project_quoted"', ("problem", "quotation mark")),
        ("with a space", ("problem", "without spaces")),
        ("any", ("warning", "begin with fp_project_")),
        ("fp_project_", ("warning", "and this one does not")),
    ],
)
def test_the_form_of_a_key_is_judged(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch, key: str, found: tuple[str, str]
) -> None:
    level, words = found
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", key)
    monkeypatch.setenv("http_proxy", server.url)
    said = ask("--endpoint", "http://shop.invalid")
    assert said.worst("key")["level"] == level
    assert words in said.worst("key")["text"]
    assert said.worst("key")["advice"]
    assert said.code == (level == "problem")


def test_a_receiver_on_this_machine_takes_keys_of_any_form(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", "any")
    said = ask()
    assert (said.code, said.levels("key")) == (0, ["note"])


def test_delivery_that_is_turned_off_is_a_problem_and_all_else_is_looked_at(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPATH_ENABLED", "false")
    said = ask()
    assert "FAILPATH_ENABLED" in said.worst("key")["text"]
    assert (said.code, said.levels("endpoint"), len(server.requests)) == (1, ["ok"], 1)


@pytest.mark.parametrize(
    ("behaviour", "level", "shown"),
    [
        (status(401), "problem", ("refused the project key (401)", "FAILPATH_PROJECT_KEY")),
        (status(404), "problem", ("404", "base URL")),
        (redirect("http://portal.invalid/login"), "problem", ("redirects", "base URL")),
        (html, "problem", ("something other than JSON", "base URL")),
        (status(503), "problem", ("503", "of the moment")),
        (status(429), "problem", ("429", "of the moment")),
        (status(408), "problem", ("408", "the answer says")),
        (status(407), "problem", ("407", "correct what this names")),
        (status(400), "warning", ("400", "--send")),
        (status(422), "warning", ("422", "--send")),
    ],
)
def test_an_answer_of_the_endpoint_is_shown_with_what_to_do(
    server: FaultServer, ask: Any, behaviour: Behaviour, level: str, shown: tuple[str, str]
) -> None:
    server.answer_with(behaviour)
    words, advice = shown
    said = ask()
    found = said.worst("endpoint")
    assert (found["level"], said.code) == (level, int(level == "problem"))
    assert words in found["text"]
    assert advice in found["advice"]
    assert len(server.requests) == 1


def test_an_endpoint_that_cannot_be_reached_is_a_problem(ask: Any) -> None:
    said = ask("--endpoint", url := unused_url())
    found = said.worst("endpoint")
    assert found["text"].startswith(f"{url}/v1/events could not be reached (ConnectionRefusedError)")
    assert found["facts"]["status"] is None
    assert found["facts"]["source"] == "argument"
    assert said.code == 1


def test_an_endpoint_that_does_not_answer_is_a_problem_after_the_timeout_of_a_delivery(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPATH_SEND_TIMEOUT", "0.2")
    server.answer_with(silent)
    said = ask()
    assert said.code == 1
    assert "did not answer within 0.2 s" in said.worst("endpoint")["text"]


def test_two_names_of_the_endpoint_that_differ_are_a_problem(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPATH_ENDPOINT", unused_url())
    said = ask()
    assert "FAILPATH_DEV_ENDPOINT and FAILPATH_ENDPOINT mean the same, and differ" in said.worst("options")["text"]
    assert (said.code, server.requests) == (1, [])
    # The argument comes before both.
    assert ask("--endpoint", server.url).levels("endpoint") == ["ok"]


@pytest.mark.parametrize("endpoint", ["shop.example", "https://user:hidden@shop.example"])
def test_an_endpoint_that_is_no_url_is_a_problem_and_is_not_asked(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", endpoint)
    said = ask()
    assert said.code == 1
    assert "FAILPATH_DEV_ENDPOINT must be an http:// or https:// URL" in said.worst("options")["text"]
    assert said.worst("endpoint")["text"].startswith("the endpoint is not asked")
    assert said.levels("proxy") == []
    assert "hidden" not in said.text
    assert server.requests == []


def test_an_endpoint_on_another_machine_without_tls_is_a_warning(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is asked there: the proxy is on this machine.
    monkeypatch.setenv("http_proxy", unused_url())
    said = ask("--endpoint", "http://shop.invalid")
    assert any("not encrypted" in each["text"] for each in said.checks if each["level"] == "warning")


def test_a_test_event_is_announced_before_it_is_sent_and_a_receiver_takes_it(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announced: list[str] = []
    monkeypatch.setattr(sys, "stderr", err := io.StringIO())

    def look(exchange: Exchange) -> bool:
        announced.append(err.getvalue())
        return accepted(exchange)

    server.answer_with(look)
    assert main(["doctor", "--send"]) == 0
    [request] = server.requests
    [event] = request.events
    assert (event["flowKey"], event["stepKey"], event["status"]) == ("failpath-doctor", "test-event", "success")
    to = f"{server.url}/v1/events"
    named = f"flow failpath-doctor, step test-event, run {event['runId']}"
    assert announced == [f"failpath-otel: sends one test event to {to}: {named}\n"]
    assert event["process"]["pid"] == os.getpid()
    stored, rejected = read_events(request.body)
    assert (len(stored), rejected) == (1, [])
    assert f"has taken the test event: flow failpath-doctor, run {event['runId']}" in capsys.readouterr().out


def test_a_test_event_without_the_process_has_none(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPATH_SEND_PROCESS", "false")
    assert ask("--send").code == 0
    assert "process" not in server.events[0]


@pytest.mark.parametrize(
    ("behaviour", "words"), [(rejecting(0, reason="unknown flow"), "unknown flow"), (status(422), "422")]
)
def test_a_test_event_that_is_refused_is_a_problem_with_the_reason(
    server: FaultServer, ask: Any, behaviour: Behaviour, words: str
) -> None:
    server.answer_with(behaviour)
    said = ask("--send")
    assert said.code == 1
    assert words in said.worst("endpoint")["text"]
    assert said.facts("endpoint")["event"]["flowKey"] == "failpath-doctor"


def test_without_a_key_no_test_event_is_sent_and_none_is_announced(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    assert main(["doctor", "--send"]) == 1
    assert capsys.readouterr().err == ""
    assert server.requests == []


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (0, "ok", "agrees"),
        (60, "warning", "60 s ahead of"),
        (-60, "warning", "60 s behind"),
        (2 * 3600, "problem", "do not expire"),
        (None, "note", "not compared"),
    ],
)
def test_the_clock_is_held_against_the_endpoints(
    server: FaultServer, ask: Any, ahead: int | None, level: str, words: str
) -> None:
    date = {} if ahead is None else {"Date": formatdate(time.time() - ahead + 0.5, usegmt=True)}
    server.answer_with(answer(202, b"", (), **date))
    said = ask()
    # A second of the header, and one of a busy machine.
    words = "s ahead of" if ahead == 60 else "s behind" if ahead == -60 else words
    assert (said.worst("clock")["level"], said.code) == (level, int(level == "problem"))
    assert words in said.worst("clock")["text"]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAILPATH_JOURNAL", str(tmp_path / "journal"))
    return tmp_path / "journal"


@pytest.fixture
def living(journal: Path, server: FaultServer) -> Iterator[Journal]:
    """The journal of a process that lives: this one."""
    made = Journal(str(journal), Options(KEY, server.url).binding, lambda _: None)
    assert made.append(a_record(step_key="living"))
    yield made
    made.reset_in_child()


def leave(journal: Path, endpoint: str, count: int, key: str = KEY) -> str:
    """What a process leaves that is gone; return its binding."""
    binding = Options(key, endpoint).binding
    made = Journal(str(journal), binding, lambda _: None)
    for _ in range(count):
        assert made.append(a_record())
    made.reset_in_child()
    return binding


def contents(journal: Path) -> dict[str, bytes]:
    return {str(path.relative_to(journal)): path.read_bytes() for path in sorted(journal.rglob("*")) if path.is_file()}


def test_what_waits_in_the_journal_is_counted_by_whose_it_is_and_stays(
    server: FaultServer, ask: Any, journal: Path, living: Journal
) -> None:
    leave(journal, server.url, 3)
    other = leave(journal, unused_url(), 2)
    before = contents(journal)
    said = ask()
    texts = [each["text"] for each in said.checks if each["check"] == "journal"]
    assert texts[0] == f"{journal} (FAILPATH_JOURNAL): 1 record of a living process ({os.getpid()})"
    [ours] = [each for each in said.checks if each["facts"].get("isOurs")]
    assert ours["text"].startswith(f"3 records wait of processes that have ended ({os.getpid()})")
    assert "`failpath-otel drain`" in ours["advice"]
    [theirs] = [each for each in said.checks if each["facts"].get("isOurs") is False]
    assert theirs["text"].startswith("2 records wait")
    assert f"--rebind {other}" in theirs["advice"]
    assert sorted(said.levels("journal")) == ["ok", "warning", "warning"]
    assert said.code == 0
    assert sorted(each["records"] for each in said.facts("journal")["journals"]) == [1, 2, 3]
    assert contents(journal) == before


def test_where_there_is_no_key_what_waits_is_counted_too(
    server: FaultServer, ask: Any, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(journal, server.url, 2)
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    found = ask().worst("journal")
    assert found["text"].startswith("2 records wait")
    assert "once there is a project key" in found["advice"]


def test_a_journal_that_cannot_be_read_is_named(server: FaultServer, ask: Any, journal: Path) -> None:
    leave(journal, server.url, 1)
    [lock] = journal.glob("*/lock")
    lock.unlink()
    lock.mkdir()
    found = ask().worst("journal")
    assert (found["level"], found["text"]) == (
        "warning",
        f"{lock.parent.name} cannot be read: its lock is no regular file",
    )


def test_a_place_that_can_be_no_journal_is_a_problem(ask: Any, journal: Path) -> None:
    journal.touch()
    said = ask()
    assert (said.code, said.levels("journal")) == (1, ["problem"])
    assert "FAILPATH_JOURNAL" in said.worst("journal")["advice"]
    assert ask("--journal", str(journal / "below")).levels("journal") == ["problem"]


def test_a_directory_is_looked_at_before_there_is_one_and_none_is_made(ask: Any, journal: Path) -> None:
    assert "made by the first program" in ask().worst("journal")["text"]
    assert not journal.exists()


def test_a_directory_that_cannot_be_written_is_a_problem(ask: Any, journal: Path) -> None:
    journal.mkdir()
    with patch("failpath_otel.cli.doctor.journal.os.access", return_value=False):  # root may write everywhere
        assert "cannot be written" in ask().worst("journal")["text"]


def test_a_full_disk_is_a_problem(ask: Any, journal: Path) -> None:
    journal.mkdir()
    full = os.statvfs_result((4096, 4096, 1000, 10, 10, 10, 10, 10, 0, 255))
    with patch("failpath_otel.cli.doctor.journal.os.statvfs", return_value=full):
        found = ask().worst("journal")
    assert (found["level"], found["facts"]) == ("problem", {"freeBytes": 40_960})


def test_without_a_journal_that_is_said(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_JOURNAL", "off")
    said = ask()
    assert (said.code, said.levels("journal")) == (0, ["note"])


def test_a_proxy_is_shown_without_its_password_and_with_its_variable(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://u:p@{server.url.removeprefix('http://')}")
    said = ask("--endpoint", "http://shop.invalid")
    assert said.worst("proxy")["text"] == f"requests go through {server.url} (HTTP_PROXY)"
    assert [request.headers["host"] for request in server.requests] == ["shop.invalid"]
    assert said.levels("endpoint")[0] == "ok"


@pytest.mark.parametrize("proxy", ["http://", "http://[half"])
def test_what_is_no_proxy_is_a_problem(ask: Any, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    said = ask()
    assert said.worst("proxy")["text"] == "http_proxy is not the URL of a proxy"
    assert said.code == 1


def test_an_exception_of_the_proxy_is_said(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", unused_url())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    said = ask()
    assert (said.code, said.worst("proxy")["text"]) == (0, "none for this host: no_proxy names it")


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({}, "ok", "those of certifi"),
        ({"REQUESTS_CA_BUNDLE": certifi.where()}, "ok", "(REQUESTS_CA_BUNDLE)"),
        (
            {"CURL_CA_BUNDLE": "/nowhere/ca.pem"},
            "problem",
            "CURL_CA_BUNDLE names /nowhere/ca.pem, which cannot be used",
        ),
        ({"REQUESTS_CA_BUNDLE": __file__}, "problem", "which cannot be used"),
        ({"SSL_CERT_FILE": "/some/ca.pem"}, "note", "SSL_CERT_FILE is not heeded"),
        ({"SSLKEYLOGFILE": os.devnull}, "warning", "SSLKEYLOGFILE"),
    ],
    ids=["none", "valid", "missing", "no certificates", "unheeded", "key log"],
)
def test_certificates_are_tried(
    ask: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], level: str, words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = ask("--endpoint", unused_url().replace("http:", "https:")).worst("certificates")
    assert found["level"] == level
    assert words in found["text"]


def test_options_are_shown_with_their_sources_and_all_that_cannot_work_are_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nflow = "checkout"\nstep = "charge"\nspan_name = "charge"\n')
    for name, value in {
        "RULES": str(rules),
        "COMPRESSION": "gzip",
        "SEND_TIMEOUT": "soon",
        "DELIVERY": "later",
    }.items():
        monkeypatch.setenv(f"FAILPATH_{name}", value)
    said = ask()
    options = said.facts("options")["options"]
    assert options["compression"] == {"value": "gzip", "source": "FAILPATH_COMPRESSION"}
    assert options["rules"] == {"value": f"1 rules of {rules}", "source": "FAILPATH_RULES"}
    assert options["project_key"]["value"] == "[redacted]"
    assert options["route"]["source"] == "default"
    problems = [each["text"] for each in said.checks if each["level"] == "problem"]
    assert [text.split()[0] for text in problems] == ["FAILPATH_DELIVERY", "FAILPATH_SEND_TIMEOUT"]
    assert said.levels("endpoint") == ["ok"]


def test_a_misspelt_variable_is_a_warning_that_names_the_right_one(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    monkeypatch.setenv("FAILPATH_PROJEKT_KEY", KEY)
    assert "did you mean FAILPATH_PROJECT_KEY?" in ask().worst("options")["text"]


@pytest.mark.parametrize(
    "content",
    [
        "instrumentation/development: {python: {failpath: {project_key: '${THEIR_KEY}', journal: null}}}",
        "tracer_provider: {processors: [{batch: {exporter: {failpath: {project_key: '${THEIR_KEY}', journal: ~}}}}]}",
    ],
    ids=["processor", "exporter"],
)
def test_options_of_opentelemetrys_configuration_file_are_found(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(content)
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    monkeypatch.setenv("THEIR_KEY", "fp_project_in_a_file")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    said = ask()
    assert said.code == 0, said.text
    assert said.facts("key")["source"] == "OTEL_CONFIG_FILE"
    assert said.facts("options")["options"]["journal"] == {"value": None, "source": "OTEL_CONFIG_FILE"}
    assert server.requests[0].headers["authorization"] == "Bearer fp_project_in_a_file"
    assert f"the provider: as in {file}" in said.text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("instrumentation/development: {python: {failpath: {retries: 3}}}", ("options", "there is no option retries")),
        ("instrumentation/development: {python: {failpath: 3}}", ("options", "must be a mapping")),
        ("a: [", ("opentelemetry", "cannot be read")),
        (None, ("opentelemetry", "is no file")),
    ],
    ids=["unknown option", "no mapping", "no YAML", "missing"],
)
def test_a_configuration_file_that_cannot_work_is_a_problem(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, shown: tuple[str, str]
) -> None:
    check, words = shown
    file = tmp_path / "otel.yaml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    found = ask().worst(check)
    assert found["level"] == "problem"
    assert words in found["text"]


def test_what_opentelemetrys_loader_would_load_is_shown(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console, failpath")
    said = ask()
    loaded = said.facts("opentelemetry")["instrument"]
    assert (loaded["distro"], loaded["configurator"], loaded["joins"]) == ("distro", "configurator", True)
    assert loaded["exporters"] == ["console", "failpath"]
    assert "a batch processor for console, a batch processor for failpath, that of failpath" in said.text
    assert said.facts("opentelemetry")["variables"] == {"OTEL_TRACES_EXPORTER": "console, failpath"}
    assert said.levels("opentelemetry") == ["ok", "ok"]


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "problem", "the exporter zipkin is not installed"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier"}, "problem", "otlp over 'carrier'"),
        ({"OTEL_PYTHON_CONFIGURATOR": "theirs"}, "problem", "OTEL_PYTHON_CONFIGURATOR names theirs"),
        ({"OTEL_SDK_DISABLED": "true"}, "problem", "no step is recorded"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, failpath"}, "warning", "turns failpath off"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, "warning", "turns failpath off"),
    ],
)
def test_variables_by_which_the_loader_would_not_report_are_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], level: str, words: str
) -> None:
    for name, value in {"OTEL_TRACES_EXPORTER": "none", **variables}.items():
        monkeypatch.setenv(name, value)
    said = ask()
    found = said.worst("opentelemetry")
    assert (found["level"], said.code) == (level, int(level == "problem"))
    assert words in found["text"]
    assert found["advice"]


def install(folder: Path, name: str, version: str, entry_points: str = "") -> None:
    """Install a distribution that is nothing but its metadata."""
    made = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (made / "entry_points.txt").write_text(entry_points)


@pytest.mark.parametrize("with_loader", [False, True])
def test_in_an_environment_without_opentelemetrys_distro_what_is_missing_is_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_loader: bool
) -> None:
    install(tmp_path, "opentelemetry-api", "1.45.1")
    install(tmp_path, "opentelemetry_sdk", "1.44.0")
    if with_loader:
        install(tmp_path, "opentelemetry-instrumentation", "0.66b1")
    # What is imported already stays; the metadata of nothing else is found.
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(examination, "read_installed", read_installed)
    said = ask()
    texts = [each["text"] for each in said.checks if each["level"] != "ok"]
    assert "opentelemetry-api 1.45.1 and opentelemetry-sdk 1.44.0 are of different releases" in texts
    expected = [
        "no configurator is installed: opentelemetry-instrument makes no tracer provider",
        "the entry point `failpath` is not installed: opentelemetry-instrument reports no steps",
    ]
    assert [text in texts for text in expected] == [with_loader, with_loader]
    assert any("a program that calls configure() does not need it" in text for text in texts) is not with_loader
    assert said.code == 0


def test_an_sdk_that_is_not_installed_is_a_problem(ask: Any) -> None:
    with patch.object(examination, "read_installed", return_value=Installed({"opentelemetry-api": "1.45.1"}, {})):
        assert ask().worst("versions")["text"] == "opentelemetry-sdk is not installed"


def test_a_configuration_file_that_nothing_reads_is_a_problem(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text("file_format: '1.0'")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    packages = {"opentelemetry-sdk": "1.44.0"}
    with patch.object(examination, "read_installed", return_value=Installed(packages, {})):
        assert "opentelemetry-configuration" in ask().worst("opentelemetry")["advice"]
    packages["opentelemetry-sdk"] = "1.43.0"
    with patch.object(examination, "read_installed", return_value=Installed(packages, {})):
        assert set(ask().levels("opentelemetry")) == {"ok", "note"}


def test_a_route_of_an_argument_is_asked(server: FaultServer, ask: Any) -> None:
    assert ask("--route", "/ingest").code == 0
    assert [request.path for request in server.requests] == ["/ingest"]


def test_what_has_waited_for_days_says_for_how_long(server: FaultServer, ask: Any, journal: Path) -> None:
    leave(journal, server.url, 1)
    [file] = journal.glob("*/*.records")
    os.utime(file, (long_ago := time.time() - MAX_AGE_SECONDS - 3600, long_ago))
    assert "the last one for 49.0 h" in ask().worst("journal")["text"]
