"""Templates of flows, steps and run ids, and the keys that come of them."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel import ConfigurationError, StepRule, limits
from failpath_otel.records.matching.globs import Wildcards, matcher
from failpath_otel.records.matching.keys import OTHER, BoundedKeys, KeyLog, Names
from failpath_otel.records.matching.templates import Template
from failpath_otel.records.matching.values import RESOURCE
from failpath_otel.records.rule_set import Rules
from failpath_otel.scrubbing.key_parts import clean_key_part
from failpath_otel.scrubbing.text import redact_values


@pytest.mark.parametrize(
    ("text", "rendered", "is_complete"),
    [
        ("plain", "plain", True),
        ("{1}-{2}", "orders-7", True),
        ("{attr:route}", "/a", True),
        ("{attr:list}", "first", True),
        ("{attr:number}", "7", True),
        ("{resource:service.name}", "shop", True),
        ("{attr:gone}", None, False),
        ("{attr:gone|attr:route}", "/a", True),
        ("{attr:gone|1}", "orders", False),
        ("{1|attr:gone}", "orders", True),
        ("{attr:gone|'a | b'}", "a | b", False),
        ('{attr:empty|"x"}', "x", False),
        ("{{1}}", "{1}", True),
        ("{{{1}}}", "{orders}", True),
        ("{{attr:route}}", "{attr:route}", True),
        ("/a/{{b}}", "/a/{b}", True),
        ("/a/{{{{b}}}}", "/a/{{b}}", True),
        ("GET /orders/{number}", "GET /orders/{number}", True),
        ("/files/{path:path}", "/files/{path:path}", True),
        ("{", "{", True),
    ],
)
def test_a_template_becomes_a_text(text: str, rendered: str | None, is_complete: bool) -> None:
    attributes = {"route": "/a", "list": ("first", "second"), "number": 7, "empty": ""}
    attributes[RESOURCE] = {"service.name": "shop"}
    assert Template(text).render(("orders", "7"), attributes) == (rendered, is_complete)


def test_what_a_span_says_is_cleaned_and_the_text_of_the_rule_and_the_resource_are_not() -> None:
    template = Template("w?a=1 {attr:url} {1} {resource:service.name} {attr:gone|'b?c=2'}")
    attributes = {"url": "/cb?code=17", RESOURCE: {"service.name": "s?d=3"}}
    assert template.render(("/x?e=4",), attributes, clean_key_part) == ("w?a=1 /cb /x s?d=3 b?c=2", False)
    assert Template("{attr:a|'b'}").render((), {"a": "Bearer abcdefghijklmnop1"}, clean_key_part).text is None


def test_keys_have_no_values_of_a_span_and_run_ids_have_them() -> None:
    rule = StepRule("of {attr:user}", "{1}", span_name="GET *", run_id="{attr:id}")
    found = Rules([rule]).candidates("", "GET /cb?code=17")
    assert found is not None
    assert found.only is not None
    attributes = {"user": "ada@example.com", "id": "550e8400-e29b-41d4-a716-446655440000"}
    assert found.only.names(attributes) == ("of [redacted]", "/cb")
    assert found.only.run_id(attributes) == attributes["id"]
    for may_wait in (False, True):
        assert found.only.run_id(attributes, may_wait=may_wait) == attributes["id"]
        assert found.only.run_id({"other": "7"}, may_wait=may_wait) == ""


@pytest.mark.parametrize("text", ["{attr:}", "{attr}", "{0}", "{1|}", "{1 2}", "{attr:a|b}", "{'x}", "{''}"])
def test_bad_input_what_begins_like_a_placeholder_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        StepRule("f", text, span_name="*")
    assert str(refused.value).startswith(f"step of a rule has {text!r}, which is no placeholder")


def test_bad_input_a_wildcard_that_is_not_there_and_an_attribute_that_is_a_secret_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^flow of a rule must have no \{2\}, because span_name has 1 wildcard$"
    ):
        StepRule("{2}", "s", span_name="a*")
    for key in ("flow", "step", "run_id"):
        with pytest.raises(ConfigurationError, match=f"^{key} of a rule must not name a secret"):
            StepRule(**fields(key, "x{attr:http.request.header.cookie}"))
    assert StepRule(**fields("step", "reset-password")).step == "reset-password", "a text of the rule itself"


def fields(key: str, template: str) -> dict[str, Any]:
    return {"flow": "f", "step": "s", "span_name": "n", key: template}


@given(st.lists(st.sampled_from(["a", "b", "*", "?"]), max_size=6).map("".join), st.text("ab", max_size=8))
def test_wildcards_stand_for_what_the_pattern_leaves(glob: str, text: str) -> None:
    captured = Wildcards(glob).captured(text)
    if matcher(glob)(text):
        parts = iter(captured)
        assert "".join(next(parts) if char in "*?" else char for char in glob) == text
        assert len(captured) == sum(char in "*?" for char in glob)
    else:
        assert captured == ()


def test_a_pattern_with_many_wildcards_takes_no_long_time() -> None:
    glob, name = "*a" * 100 + "b", "a" * limits.MAX_NAME_CHARS
    assert not matcher(glob)(name)
    assert matcher(glob)(f"{name}b")
    assert Wildcards(glob).captured(f"{name}b")[-1] == "a" * (limits.MAX_NAME_CHARS - 100)


def bounded(max_keys: int, flow: str | None = None) -> BoundedKeys:
    log = KeyLog("'GET *'")
    return BoundedKeys(max_keys, flow, None, log, log.too_many)


@given(st.one_of(st.none(), st.text(max_size=300)), st.one_of(st.none(), st.text(max_size=300)))
def test_whatever_a_template_becomes_its_keys_are_valid(flow: str | None, step: str | None) -> None:
    for key in bounded(5).names(flow, step):
        assert key.strip()
        assert key.isprintable()
        assert len(key) <= limits.MAX_KEY_CHARS
        assert redact_values(key) == key


def test_there_are_no_more_keys_than_allowed_and_those_that_exist_go_on(caplog: pytest.LogCaptureFixture) -> None:
    keys = bounded(3, "shop")
    made = [keys.names("shop", f"/{number}") for number in range(10)]
    assert made == [Names("shop", f"/{number}") for number in range(3)] + [Names("shop", OTHER)] * 7
    assert keys.names("shop", "/1") == ("shop", "/1")
    [message] = caplog.messages
    assert "the rule for spans named 'GET *' makes the key 'other'" in message
    assert "it has made 3 different keys (max_keys)" in message


def test_a_key_that_cannot_be_one_is_other_and_the_rest_stays(caplog: pytest.LogCaptureFixture) -> None:
    keys = bounded(3)
    for step in (None, "", "a\nb", "x" * 201, "Bearer abcdefghijklmnopqrstuvwxyz0123456789"):
        assert keys.names("shop", step) == ("shop", OTHER)
    assert keys.names(None, None) == (OTHER, OTHER)
    [message] = caplog.messages
    assert "the rule for spans named 'GET *' makes the key 'other'" in message


def test_threads_that_make_keys_at_once_make_no_more_than_allowed() -> None:
    keys = bounded(50)
    made: list[Any] = []
    start = threading.Barrier(4)

    def work(thread: int) -> None:
        start.wait(10)
        made.extend(keys.names("shop", f"{thread}-{number}") for number in range(500))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2_000
    assert len(set(made)) == 51
