"""What rules ask of attributes."""

import copy
import pickle
from typing import Any

import pytest

from failpath_otel import ConfigurationError, StepRule, limits
from failpath_otel.records.matching.conditions import Condition, Conditions


@pytest.mark.parametrize(
    ("expected", "value", "accepted"),
    [
        ("grpc", "grpc", True),
        ("grpc", "GRPC", False),
        ("/orders/*", "/orders/7", True),
        ("/orders/*", "/order", False),
        ("*", "", True),
        ("*", (), True),
        ("*", 0, True),
        (200, 200, True),
        (200, 200.0, True),
        (200, "200", False),
        ("200", 200, True),
        ("4??", 404, True),
        ("4??", 500, False),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (False, True, False),
        ("true", True, True),
        (("POST", "PUT"), "PUT", True),
        (("POST", 7), 7, True),
        (("POST", "PUT"), "GET", False),
        ("stop", ("length", "stop"), True),
        ("stop", ("length",), False),
        ("b", b"b", False),
    ],
)
def test_an_attribute_is_what_is_expected_or_is_not(expected: Any, value: object, accepted: bool) -> None:
    assert Condition("a", expected).verdict({"a": value}) == ("matches" if accepted else "differs")


def test_the_beginning_of_a_long_text_is_compared_as_that_of_a_name() -> None:
    beginning = "a" * limits.MAX_NAME_CHARS
    assert Condition("a", "a*").accepts(f"{beginning}b")
    assert Condition("a", "*a").accepts(f"{beginning}b")
    assert not Condition("a", "*b").accepts(f"{beginning}b")


def test_an_attribute_that_is_not_there_is_missing_and_of_several_names_the_first_that_is_there_counts() -> None:
    condition = Condition("new | old", "x")
    assert condition.verdict({"other": "x"}) == "missing"
    assert condition.verdict({"old": "x"}) == "matches"
    assert condition.verdict({"new": "y", "old": "x"}) == "differs"


def test_what_a_rule_asks_for_cannot_be_changed_and_is_told_apart_by_type() -> None:
    given: dict[str, Any] = {"a": [1, "x"]}
    rule = StepRule("f", "s", span_name="n", where=given)
    given["a"] = [2]
    assert rule.where == Conditions({"a": (1, "x")})
    same, other = (StepRule("f", "s", span_name="n", where={"a": value}) for value in (1, True))
    assert same != other
    assert hash(same) == hash(StepRule("f", "s", span_name="n", where={"a": 1}))
    assert copy.deepcopy(rule) == pickle.loads(pickle.dumps(rule)) == rule


@pytest.mark.parametrize(
    "where",
    [
        {"": "x"},
        {"a|": "x"},
        {"a\n": "x"},
        {"a": ""},
        {"a": []},
        {"a": [[]]},
        {"a": None},
        {"a": float("nan")},
        {"a": "x" * 301},
        {7: "x"},
        {str(number): "x" for number in range(limits.MAX_CONDITIONS + 1)},
        "a",
        [("a", "x")],
    ],
)
def test_bad_input_what_no_attribute_can_be_asked_for_is_refused(where: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^where of a rule must (?!.*got None$)"):
        StepRule("f", "s", span_name="n", where=where)


@pytest.mark.parametrize("given", [{"kind": "Server"}, {"kind": 1}, {"max_keys": 0}, {"max_keys": True}])
def test_bad_input_no_kind_and_no_number_of_keys_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{next(iter(given))} of a rule must"):
        StepRule("f", "s", span_name="n", **given)
