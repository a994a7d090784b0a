"""OpenTelemetry's OTLP exporters for Python send to the gateway and to the local receiver."""

import zlib
from typing import Final

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from tests.gateway.requests import PROTOBUF, protobuf_of
from tests.integration.peers.exporters import ENCODINGS, EXPORTERS, PROCESS, STORY, act, exporting
from tests.integration.peers.records import Chain, by_step, statuses
from tests.receiver import Receiver
from tests.spans.foreign import a_span

COMPRESSION: Final = "OTEL_EXPORTER_OTLP_COMPRESSION"
METADATA: Final = {"route": "/buy", "cart": {"books": [1, None]}}
ERROR: Final = {"name": "ValueError", "message": "card declined"}


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_gateway_makes_of_its_spans_the_records_of_each_step_once(
    chain: Chain, run_id: str, encoding: str, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPRESSION, compression)
    with exporting(chain.url, encoding) as provider:
        act(provider, run_id)
    chain.settle()
    events = chain.events_of(run_id)
    assert statuses(events) == STORY
    assert [event["process"] for event in events] == [PROCESS] * len(events)
    steps = by_step(events)
    assert [event["metadata"] for event in steps["validate"]] == [METADATA, METADATA]
    assert steps["charge"][1]["error"] == ERROR


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_local_receiver_shows_its_run(
    receiver: Receiver, run_id: str, encoding: str, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPRESSION, compression)
    with exporting(receiver.url, encoding) as provider:
        act(provider, run_id)
    run = receiver.run(run_id)
    assert run is not None
    steps = {step["stepKey"]: step for step in run["steps"]}
    assert len(run["steps"]) == len(STORY)
    assert {key: step["status"] for key, step in steps.items()} == {key: said[-1] for key, said in STORY.items()}
    assert steps["validate"]["metadata"] == METADATA
    assert {name: steps["charge"]["error"][name] for name in ERROR} == ERROR


@pytest.mark.process
@pytest.mark.parametrize("place", ["chain", "receiver"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_deflate_is_refused_and_the_exporter_says_so(
    request: pytest.FixtureRequest,
    place: str,
    encoding: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(COMPRESSION, "deflate")
    url = request.getfixturevalue(place).url
    exporter = EXPORTERS[encoding](endpoint=f"{url}/v1/traces")
    assert exporter.export([a_span()]) is SpanExportResult.FAILURE
    exporter.shutdown()
    assert "415" in caplog.text
    assert "Unsupported Media Type" in caplog.text


def test_who_reads_the_answer_to_deflate_learns_what_would_be_taken(chain: Chain) -> None:
    before = chain.settle()
    reply = chain.gateway.send(zlib.compress(protobuf_of([a_span()])), PROTOBUF, Content_Encoding="deflate")
    assert (reply.status, reply.headers["accept-encoding"]) == (415, "gzip")
    assert b"expected a body with 'Content-Encoding: gzip', or without one" in reply.body
    after = chain.settle()
    assert (after["refused"] - before["refused"], after["received"] - before["received"]) == (1, 0)
