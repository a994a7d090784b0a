"""The route by itself: how it reports each request."""

import sys
from collections.abc import Iterator
from typing import Final

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.reading import ReadSpan
from failpath_otel.otlp.requests.intake import ServiceUnavailable
from failpath_otel.otlp.route import OtlpRoute
from failpath_otel.serving.refusals import FAULT, Refusal
from tests.gateway.requests import PROTOBUF, protobuf_of
from tests.spans.foreign import a_span

TAKEN: Final = Receipt(received=1, steps=1)


@pytest.mark.parametrize(
    ("outcome", "status", "on_request"),
    [
        (TAKEN, 200, TAKEN),
        (ServiceUnavailable("the journal is full", 1, "full"), 503, Refusal(503, "full")),
        (RuntimeError("a fault of ours"), 500, FAULT),
    ],
    ids=["taken", "busy", "broken"],
)
def test_on_request_is_called_once_for_each_request_however_it_ends(
    outcome: Receipt | Exception, status: int, on_request: Receipt | Refusal
) -> None:
    receipts: list[Receipt | Refusal] = []

    def take(_: Iterator[ReadSpan]) -> Receipt:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    app = Starlette(routes=[Route("/v1/traces", OtlpRoute(take, on_request=receipts.append).receive, methods=["POST"])])
    client = TestClient(app, raise_server_exceptions=False)
    reply = client.post("/v1/traces", content=protobuf_of([a_span()]), headers={"Content-Type": PROTOBUF})
    assert (reply.status_code, receipts) == (status, [on_request])


def test_senders_keep_what_they_send_to_a_server_whose_files_were_replaced_before_it_had_loaded_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receipts: list[Receipt | Refusal] = []
    route = OtlpRoute(lambda _: TAKEN, on_request=receipts.append)
    client = TestClient(Starlette(routes=[Route("/v1/traces", route.receive, methods=["POST"])]))
    monkeypatch.delattr("failpath_otel.otlp.protobuf", raising=False)
    monkeypatch.setitem(sys.modules, "failpath_otel.otlp.protobuf", None)
    reply = client.post("/v1/traces", content=protobuf_of([a_span()]), headers={"Content-Type": PROTOBUF})
    assert (reply.status_code, reply.headers["retry-after"], receipts) == (503, "5", [Refusal(503, "unavailable")])
