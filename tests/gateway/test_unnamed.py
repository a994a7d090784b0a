"""Spans that carry none of our names: rules make steps of them, at the gateway and at the local receiver alike."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from tests.fault_server import fault_server
from tests.gateway.gateways import start_gateway
from tests.gateway.requests import JSON, PROTOBUF, attribute, json_request, json_span
from tests.receiver import COMMAND, start_receiver, wait_for

pytestmark = pytest.mark.process

RULES = '[[rules]]\nflow = "checkout"\nstep = "charge"\nspan_name = "POST /charge"\nrun_id = "order"\n'


class Served:
    """What takes spans: how to send some, what the process has complained of, and the steps that it has found."""

    def __init__(self, send: Callable[..., Any], stderr: Callable[[], str], steps: Callable[[], set[Any]]) -> None:
        self.send, self.stderr, self.steps = send, stderr, steps


@contextmanager
def gateway(place: Path) -> Generator[Served]:
    with fault_server() as failpath, start_gateway(failpath.url, place / "journal", **rules_in(place)) as serving:

        def steps() -> set[tuple[str, str]]:
            return {(event["runId"], event["stepKey"]) for event in failpath.taken}

        yield Served(lambda body, kind: serving.send(body, kind).status, serving.stderr, steps)


@contextmanager
def local(place: Path) -> Generator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in rules_in(place).items():
            patch.setenv(name, value)
        with start_receiver(place / "local.db") as serving:

            def send(body: bytes, kind: str) -> int:
                headers = {"Content-Type": kind}
                return serving.request("/v1/traces", method="POST", body=body, headers=headers).status

            def steps() -> set[tuple[str, str]]:
                found = [serving.run(each["runId"]) or {} for each in serving.runs()]
                return {(each["runId"], step["stepKey"]) for each in found for step in each.get("steps", ())}

            yield Served(send, serving.stderr, steps)


def rules_in(place: Path) -> dict[str, str]:
    rules = place / "rules.toml"
    return {"FAILPATH_RULES": str(rules)} if rules.exists() else {}


Serve = Callable[[Path], AbstractContextManager[Served]]
served = pytest.mark.parametrize("serve", [gateway, local])


def other(name: str = "GET /health") -> dict[str, Any]:
    return json_span(name=name, attributes=[])


def charge(order: str) -> dict[str, Any]:
    return json_span(name="POST /charge", attributes=[attribute("order", order)])


@served
def test_a_rule_makes_a_step_of_such_a_span(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    with serve(tmp_path) as serving:
        assert serving.send(json_request(other(), charge("o-7")), JSON) == 200
        assert wait_for(serving.steps) == {("o-7", "charge")}
        assert serving.stderr() == ""


@served
@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_where_all_spans_of_the_first_request_are_passed_over_the_log_says_so_once(
    serve: Serve, tmp_path: Path, kind: str
) -> None:
    with serve(tmp_path) as serving:
        for _ in range(2):
            assert serving.send(encoded(kind), kind) == 200
        [line] = wait_for(serving.stderr).splitlines()
        assert line == (
            "Failpath: none of the first 2 spans is a step: they carry no failpath.step.key,"
            " and there are no rules (FAILPATH_RULES)."
        )


def encoded(kind: str) -> bytes:
    return json_request(other(), other()) if kind == JSON else bytes([10, 6, 18, 4, 18, 0, 18, 0])


@served
def test_where_no_rule_matches_the_first_request_the_log_names_its_spans_once(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    with serve(tmp_path) as serving:
        for _ in range(2):
            assert serving.send(json_request(other(), other("POST /charge/")), JSON) == 200
        [line] = wait_for(serving.stderr).splitlines()
        assert line == (
            "Failpath: none of the first 2 spans is a step: no rule matches them."
            " There were: 'GET /health' of scope 'shop', 'POST /charge/' of scope 'shop'"
        )


@served
def test_where_the_first_request_has_a_step_nothing_is_said_of_later_ones(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path) as serving:
        assert serving.send(json_request(), JSON) == 200  # has no spans, and shows nothing
        assert serving.send(json_request(json_span(), other()), JSON) == 200
        assert serving.send(json_request(other()), JSON) == 200
        assert len(wait_for(serving.steps)) == 1
        assert serving.stderr() == ""


@pytest.mark.parametrize("command", ["gateway", "local"])
def test_bad_input_a_file_of_rules_that_cannot_work_ends_it_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES + 'name = "x"\n')
    monkeypatch.setenv("FAILPATH_RULES", str(rules))
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", "fp_project_x")
    monkeypatch.setenv("FAILPATH_JOURNAL", "off")
    options = ["--db", str(tmp_path / "local.db")] if command == "local" else []
    ended = run([*COMMAND, command, "--port", "0", *options], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert "rules.toml, line 6: unknown key 'name'" in line
