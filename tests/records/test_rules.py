"""Rules: which spans they are for, which errors they have, and what they say in a file."""

import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

import failpath_otel
from failpath_otel import ConfigurationError, StepRule, limits, semconv
from failpath_otel.records.matching.values import usable_run_id
from failpath_otel.records.rule_conflicts import first_conflict
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.rules_file import check_rules

FLASK = "opentelemetry.instrumentation.flask"


def rule(span_name: str, scope: str = "*", **more: Any) -> StepRule:
    return StepRule("checkout", "charge-card", span_name=span_name, scope=scope, **more)


def only(rules: Rules, scope: str, name: str) -> StepRule | None:
    found = rules.candidates(scope, name)
    return None if found is None or found.only is None else found.only.rule


@pytest.mark.parametrize(
    ("span_name", "scope", "matches"),
    [
        ("POST /charge", "*", True),
        ("POST /*", "*", True),
        ("POST /char?e", "*", True),
        ("*", FLASK, True),
        ("*arge", "opentelemetry.instrumentation.*", True),
        ("post /charge", "*", False),
        ("POST /", "*", False),
        ("POST /charge?", "*", False),
        ("POST /charge", "opentelemetry.instrumentation", False),
        ("POST /charge", "opentelemetry?instrumentation?flask", True),
        ("POST /[c]harge", "*", False),
        (".*", "*", False),
    ],
)
def test_a_rule_matches_by_the_whole_name_and_the_whole_scope(span_name: str, scope: str, matches: bool) -> None:
    rules = Rules([rule(span_name, scope)])
    for _ in range(2):  # and so it is kept
        assert (rules.candidates(FLASK, "POST /charge") is not None) is matches


def test_brackets_in_a_pattern_are_brackets() -> None:
    assert Rules([rule("items[0-9]*")]).candidates("", "items[0-9] of 7")


@pytest.mark.parametrize("names", [("a*", "*b"), ("*b", "a*")])
def test_of_patterns_that_overlap_the_first_rule_holds(names: tuple[str, str]) -> None:
    first, second = (StepRule("flow", name, span_name=name) for name in names)
    assert first_conflict([first, second]) is None
    assert only(Rules([first, second]), "", "ab") is first


def test_a_name_without_stars_and_one_with_them_hold_in_their_order() -> None:
    # Not of one scope for certain, so no clash.
    literal, glob = rule("ab", "x*"), rule("a*", "*y")
    assert first_conflict([literal, glob]) is None
    assert only(Rules([literal, glob]), "xy", "ab") is literal
    assert only(Rules([glob, literal]), "xy", "ab") is glob


def test_what_is_kept_of_names_is_bounded() -> None:
    rules = Rules([rule("POST *")])
    for number in range(3 * limits.MAX_CACHED_NAMES):
        assert rules.candidates(FLASK, f"GET /{number}") is None
    assert len(rules._cache) <= limits.MAX_CACHED_NAMES
    assert rules.candidates(FLASK, "POST /" + "x" * 100_000)
    assert rules.candidates("x" * 100_000, "POST /")  # a gateway gets any scope
    assert all(max(map(len, kept)) <= limits.MAX_NAME_CHARS for kept in rules._cache)


def test_names_are_unmatched_until_a_rule_that_looks_at_attributes_has_chosen_a_span() -> None:
    rules = Rules([StepRule("f", "s", span_name="a", where={"number": 1})])
    for number in (2, 1):
        assert rules.unmatched() == ([("", "a")] if number == 1 else [])
        found = rules.candidates("", "a")
        assert found is not None
        assert (rules.choice_of(found, ReadableSpan("a"), {"number": number}) is None) == (number == 2)
    assert rules.unmatched() == []


def test_a_pattern_holds_for_the_scope_of_its_own_rule_only() -> None:
    rules = Rules([rule("a*", "x"), rule("b*", "y")])
    assert only(rules, "y", "ab") is None
    assert only(rules, "x", "ab") is not None


def test_what_is_unmatched_is_not_said_before_there_was_an_entry() -> None:
    rules = Rules([rule("other")])
    for kind, seen in ((SpanKind.INTERNAL, 0), (SpanKind.SERVER, 2), (SpanKind.INTERNAL, 3)):
        span = ReadableSpan(f"{kind.name} {seen}", kind=kind)
        assert rules.candidates_for(span, None) is None
        assert len(rules.unmatched_since_entry()) == seen


@pytest.mark.parametrize("own", [semconv.FLOW_KEY, semconv.STEP_KEY])
def test_a_span_that_states_its_own_flow_or_step_is_left_alone_by_rules(own: str) -> None:
    rules = Rules([rule("a")])
    assert rules.candidates_for(ReadableSpan("a"), None) is not None
    assert rules.candidates_for(ReadableSpan("a", attributes={own: "x"}), None) is None


