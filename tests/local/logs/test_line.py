"""A log record is stored clean: without what looks like a secret, bounded, whatever its sender put into it."""

import json
from typing import Any

import pytest

from failpath_otel import limits
from failpath_otel.local.logs.line import MAX_ATTRIBUTES_BYTES, MAX_BODY_CHARS, new_log
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.otlp.logs.record import OtlpLog
from failpath_otel.scrubbing.values import DROPPED_KEYS
from tests.logs import SPAN, TRACE

NOW = 1_700_000_000_000_000


def stored(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The line and the details."""
    log = new_log(OtlpLog(TRACE, SPAN, 5_000, **fields), NOW)
    return json.loads(log.line), {} if log.details is None else json.loads(log.details)


def test_secrets_in_a_body_a_logger_an_attribute_and_an_exception_are_redacted() -> None:
    secret = "hunter2hunter2"
    line, details = stored(
        body=f"login with password={secret}",
        scope=f"https://u:{secret}@host/",
        severity_text=f"token={secret}",
        service=f"api_key={secret}",
        attributes={
            "password": secret,
            "nested": {"api_key": secret},
            "url": f"postgres://shop:{secret}@db/shop",
            "exception.type": "LoginError",
            "exception.message": f"password={secret}",
            "exception.stacktrace": f'raise LoginError("password={secret}")',
        },
    )
    assert secret not in json.dumps([line, details])
    assert line["body"] == "login with password=[redacted]"
    assert details["attributes"].keys() == {"password", "nested", "url"}
    assert details["error"]["name"] == line["error"] == "LoginError"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, ""),
        (7, "7"),
        (True, "True"),
        (float("nan"), "nan"),
        ({"event": "paid", "password": "hunter2hunter2"}, '{"event":"paid","password":"[redacted]"}'),
        (("a", 1, None), '["a",1,null]'),
        (b"raw \xff", "raw \\xff"),
        ("half \ud83d", "half \\ud83d"),
        ("a\x00b\x1b[31m", "a\x00b\x1b[31m"),
    ],
)
def test_a_body_of_any_kind_is_a_text(body: object, shown: str) -> None:
    assert stored(body=body)[0]["body"] == shown


def test_all_parts_are_bounded() -> None:
    huge = "x" * 1_000_000
    line, details = stored(
        body=huge,
        scope=huge,
        service=huge,
        severity_text=huge,
        attributes={
            **{f"k{number}": "x" * 1_000 for number in range(200)},
            "exception.message": huge,
            "exception.stacktrace": huge,
            "exception.type": huge,
        },
    )
    assert len(line["body"]) == MAX_BODY_CHARS
    assert line["body"].endswith("…[1000000 characters]")
    assert len(json.dumps(line)) < MAX_BODY_CHARS + 2_000
    assert len(json.dumps(details["attributes"])) < MAX_ATTRIBUTES_BYTES + 100
    assert details["attributes"][DROPPED_KEYS] == 200 - len(details["attributes"]) + 1
    assert len(details["error"]["stack"]) == limits.MAX_STACK_CHARS


def test_a_mapping_as_body_is_bounded_and_its_text_is_as_well() -> None:
    line, _ = stored(body={f"k{number}": "x" * 1_000 for number in range(100)})
    assert len(line["body"]) <= MAX_BODY_CHARS


@pytest.mark.parametrize(("time_ns", "at"), [(0, NOW), (999, NOW), (5_000, 5), ((1 << 64) - 1, 18446744073709551)])
def test_a_record_without_a_time_has_that_of_its_receipt_and_any_other_can_be_shown(time_ns: int, at: int) -> None:
    assert new_log(OtlpLog(TRACE, SPAN, time_ns), NOW).at == at
    assert to_rfc3339(at)


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (9, 9), (24, 24), (25, 0), (-3, 0), (1 << 70, 0)])
def test_a_severity_that_is_none_is_not_kept(given: int, kept: int) -> None:
    assert new_log(OtlpLog(TRACE, SPAN, 5_000, given), NOW).severity == kept


def test_an_exception_of_odd_values_is_one_and_one_without_a_name_has_the_usual() -> None:
    _, details = stored(attributes={"exception.message": ("a", 1), "exception.stacktrace": 5})
    assert details["error"] == {"name": "Error", "message": "('a', 1)", "stack": "5"}
    assert stored(attributes={"exception.type": ""}) == ({"body": ""}, {})
