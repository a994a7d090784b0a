"""Transactions, spans and errors in Sentry's envelopes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.fault_server import Request
from tests.neighbours.otlp import decoded
from tests.neighbours.seen import Seen


def read_envelopes(requests: Sequence[Request]) -> list[Seen]:
    """All transactions with their spans, all spans that come alone, and all errors.

    Sentry traces its own calls too where its backend has a port of its own; those are not looked at.
    """
    seen = [item for request in requests for kind, value in _items(decoded(request)) for item in _read(kind, value)]
    return [item for item in seen if "/envelope/" not in item.name]


def _items(envelope: bytes) -> Iterator[tuple[str, Any]]:
    rest = envelope.partition(b"\n")[2]
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        end = header.get("length", len(rest.partition(b"\n")[0]))
        yield header["type"], json.loads(rest[:end])
        rest = rest[end + 1 :]


def _read(kind: str, value: Any) -> Iterator[Seen]:
    if kind == "event":
        [error] = value["exception"]["values"]
        facts = {"error": error["type"], "level": value["level"], "breadcrumbs": _breadcrumbs(value)}
        yield Seen(error["value"], None, value["contexts"]["trace"]["span_id"], facts)
    elif kind == "transaction":
        trace = value["contexts"]["trace"]
        facts = {"op": trace["op"], "breadcrumbs": _breadcrumbs(value)}
        yield Seen(value["transaction"], trace["span_id"], trace["parent_span_id"], facts)
        for span in value["spans"]:
            facts = {"op": span["op"], "status": span.get("status")}
            yield Seen(span["description"], span["span_id"], span["parent_span_id"], facts)
    elif kind == "span":
        for span in value["items"]:
            facts = {"segment": span["is_segment"], "status": span["status"]}
            yield Seen(span["name"], span["span_id"], span.get("parent_span_id"), facts)


def _breadcrumbs(event: Any) -> list[tuple[str, str]]:
    crumbs = event.get("breadcrumbs", {}).get("values", [])
    return [(crumb["category"], json.dumps(crumb.get("data") or crumb.get("message"))) for crumb in crumbs]