def test_of_a_long_name_the_beginning_counts() -> None:
    rules = Rules([rule("POST *"), StepRule("flow", "end", span_name="GET *end")])
    assert rules.candidates(FLASK, "POST /" + "x" * 100_000)
    assert rules.candidates(FLASK, "GET /" + "x" * 100_000 + "end") is None
    assert rules.candidates(FLASK, "GET /" + "x" * 500 + "end")


def test_names_are_looked_up_from_many_threads_at_once() -> None:
    rules = Rules([rule("POST *")])
    wrong: list[str] = []

    def look() -> None:
        for number in range(limits.MAX_CACHED_NAMES + 100):
            names = [f"{method} /{number}" for method in ("POST", "GET")]
            wrong.extend(name for name in names if (rules.candidates(FLASK, name) is None) is name.startswith("POST"))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"flow": ""}, "flow"),
        ({"flow": "f" * 201}, "flow"),
        ({"step": 7}, "step"),
        ({"step": "a\nb"}, "step"),
        ({"span_name": ""}, "span_name"),
        ({"span_name": " "}, "span_name"),
        ({"span_name": None}, "span_name"),
        ({"span_name": "*" * 301}, "span_name"),
        ({"scope": ""}, "scope"),
        ({"scope": b"x"}, "scope"),
        ({"run_id": ""}, "run_id"),
        ({"run_id": "http.request.header.authorization"}, "run_id"),
    ],
)
def test_bad_input_a_rule_that_cannot_work_is_refused_where_it_is_made(given: Mapping[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{names} of a rule must"):
        StepRule(**{"flow": "checkout", "step": "pack", "span_name": "pack", **given})


def test_a_rule_cannot_be_changed_and_is_equal_to_one_that_says_the_same() -> None:
    made = rule("x")
    with pytest.raises(AttributeError):
        made.flow = "other"  # type: ignore[misc]
    assert made == rule("x")
    assert hash(made) == hash(rule("x"))


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (("x", "*"), ("x", "*"), True),
        (("x", "a.b"), ("x", "a.*"), True),
        (("x", "a.b"), ("x", "a.c"), False),
        (("x*", "a"), ("xy", "a"), True),
        (("xy", "a"), ("x*", "a"), True),
        (("x*", "a"), ("x*z", "a"), True),
        (("x*", "a"), ("*z", "a"), False),
        (("x", "*"), ("y", "*"), False),
        (("x?", "*"), ("x", "*"), False),
    ],
)
def test_two_rules_for_one_span_are_found_where_their_patterns_show_it(
    one: tuple[str, str], other: tuple[str, str], clash: bool
) -> None:
    assert first_conflict([rule(*one), rule("else"), rule(*other)]) == ((0, 2) if clash else None)


@pytest.mark.parametrize(
    ("value", "run_id"),
    [
        ("req-1", "req-1"),
        (" req-1 ", " req-1 "),
        (("req-1",), "req-1"),
        (["req-1", "req-2"], "req-1"),
        (17, "17"),
        (True, ""),
        (1.5, ""),
        ("", ""),
        ((), ""),
        (None, ""),
        ("a\nb", ""),
        ("\x1b[31m", ""),
        ("x" * 200, "x" * 200),
        ("x" * 201, ""),
        ("Bearer abcdefghijklmnopqrstuvwxyz0123456789", ""),
        (b"req-1", ""),
    ],
)
def test_bad_input_a_run_id_that_others_send_is_taken_or_left(value: object, run_id: str) -> None:
    assert usable_run_id(value) == run_id


