"""Rules against a model that knows no cache, over rules and spans of any kind."""

import re
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from failpath_otel import StepRule
from failpath_otel.records.rule_set import Rules

NAMES = st.sampled_from(["a", "b", "ab", "a b", ""])
GLOBS = st.sampled_from(["a", "b", "*", "a*", "*b", "?", "a?"])
VALUES = st.sampled_from(["x", "y", 1, True, 2.5, ("x", "z"), ""])
EXPECTED = st.sampled_from(["x", "*", "?", 1, True, 2.5, ("y", 1)])
KINDS = st.sampled_from(["server", "client", "internal"])
RULES = st.lists(
    st.builds(
        StepRule,
        st.just("flow"),
        st.sampled_from(["fixed", "{attr:p|'none'}", "{attr:p}"]),
        span_name=GLOBS,
        scope=GLOBS,
        kind=st.none() | KINDS,
        where=st.none() | st.dictionaries(st.sampled_from(["p", "q", "q|p"]), EXPECTED, max_size=2),
        max_keys=st.just(2),
    ),
    max_size=6,
)
SPANS = st.lists(
    st.tuples(NAMES, NAMES, KINDS, st.dictionaries(st.sampled_from(["p", "q"]), VALUES, max_size=2)), max_size=12
)


def glob(pattern: str, text: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(char) or re.escape(char) for char in pattern), text) is not None


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def single(expected: Any, value: Any) -> bool:
    if isinstance(expected, str):
        return glob(expected, text_of(value))
    return type(expected) is type(value) and bool(expected == value)


def accepts(expected: Any, value: Any) -> bool:
    every = expected if isinstance(expected, tuple) else (expected,)
    items = value if isinstance(value, tuple) else (value,)
    return "*" in every or any(single(one, item) for one in every for item in items)


def applies(rule: StepRule, scope: str, name: str, kind: str, attributes: dict[str, Any]) -> bool:
    if not (glob(rule.span_name, name) and glob(rule.scope, scope) and rule.kind in {None, kind}):
        return False
    for names, expected in (rule.where or {}).items():
        there = [attributes[each] for each in names.split("|") if each in attributes]
        if not there or not accepts(expected, there[0]):
            return False
    return True


@given(RULES, SPANS)
def test_the_first_rule_that_applies_is_taken_and_gives_few_keys(rules: list[StepRule], spans: list[Any]) -> None:
    in_use = Rules(rules)
    keys: dict[int, set[tuple[str, str]]] = {}
    for scope, name, kind, attributes in spans:
        span = SimpleNamespace(
            instrumentation_scope=SimpleNamespace(name=scope),
            name=name,
            kind=SpanKind[kind.upper()],
            attributes=attributes,
        )
        expected = next((rule for rule in rules if applies(rule, scope, name, kind, attributes)), None)
        chosen = in_use.choice_for(span, attributes)
        assert (None if chosen is None else chosen.rule) is expected
        if chosen is not None:
            names = chosen.names(attributes)
            assert names is not None
            keys.setdefault(id(expected), set()).add(names)
            assert len(keys[id(expected)] - {("flow", "other")}) <= 2
