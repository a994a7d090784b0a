"""The keys that rules make of the spans of many services: ``max_keys`` of each, and bounded together."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from failpath_otel import StepRule, limits
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.local.api.spans import span_route
from failpath_otel.options.options import Options
from failpath_otel.otlp.reading import Reading
from failpath_otel.records.matching.keys import OTHER, KeyLog
from failpath_otel.records.matching.service_keys import RuleKeys, ServiceKeys
from failpath_otel.records.matching.values import RESOURCE
from failpath_otel.records.rule_set import Rules

RULE = StepRule("shop", "{1}", span_name="GET *", max_keys=3)
HIDDEN = StepRule("{attr:flow}", "{1}", span_name="GET *", max_keys=3)


def steps(rules: Rules, name: str, *names: str, **resource: str) -> list[str]:
    """The steps of spans with these names, of one service."""
    found = []
    for each in names:
        attributes: dict[str, Any] = {
            "flow": "shop",
            RESOURCE: {"service.name": name, **{f"service.{key}": value for key, value in resource.items()}},
        }
        span: Any = SimpleNamespace(
            name=each, kind=SpanKind.SERVER, attributes=attributes, instrumentation_scope=SimpleNamespace(name="http")
        )
        chosen = rules.choice_for(span, attributes)
        made = None if chosen is None else chosen.names(attributes)
        assert made is not None
        found.append(made.step)
    return found


def many(count: int) -> list[str]:
    return [f"GET /{number}" for number in range(count)]


@pytest.mark.parametrize("rule", [RULE, HIDDEN])
def test_the_keys_of_a_service_do_not_make_those_of_another_one_other(rule: StepRule) -> None:
    rules = Rules([rule], many_services=True)
    assert steps(rules, "attacker", *many(250)) == ["/0", "/1", "/2"] + [OTHER] * 247
    assert steps(rules, "shop", "GET /9", "GET /249", "GET /8", "GET /7") == ["/9", "/249", "/8", OTHER]
    assert steps(rules, "attacker", "GET /9", "GET /1") == [OTHER, "/1"]
    assert steps(rules, "", "GET /9") == ["/9"], "a service without a name"
    assert steps(rules, "shop", "GET /10", namespace="eu") == ["/10"], "one of another namespace"


@pytest.mark.parametrize("rule", [RULE, HIDDEN])
def test_in_a_process_the_keys_are_those_of_all_its_providers(rule: StepRule) -> None:
    rules = Rules([rule])
    assert steps(rules, "shop", *many(3)) == ["/0", "/1", "/2"]
    assert steps(rules, "worker", "GET /3") == [OTHER]


def test_the_keys_of_many_services_are_bounded_together_and_none_pays_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_KEPT_KEYS", 50)
    keys, rule = ServiceKeys(), RuleKeys(3, "shop", None, KeyLog("'GET *'"))
    for number in range(1_000):
        for step in ("a", "b"):
            assert keys.names(rule, f"invented-{number}", "shop", step).step == step
            assert len(keys) == sum(1 + len(each) for each in keys._keys.values()) <= 50
    assert keys.names(rule, "shop", "shop", "c").step == "c"


def test_a_rule_that_may_make_more_keys_than_are_kept_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.MOST_KEYS < limits.MAX_KEPT_KEYS
    monkeypatch.setattr(limits, "MAX_KEPT_KEYS", 5)
    keys, rule = ServiceKeys(), RuleKeys(10, "shop", None, KeyLog("'GET *'"))
    made = [keys.names(rule, "shop", "shop", str(number)).step for number in range(20)]
    assert made == [str(number) for number in range(10)] + [OTHER] * 10


def test_a_service_that_sends_is_not_forgotten_before_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_KEPT_KEYS", 12)
    keys, rule = ServiceKeys(), RuleKeys(3, "shop", None, KeyLog("'GET *'"))
    for number in range(100):
        keys.names(rule, "shop", "shop", str(number % 3))
        keys.names(rule, f"invented-{number}", "shop", "a")
    assert keys.names(rule, "shop", "shop", "4").step == OTHER


def test_too_many_keys_are_said_once_for_each_service_and_for_the_first_hundred(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_KEPT_KEYS", 50)
    rules = Rules([RULE, StepRule("shop", "{1}", span_name="POST *", max_keys=1)], many_services=True)
    for number in [*range(110), *range(110)]:
        steps(rules, f"shop-{number}", *many(6), "POST /1", "POST /2")
    assert len(caplog.messages) == 100
    assert caplog.messages[0] == (
        "Failpath: the rule for spans named 'GET *' makes the key 'other', which is not logged again, because it has"
        " made 3 different keys (max_keys) of spans of the service 'shop-0'"
    )
    assert caplog.messages[-1].endswith("of the service 'shop-99'; no further services are named here")
    assert not caplog.messages[-2].endswith("named here")


def test_the_name_of_a_service_in_the_log_is_short_and_printable(caplog: pytest.LogCaptureFixture) -> None:
    rules = Rules([StepRule("shop", "{1}", span_name="GET *", max_keys=1)], many_services=True)
    steps(rules, "a\nb" * 10_000, *many(2))
    assert len(caplog.messages[0]) < 500
    assert "\n" not in caplog.messages[0]


def test_threads_that_make_keys_of_services_at_once_make_no_more_than_allowed() -> None:
    rules = Rules([StepRule("shop", "{1}", span_name="GET *", max_keys=20)], many_services=True)
    made: list[tuple[int, str]] = []
    start = threading.Barrier(4)

    def work(thread: int) -> None:
        start.wait(10)
        for number in range(100):
            service = (number + thread) % 3
            made.extend((service, step) for step in steps(rules, f"shop-{service}", f"GET /{thread}-{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 400
    for service in range(3):
        assert len({step for of, step in made if of == service}) == 21


def gateway(place: Path) -> Reading:
    given: dict[str, Any] = {"project_key": "fp_project_keys_0123", "endpoint": "http://127.0.0.1:9", "rules": [RULE]}
    forwarder = Forwarder(Options.resolve_delivery(**given, journal=str(place)))
    forwarder.pipeline.shutdown(0)
    return forwarder.reading


def local(_place: Path) -> Reading:
    store: Any = None  # nothing is stored
    return span_route(store, lambda: 0, [RULE]).reading


@pytest.mark.parametrize("server", [gateway, local])
def test_the_servers_have_the_keys_of_each_service_by_itself(server: Callable[[Path], Reading], tmp_path: Path) -> None:
    rules = server(tmp_path).rules
    assert rules is not None
    assert steps(rules, "attacker", *many(4))[-1] == OTHER
    assert steps(rules, "shop", "GET /9") == ["/9"]