GOOD = """
# What the shop does.
[[rules]]
flow = "checkout"
step = "charge-card"
span_name = "POST /charge"
scope = "opentelemetry.instrumentation.flask"
run_id = "http.request.header.x_request_id"

[[rules]]
flow = "checkout"
step = "save-payment"
span_name = "INSERT *"
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "rules.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_says_what_the_same_rules_say_in_code(tmp_path: Path, newline: str, mark: str) -> None:
    path = written(tmp_path, mark + GOOD.replace("\n", newline))
    assert check_rules("rules", path) == (
        StepRule(
            "checkout",
            "charge-card",
            span_name="POST /charge",
            scope="opentelemetry.instrumentation.flask",
            run_id="http.request.header.x_request_id",
        ),
        StepRule("checkout", "save-payment", span_name="INSERT *"),
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "rules = []\n"])
def test_a_file_without_rules_is_none(tmp_path: Path, text: str) -> None:
    assert check_rules("rules", written(tmp_path, text)) is None


RULE = '[[rules]]\nflow = "a"\nstep = "b"\nspan_name = "c"\n'
INLINE_RULE = '{flow="a", step="b", span_name="c"}'
INLINE = f"# x\nrules = [\n  {INLINE_RULE},\n  $RULE,\n]\n\n"

WRONG: list[tuple[str | bytes, int, str]] = [
    (
        RULE + 'colour = "red"\n',
        5,
        "unknown key 'colour'; a rule has flow, step, span_name, scope, kind, where, run_id",
    ),
    (RULE + '\n[[rules]]\nflow = "a"\nstep = "b"\n"colour" = 1\n', 9, "unknown key 'colour'"),
    (RULE.replace('"c"', '""'), 4, "span_name of a rule must have"),
    (RULE + "scope = 7\n", 5, "scope of a rule must be a text"),
    (RULE + 'run_id = "http.request.header.cookie"\n', 5, "must not name a secret"),
    ('# first\n\n[[rules]]\nflow = "a"\nspan_name = "c"\n', 3, "the rule has no step"),
    (RULE + "\n" + RULE, 6, "two rules for one span: 'c' of scope '*', and 'c' of scope '*' (line 1)"),
    (RULE + "\n" + RULE.replace('"c"', '"c*"'), 6, "two rules for one span"),
    (RULE + "span_name = ", 5, "not TOML"),
    (RULE + "[[rules]\n", 5, "not TOML"),
    ("\n\n[rule]\nflow = 'a'\n", 3, "unknown 'rule'; rules are [[rules]]"),
    ("# x\nrules = 3\n", 2, "rules are [[rules]]"),
    ("[rules]\nflow = 'a'\n", 1, "rules are [[rules]]"),
    (b'[[rules]]\nflow = "\xff"\n', 2, "not UTF-8"),
    ("x = " + "[" * 100_000, 1, "not TOML"),
    (RULE + "x = " + "9" * 5000 + "\n" + RULE, 5, "not TOML: Exceeds the limit"),
    (RULE + "\nx = " + "[" * 100_000 + "\n\n" + RULE, 6, "not TOML"),
    ("k" * 500_000 + " = 1\n", 1, "unknown 'kkk"),
    ('"\\u001b[31m" = 1\n', 1, r"unknown '\x1b[31m'"),
    (INLINE.replace("$RULE", INLINE_RULE.replace('"c"', '""')), 2, "(rule 2)"),
    (INLINE.replace("$RULE", INLINE_RULE.replace("name", "nam")), 2, "(rule 2)"),
    (INLINE.replace("$RULE", INLINE_RULE), 2, "(rule 1)"),
    (RULE + 'scope = """\n[[rules]]\n"""\n', 1, "scope of a rule must have"),
]


@pytest.mark.parametrize(("text", "line", "says"), WRONG)
def test_bad_input_an_error_in_a_file_names_its_line(tmp_path: Path, text: str | bytes, line: int, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        check_rules("FAILPATH_RULES", path)
    shown = str(refused.value).replace(f"line {line} (rule 2): two", f"line {line}: two")
    assert f"FAILPATH_RULES: {path}, line {line}: " in shown
    assert says in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_bad_input_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rules.toml")
    with pytest.raises(ConfigurationError, match=r"rules\.toml cannot be read: it is no file"):
        check_rules("rules", tmp_path / "rules.toml")


def test_bad_input_a_directory_and_an_impossible_file_name_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        check_rules("rules", tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be read: UnicodeEncodeError"):
        check_rules("rules", "\ud800")


def test_bad_input_a_file_that_this_user_may_not_read_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, RULE)
    check_rules("rules", path)  # whatever is imported for it
    path.chmod(0)
    user = os.geteuid()
    if not user:
        os.seteuid(65_534)  # root may read everything
    try:
        with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
            check_rules("rules", path)
    finally:
        if not user:
            os.seteuid(0)


def test_bad_input_a_file_that_is_missing_or_too_large_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml cannot be read: No such file"):
        check_rules("rules", tmp_path / "gone.toml")
    with pytest.raises(ConfigurationError, match="more than"):
        check_rules("rules", written(tmp_path, b"#" * (limits.MAX_RULES_BYTES + 1)))


def test_bad_input_the_error_for_a_relative_path_names_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=re.escape(f"No such file or directory (looked for in {tmp_path})")):
        check_rules("rules", "gone.toml")
    with pytest.raises(ConfigurationError, match=r"No such file or directory$"):
        check_rules("rules", tmp_path / "gone.toml")


@pytest.mark.parametrize("given", [7, [7], {"rules": []}, [{"flow": "a"}], ""])
def test_bad_input_what_is_neither_rules_nor_a_path_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^rules must be StepRules or the path"):
        failpath_otel.configure(project_key="fp_project_rules", rules=given)


def test_bad_input_two_rules_for_one_span_in_code_are_refused_by_their_number() -> None:
    with pytest.raises(ConfigurationError, match=re.escape("rules, rule 2: two rules for one span")):
        failpath_otel.configure(project_key="fp_project_rules", rules=[rule("x"), rule("x")])


def test_bad_input_more_rules_than_can_be_are_refused() -> None:
    many = [rule(f"x{number}") for number in range(limits.MAX_RULES + 1)]
    with pytest.raises(ConfigurationError, match=f"there are {len(many)} rules"):
        check_rules("rules", many)
    assert len(check_rules("rules", many[:-1]) or ()) == limits.MAX_RULES
