"""Templates are bounded in number and in the work that they take, and nothing of a secret is kept for them."""

from collections.abc import Iterable
from typing import Any

import pytest

from failpath_otel.otlp import templates
from failpath_otel.otlp.http_messages import spans_in
from failpath_otel.otlp.reader import SpanReader
from failpath_otel.otlp.slots import METADATA, encoder_of
from failpath_otel.otlp.template import Template, new_template
from failpath_otel.records.content import RecordContent
from failpath_otel.records.span_translation import span_records
from tests.gateway.requests import JSON, PROTOBUF, body_of
from tests.planted import TEXTS
from tests.spans.foreign import a_span

KINDS = pytest.mark.parametrize("kind", [PROTOBUF, JSON])


def by_template(reader: SpanReader, kind: str, steps: Iterable[str], value: str = "plain") -> list[bool]:
    """Whether a template has read each step."""
    spans = [a_span({"failpath.step.key": step, "failpath.metadata.x": value}) for step in steps]
    return [isinstance(found, list) for found in spans_in(body_of(spans, kind), kind, reader.reading)]


@KINDS
def test_the_step_that_was_used_least_recently_loses_its_templates(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_STEPS", 2)
    monkeypatch.setattr(templates, "_WALKS_PER_TEMPLATE", 1)
    reader = SpanReader(RecordContent())
    for step in ("a", "b"):
        assert by_template(reader, kind, [step] * 5) == [False] * 4 + [True]
    assert by_template(reader, kind, ["a", "c", "a"]) == [True, False, True]
    assert by_template(reader, kind, ["b"]) == [False]


@KINDS
def test_a_template_is_made_once_in_many_walks_where_hardly_two_spans_are_alike(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Template] = []

    def counted(*given: Any) -> Template:
        made.append(new_template(*given))
        return made[-1]

    monkeypatch.setattr(templates, "new_template", counted)
    by_template(SpanReader(RecordContent()), kind, [f"step-{number // 4}" for number in range(320)])
    assert 1 <= len(made) <= 320 // templates._WALKS_PER_TEMPLATE


@KINDS
def test_a_secret_is_redacted_and_not_kept_where_a_template_finds_it(kind: str) -> None:
    reader = SpanReader(RecordContent())
    assert by_template(reader, kind, ["charge"] * 5)[-1]
    cache = encoder_of(METADATA, bytes.decode)
    before = cache.cache_info()  # type: ignore[attr-defined]
    for text in TEXTS.values():
        assert by_template(reader, kind, ["charge"], text) == [False]
    after = cache.cache_info()  # type: ignore[attr-defined]
    assert after.currsize == before.currsize
    assert after.misses > before.misses
    assert by_template(reader, kind, ["charge"]) == [True]


@KINDS
@pytest.mark.parametrize("key", ["password", "session_id", "api_key", "Authorization"])
@pytest.mark.parametrize("first", ["[redacted]", "plain"])
def test_what_is_redacted_by_its_key_is_redacted_whatever_stood_there_before(kind: str, key: str, first: str) -> None:
    reader = SpanReader(RecordContent())

    def records(value: str) -> str:
        given = {"failpath.step.key": "charge", f"failpath.metadata.{key}": value}
        [found] = spans_in(body_of([a_span(given)], kind), kind, reader.reading)
        assert not isinstance(found, list), "by a template"
        span: Any = found
        return str([record.metadata for record in span_records(span, None, RecordContent())])

    for _ in range(40):
        records(first)
    assert "hunter2" not in records("hunter2")
