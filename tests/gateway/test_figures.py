"""How a gateway says how it is: alive, ready, and in figures."""

import threading
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from failpath_otel import limits
from failpath_otel._version import __version__
from failpath_otel.gateway import forward
from failpath_otel.otlp.requests.intake import ServiceUnavailable
from tests.fault_server import FaultServer, accepted, fault_server, held, status
from tests.gateway.apps import App, gateway_app
from tests.gateway.requests import JSON, attribute, json_request, json_span
from tests.receiver import wait_for

TOKEN: Final = "a-long-token"
OWN: Final = {"Authorization": f"Bearer {TOKEN}"}
TYPED: Final = {"Content-Type": JSON}
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(app: App, **headers: str) -> Samples:
    """What is scraped, by name and labels."""
    reply = app.client.get("/metrics", headers=headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    found = [sample for family in parse(reply.text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


def send(app: App, *spans: dict[str, object]) -> int:
    return int(app.client.post("/v1/traces", content=json_request(*spans), headers=TYPED).status_code)


def test_the_metrics_follow_what_happens(server: FaultServer, tmp_path: Path) -> None:
    with gateway_app(server.url, tmp_path) as app:
        before = samples(app)
        assert send(app, json_span(), json_span(attributes=[]), json_span(traceId="00")) == 200
        assert app.client.post("/v1/traces", content=b"x", headers=TYPED).status_code == 400
        assert app.client.post("/v1/logs", content=b"x", headers=TYPED).status_code == 404
        assert app.client.post("/nothing", content=b"x", headers=TYPED).status_code == 404
        server.wait_for_events(2)
        assert app.forwarder.pipeline.flush(10)
        after = samples(app)

    def grew(name: str, **labels: str) -> float:
        key = name, tuple(sorted(labels.items()))
        return after[key] - before.get(key, 0.0)

    assert after["failpath_build_info", (("server", "gateway"), ("version", __version__))] == 1
    assert grew("failpath_spans_total", protocol="http", outcome="step") == 1
    assert grew("failpath_spans_total", protocol="http", outcome="ignored") == 1
    assert grew("failpath_spans_total", protocol="http", outcome="rejected") == 1
    assert grew("failpath_requests_total", signal="traces", protocol="http", code="200") == 1
    assert grew("failpath_requests_total", signal="traces", protocol="http", code="400") == 1
    assert grew("failpath_requests_total", signal="logs", protocol="http", code="404") == 1
    assert grew("failpath_requests_refused_total", reason="malformed") == 1
    assert grew("failpath_other_signal_requests_total", signal="logs", protocol="http", outcome="refused") == 1
    assert grew("failpath_unknown_route_requests_total") == 1
    assert grew("failpath_records_accepted_total") == 2
    assert grew("failpath_records_delivered_total") == 2
    assert after["failpath_records_waiting", ()] == 0
    assert after["failpath_records_oldest_waiting_seconds", ()] == 0
    assert after["failpath_records_dropped_total", (("reason", "journal_full"),)] == 0
    assert after["failpath_journal_capacity_bytes", ()] == 64 * 1_048_576
    assert after["failpath_ready", ()] == 1
    assert after["failpath_delivery_failing", ()] == 0


def test_the_format_is_that_of_prometheus_and_of_openmetrics_where_it_is_asked_for(server: FaultServer) -> None:
    with gateway_app(server.url, None) as app:
        reply = app.client.get("/metrics", headers={"Accept": OPENMETRICS})
        assert reply.headers["content-type"].startswith("application/openmetrics-text")
        exact = parse_openmetrics(reply.text)  # type: ignore[no-untyped-call]
        strict = {family.name: family for family in exact}  # this parser refuses what is not exact
        plain = {family.name for family in parse(app.client.get("/metrics").text)}
    # The old format has no type for information about a server.
    assert {name.removesuffix("_info") for name in plain} == strict.keys()
    ours = [family for name, family in strict.items() if name.startswith("failpath_")]
    assert len(ours) > 15
    assert [family.name for family in ours if not family.documentation.endswith(".")] == []


def test_a_scrape_that_waits_for_the_queue_holds_up_no_other_request(server: FaultServer, tmp_path: Path) -> None:
    with gateway_app(server.url, tmp_path) as app, app.client:
        scraped = threading.Event()

        def scrape() -> None:
            app.client.get("/metrics")
            scraped.set()

        with app.forwarder.pipeline.queue.lock:
            thread = threading.Thread(target=scrape)
            thread.start()
            # By the same event loop.
            assert app.client.get("/nothing").status_code == 404
            assert not scraped.is_set()
        thread.join(20)
        assert scraped.is_set()


def test_with_a_token_only_that_the_gateway_is_alive_shows_without_it(server: FaultServer) -> None:
    with gateway_app(server.url, None, TOKEN) as app:
        assert app.client.get("/healthz").json() == {"status": "ok"}
        assert app.client.get("/healthz", headers={"Authorization": "Bearer guessed"}).json() == {"status": "ok"}
        shown = app.client.get("/healthz", headers=OWN).json()
        assert shown.keys() == {"status", "spans", "records", "other_signals", "unknown_routes"}
        for path in ("/readyz", "/metrics"):
            refusal = app.client.get(path)
            assert (refusal.status_code, refusal.headers["www-authenticate"]) == (401, "Bearer")
            assert app.client.get(path, headers=OWN).status_code == 200


def test_a_gateway_that_ends_is_alive_and_not_ready(server: FaultServer, tmp_path: Path) -> None:
    ending = threading.Event()
    with gateway_app(server.url, tmp_path, is_ending=ending.is_set) as app:
        assert app.client.get("/readyz").json() == {"status": "ready"}
        ending.set()
        reply = app.client.get("/readyz")
        assert (reply.status_code, "shutting down" in reply.json()["reason"]) == (503, True)
        assert app.client.get("/healthz").status_code == 200
        assert samples(app)["failpath_ready", ()] == 0


def test_a_gateway_whose_journal_is_full_is_not_ready_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 2)
    monkeypatch.setattr(forward, "_ROOM_SECONDS", 0.0)
    monkeypatch.setattr(forward, "_FULL_SECONDS", 0.0)
    gate = threading.Event()
    with fault_server(held(gate, accepted)) as server, gateway_app(server.url, tmp_path) as app:
        number = 0
        while app.client.get("/readyz").status_code == 200 and number < 100:
            number += 1
            attributes = [*json_span()["attributes"], attribute("failpath.metadata.text", "x" * 4_000)]
            ids = [f"{100 * number + each:016x}" for each in range(100)]
            send(app, *[json_span(spanId=span_id, attributes=attributes) for span_id in ids])
        reply = app.client.get("/readyz")
        assert (reply.status_code, "the journal is full" in reply.json()["reason"]) == (503, True)
        gate.set()
        wait_for(lambda: app.client.get("/readyz").status_code == 200)


def test_without_a_journal_it_is_not_ready_while_failpath_takes_nothing_and_with_one_it_is(tmp_path: Path) -> None:
    with fault_server(status(503)) as server:
        with gateway_app(server.url, None) as app:
            assert send(app, json_span()) == 503
            reply = app.client.get("/readyz")
            assert (reply.status_code, "there is no journal" in reply.json()["reason"]) == (503, True)
            assert samples(app)["failpath_delivery_failing", ()] == 1
        with gateway_app(server.url, tmp_path) as app:
            assert send(app, json_span()) == 200
            wait_for(lambda: app.forwarder.pipeline.stuck)
            assert app.client.get("/readyz").status_code == 200
            assert samples(app)["failpath_records_waiting", ()] == 2


def test_what_says_that_it_is_not_ready_is_what_refuses_requests(server: FaultServer, tmp_path: Path) -> None:
    with gateway_app(server.url, tmp_path) as app:
        app.forwarder.pipeline.shutdown(5)
        refusal = app.forwarder.refusal()
        with pytest.raises(ServiceUnavailable) as raised:
            app.forwarder.check()
    assert refusal is not None
    assert (refusal.detail, refusal.reason) == (raised.value.detail, "shutting_down")
