"""The report of ``failpath-otel doctor``: its forms, its exit code, and what is never in it."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.cli.main import main
from tests.docs.pages import ROOT, read_page
from tests.fault_server import (
    FaultServer,
    rejecting,
)
from tests.keys import KEY

PAGE = ROOT / "docs" / "troubleshooting.md"


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


def test_a_key_in_the_address_of_the_endpoint_is_not_said_before_a_test_event_either(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", "no-usual-form-of-a-key")
    main(["doctor", "--send", "--endpoint", f"{server.url}/no-usual-form-of-a-key"])
    out, err = capsys.readouterr()
    assert f"sends one test event to {server.url}/" in err
    assert "no-usual-form-of-a-key" not in out + err
