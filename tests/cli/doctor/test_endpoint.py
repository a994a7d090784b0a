"""The endpoint, by which way it is asked, how it answers, and its clock."""

import io
import os
import sys
import time
from email.utils import formatdate
from typing import Any

import certifi
import pytest

from failpath_otel.cli.main import main
from failpath_otel.local.api.events import read_events
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


def test_a_route_of_an_argument_is_asked(server: FaultServer, ask: Any) -> None:
    assert ask("--route", "/ingest").code == 0
    assert [request.path for request in server.requests] == ["/ingest"]


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
