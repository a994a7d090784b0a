"""What the gateway takes while Failpath takes less: no more than a journal has room for without losing its oldest."""

import threading
from pathlib import Path
from typing import Any

import pytest

from failpath_otel import limits
from failpath_otel.gateway import forward
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.options.options import Options
from failpath_otel.otlp.http_messages import spans_in
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.requests.intake import ServiceUnavailable
from tests.fault_server import Exchange, FaultServer, accepted, fault_server, held, refusing_where, silent, status
from tests.gateway.requests import JSON, attribute, json_request, json_span
from tests.receiver import wait_for

KEY = "fp_project_forward_0123"
LARGE = attribute("failpath.metadata.text", "x" * 4_000)


def forwarder_to(url: str, journal: Path | None, **options: Any) -> Forwarder:
    given = {"project_key": KEY, "endpoint": url, "journal": None if journal is None else str(journal), **options}
    return Forwarder(Options.resolve_delivery(**given))


def take(forwarder: Forwarder, *spans: dict[str, Any]) -> Receipt:
    return forwarder.take(spans_in(json_request(*spans), JSON))


def large(number: int) -> dict[str, Any]:
    span = json_span(spanId=f"{number:016x}")
    return {**span, "attributes": [*span["attributes"], LARGE]}


def lets_in(forwarder: Forwarder) -> bool:
    try:
        forwarder.check()
    except ServiceUnavailable:
        return False
    return True


@pytest.fixture
def small_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of three files, and no patience."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 3)
    monkeypatch.setattr(forward, "_ROOM_SECONDS", 0.0)


@pytest.mark.usefixtures("small_journal")
def test_a_full_journal_takes_no_more_and_loses_nothing(tmp_path: Path) -> None:
    gate = threading.Event()
    taken: list[int] = []
    with fault_server(held(gate, accepted)) as server:
        forwarder = forwarder_to(server.url, tmp_path, send_timeout=30)
        with pytest.raises(ServiceUnavailable) as busy:
            for number in range(1, 1_000):
                take(forwarder, large(number))
                taken.append(number)
        assert (busy.value.status_code, busy.value.retry_after) == (503, 1)
        assert "the journal is full" in busy.value.detail
        with pytest.raises(ServiceUnavailable, match="the journal is full"):
            forwarder.check()  # others need not send in vain
        assert len(taken) > 100
        assert forwarder.pipeline.stats().dropped == {}
        gate.set()
        assert forwarder.pipeline.flush(20)
        wait_for(lambda: lets_in(forwarder))
        take(forwarder, large(1_000))
        assert forwarder.pipeline.flush(20)
        assert {event["spanId"] for event in server.taken} == {f"{number:016x}" for number in [*taken, 1_000]}
        forwarder.pipeline.shutdown(5)


def test_a_request_waits_a_moment_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 3)
    monkeypatch.setattr(forward, "_ROOM_SECONDS", 60.0)
    with fault_server() as server:
        forwarder = forwarder_to(server.url, tmp_path)
        # Five times what there is room for.
        assert take(forwarder, *[large(number) for number in range(1, 1_500)]).steps == 1_499
        assert forwarder.pipeline.flush(20)
        assert len(server.taken) == 2_998
        forwarder.pipeline.shutdown(5)


def test_a_request_that_the_memory_has_no_room_for_goes_in_parts(server: FaultServer) -> None:
    forwarder = forwarder_to(server.url, None, max_queue_size=1_024)
    assert take(forwarder, *[json_span(spanId=f"{number:016x}") for number in range(1, 2_001)]).steps == 2_000
    assert len(server.taken) == 4_000
    assert forwarder.pipeline.stats().waiting == 0
    forwarder.pipeline.shutdown(5)


