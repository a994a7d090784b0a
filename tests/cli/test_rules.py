"""``failpath-otel rules``: what is wrong with rules, and what they make of the spans of a program."""

import json
import re
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.cli.main import main
from failpath_otel.cli.trial.report import format_trial
from failpath_otel.cli.trial.trial import NamedRule, Trial
from failpath_otel.otlp.http_messages import spans_in
from failpath_otel.otlp.seen import ring
from failpath_otel.otlp.seen.ring import SeenSpans
from failpath_otel.otlp.seen.span import EVERY_SPAN, seen_spans
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.rules import StepRule
from failpath_otel.records.rules_file import rule_sources
from tests.gateway.requests import JSON, attribute, json_request, json_span
from tests.receiver import COMMAND, start_receiver

RULES = """
[[rules]]
flow = "{resource:service.name}"
step = "{1}"
span_name = "POST *"
kind = "server"
where = { "http.route" = "*" }
run_id = "request.id"

[[rules]]
flow = "shop"
step = "{attr:nothing}"
span_name = "GET *"

[[rules]]
flow = "shop"
step = "save"
span_name = "INSERT"
where.db.system = "postgresql"
"""


def span(name: str, kind: object = 2, **attributes: str) -> dict[str, Any]:
    return json_span(
        name=name, kind=kind, attributes=[attribute(key.replace("__", "."), value) for key, value in attributes.items()]
    )


SPANS = json_request(
    span("POST /charge", "SPAN_KIND_SERVER", http__route="/charge", request__id="req-1"),
    span("POST /charge", 3, http__route="/charge"),
    span("GET /", 2),
    span("insert", 3),
    span("INSERT", 3, db__system="sqlite", db__password="hunter2"),
    json_span(),
    resource=[attribute("service.name", "shop")],
)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