def test_a_full_memory_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_ROOM_SECONDS", 0.0)
    with fault_server(silent) as server:
        forwarder = forwarder_to(server.url, None, max_queue_size=4, send_timeout=30)

        def wait_in_vain() -> None:
            with pytest.raises(ServiceUnavailable):
                take(forwarder, large(1), large(2))

        first = threading.Thread(target=wait_in_vain)
        first.start()
        server.wait_for_requests(1)
        with pytest.raises(ServiceUnavailable) as busy:
            take(forwarder, large(3))
        assert (busy.value.status_code, busy.value.detail[:17]) == (503, "the queue is full")
        assert forwarder.pipeline.stats().dropped == {}
        server.close()
        first.join(30)
        assert not first.is_alive()
        forwarder.pipeline.shutdown(0)


def test_a_journal_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with fault_server(status(503)) as server:
        forwarder = forwarder_to(server.url, place)
        with pytest.raises(ServiceUnavailable) as busy:
            take(forwarder, large(1))
        assert (busy.value.status_code, busy.value.detail) == (
            503,
            "Failpath is unavailable, and the journal cannot be written",
        )
        server.answer_with(accepted)
        wait_for(lambda: not forwarder.pipeline.stuck, 20)
        assert take(forwarder, large(2)).steps == 1
        assert len(server.taken) == 4
        forwarder.pipeline.shutdown(5)


def bad(event: dict[str, Any]) -> bool:
    return str(event["spanId"]).startswith("bad")


def bad_span(number: int) -> dict[str, Any]:
    return json_span(spanId=f"bad{number:013x}")


def test_after_another_request_was_searched_for_what_is_refused_the_next_is_not_taken_before_it_is_delivered(
    server: FaultServer,
) -> None:
    server.answer_with(refusing_where(bad))
    forwarder = forwarder_to(server.url, None)
    take(forwarder, json_span(spanId="0" * 15 + "1"))  # so that a refusal is about the contents
    assert "Failpath has refused records" in take(forwarder, bad_span(1)).reason
    assert forwarder.pipeline.sender.retries.pause() > 0
    assert take(forwarder, json_span(spanId="0" * 15 + "2")).reason == ""
    assert "0" * 15 + "2" in {event["spanId"] for event in server.taken}
    forwarder.pipeline.shutdown(5)


def test_a_request_of_which_one_record_is_refused_and_others_wait_is_not_taken(server: FaultServer) -> None:
    refused = threading.Event()

    def behave(exchange: Exchange) -> bool:
        events = exchange.request.events
        if len(events) == 1 and bad(events[0]):
            refused.set()
        elif refused.is_set():
            return status(503)(exchange)
        return refusing_where(bad)(exchange)

    forwarder = forwarder_to(server.url, None)
    take(forwarder, json_span(spanId="0" * 15 + "1"))
    server.answer_with(behave)
    with pytest.raises(ServiceUnavailable):
        take(forwarder, bad_span(1), json_span(spanId="0" * 15 + "2"))
    assert forwarder.pipeline.stats().waiting
    server.answer_with(accepted)
    # Refused for good, or only asked for alone before the endpoint was away: that is chance.
    forwarder.pipeline.flush(20)
    assert forwarder.pipeline.stats().waiting == 0
    forwarder.pipeline.shutdown(5)


def test_a_gateway_that_ends_lets_no_request_wait_for_ever() -> None:
    refused: list[ServiceUnavailable] = []

    def wait_in_vain() -> None:
        with pytest.raises(ServiceUnavailable) as busy:
            take(forwarder, large(1))
        refused.append(busy.value)

    with fault_server(silent) as server:
        forwarder = forwarder_to(server.url, None, send_timeout=0)
        thread = threading.Thread(target=wait_in_vain, daemon=True)
        thread.start()
        server.wait_for_requests(1)
        forwarder.pipeline.shutdown(0)
        thread.join(20)
        assert [busy.status_code for busy in refused] == [503]


def test_a_gateway_that_ends_takes_no_more(server: FaultServer, tmp_path: Path) -> None:
    forwarder = forwarder_to(server.url, tmp_path)
    forwarder.pipeline.shutdown(5)
    with pytest.raises(ServiceUnavailable) as busy:
        take(forwarder, large(1))
    assert busy.value.status_code == 503
    assert forwarder.pipeline.stats().dropped == {}