def test_rules_that_can_work_are_counted(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check", str(rules), "preset:celery"]) == 0
    assert re.fullmatch(rf"{rules}: 3 rules\npreset:celery: \d+ rules?\n", capsys.readouterr().out)


def test_bad_input_each_error_of_each_file_is_named_with_its_line(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules.write_text(
        '[[rules]]\nflow = "a"\nstep = "{2}"\nspan_name = "b*"\n\n[[rules]]\nflow = "a"\nspan_name = "c"\n'
    )
    assert main(["rules", "check", str(rules), "preset:nothing", "gone.toml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, second, third, fourth = err.splitlines()
    assert first == f"{rules}:3: step of a rule must have no {{2}}, because span_name has 1 wildcard"
    assert second == f"{rules}:6: the rule has no step"
    assert third.startswith("there is no preset 'nothing', but celery, ")
    assert fourth.startswith("gone.toml cannot be read: No such file")


def test_bad_input_rules_that_cannot_be_tried_are_an_error(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules.write_text('[[rules]]\nflow = "a"\n')
    assert main(["rules", "try", str(rules)]) == 2
    assert capsys.readouterr().err == f"failpath-otel: {rules}:1: the rule has no step\n"


def tried(rules: Path, send: Callable[[str], object], *options: str) -> dict[str, Any]:
    """Return what a trial prints that gets spans by ``send``."""
    command = [*COMMAND, "rules", "try", str(rules), "--format", "json", "--seconds", "1", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        assert program.stdout is not None
        ready = program.stderr.readline()
        found = re.search(r"http://[^;]+", ready)
        assert found, ready
        send(found[0])
        printed = program.stdout.read()
        assert program.wait(30) == 0, program.stderr.read()
    loaded: dict[str, Any] = json.loads(printed)
    return loaded


def check(result: dict[str, Any], rules: Path) -> None:
    assert (result["spans"], result["steps"], result["missed"]) == (6, 2, 0)
    by_name = {(each["span"]["name"], each["span"]["kind"]): each for each in result["results"]}
    [charge] = by_name["POST /charge", "server"]["steps"]
    assert (charge["rule"], charge["flow"], charge["step"], charge["run_ids"]) == (
        f"{rules}:2",
        "shop",
        "/charge",
        ["req-1"],
    )
    [other] = by_name["GET /", "server"]["steps"]
    assert other["step"] == "other"
    assert "nothing usable for '{attr:nothing}'" in other["notes"][0]
    assert by_name["POST /charge", "client"]["near"] == [{"rule": f"{rules}:2", "reason": "kind is client, not server"}]
    near = by_name["INSERT", "client"]["near"]
    assert near == [{"rule": f"{rules}:15", "reason": "attribute 'db.system' is 'sqlite', not 'postgresql'"}]
    assert by_name["charge-card", "internal"]["states_itself"] == 1
    assert [each["rule"] for each in result["unused"]] == [f"{rules}:15"]
    assert "hunter2" not in json.dumps(result)


@pytest.mark.process
def test_the_spans_that_come_to_a_port_are_tried(rules: Path) -> None:
    result = tried(rules, post, "--otlp-port", "0")
    check(result, rules)


@pytest.mark.process
def test_the_spans_that_come_to_a_local_receiver_are_tried(rules: Path, tmp_path: Path) -> None:
    with start_receiver(tmp_path / "local.db") as receiver:
        post(f"{receiver.url}/v1/traces")  # before anything watches
        result = tried(rules, lambda url: post(f"{url.strip()}/v1/traces"), "--url", receiver.url)
    check(result, rules)


def post(url: str) -> None:
    request = urllib.request.Request(url, SPANS, {"Content-Type": JSON})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def test_spans_are_kept_only_while_a_client_asks_for_them_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(ring, "monotonic", lambda: now)
    seen = SeenSpans()
    seen.watch(SPANS, JSON)
    page = seen.page(0)
    assert (page.next, page.spans) == (1, [])
    seen.watch(SPANS, JSON)
    page = seen.page(page.next)
    assert [span.name for span in page.spans][:2] == ["POST /charge", "POST /charge"]
    assert (page.next, page.missed) == (7, 0)
    for _ in range(400):
        seen.watch(SPANS, JSON)
    page = seen.page(page.next)
    assert (page.missed, len(page.spans)) == (2_400 - ring.MAX_SEEN_SPANS, ring.PAGE_SPANS)
    now += ring.WATCH_SECONDS
    seen.watch(SPANS, JSON)
    assert seen.page(page.next).spans == []
    for body in (b"", b"{", b'{"resourceSpans": 1}'):
        seen.watch(body, JSON)


def test_the_name_of_a_span_shows_no_secrets_and_matches_the_rules_that_it_matched() -> None:
    named = "GET https://user:hunter2@shop.example/a?token=abcdef1234567890"
    [span] = seen_spans(spans_in(json_request(json_span(name=named)), JSON, EVERY_SPAN))
    assert span.name == "GET https://[redacted]@shop.example/a?token=[redacted]"
    rule = StepRule("shop", "{1}", span_name="GET *")
    assert Rules([rule]).candidates(span.scope, span.name) is not None


def test_a_trial_makes_no_step_of_what_is_no_key_because_it_looks_like_a_secret() -> None:
    trial = Trial([NamedRule(StepRule("{attr:url.full}", "{1}", span_name="GET *", run_id="url.full"), "here")])
    secret = "https://user:hunter2@shop.example/"
    span = json_span(name=f"GET {secret}", attributes=[attribute("url.full", secret)])
    trial.take(seen_spans(spans_in(json_request(span), JSON, EVERY_SPAN)))
    shown = format_trial(trial.result())
    assert "flow 'other', step 'other' by" in shown
    assert "[redacted]" not in shown.partition("flow 'other'")[2]


def test_spans_are_kept_from_many_threads() -> None:
    seen = SeenSpans()
    seen.page(0)
    threads = [threading.Thread(target=seen.watch, args=(SPANS, JSON)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen.page(1).spans) == 48


def test_a_trial_says_which_rules_apply_which_nearly_do_and_what_would_come_out(rules: Path) -> None:
    """Without a program or a receiver, as the command does with what they send."""
    [source] = rule_sources("FILE", str(rules))
    trial = Trial([NamedRule(rule, source.position_of(place)) for place, rule in enumerate(source.rules)])
    trial.take(seen_spans(spans_in(SPANS, JSON, EVERY_SPAN)))
    shown = format_trial(trial.result())
    assert re.search(r"^6 spans of \d names; \d would be steps\n", shown)
    assert "flow 'shop', step '/charge' by" in shown
    assert "run id 'req-1'" in shown
    assert "kind is client, not server" in shown
    assert "db.system" in shown
    assert "hunter2" not in shown
    assert "Steps and runs of their own" in shown
    empty = format_trial(Trial([NamedRule(source.rules[0], "rules.toml:2")]).result())
    assert "0 spans of 0 names; 0 would be steps" in empty
    assert "Rules that apply to none" in empty
