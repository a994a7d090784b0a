"""A run travels as W3C baggage only where the application's own entries leave room for it."""

from collections.abc import Iterator

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach

from failpath_otel import report
from tests.recording import Recording

CARRIED = {"failpath.flow.key": "checkout", "failpath.run.id": "req-1"}
WIRE = W3CBaggagePropagator()


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture(autouse=True)
def _no_baggage_is_left() -> Iterator[None]:
    yield
    assert carried() == {}


def carried() -> dict[str, object]:
    return dict(baggage.get_all())


def sent() -> str:
    headers: dict[str, str] = {}
    WIRE.inject(headers)
    return headers.get("baggage", "")


def filled(*sizes: int) -> Context:
    """A context with baggage of the application: an entry of each of these sizes, as it is written."""
    context = Context()
    for number, size in enumerate(sizes):
        name = f"n{number}"
        context = baggage.set_baggage(name, "v" * (size - len(name) - 1), context)
    return context


ROOM = 8192 - 2 * 3001 - len(",failpath.flow.key=checkout,failpath.run.id=req-1")


@pytest.mark.parametrize("sizes", [(3000, 3000, ROOM), (10,) * 178])
def test_it_travels_where_there_is_just_enough_room(
    recording: Recording, sizes: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    token = attach(filled(*sizes))
    try:
        with recording.run(propagate=True):
            received = dict(baggage.get_all(WIRE.extract({"baggage": sent()}, Context())))
    finally:
        detach(token)

    assert {name: received[name] for name in CARRIED} == CARRIED
    assert len(received) == len(sizes) + 2
    assert caplog.records == []


@pytest.mark.parametrize("sizes", [(3000, 3000, ROOM + 1), (10,) * 179])
def test_it_does_not_travel_where_entries_of_others_would_be_lost_and_that_is_said_once(
    recording: Recording, sizes: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    token = attach(filled(*sizes))
    try:
        before = sent()
        for _ in range(2):
            with recording.run(propagate=True) as run:
                assert run.step("pack", sent) == before
    finally:
        detach(token)

    [record] = caplog.records
    assert record.getMessage().startswith("Failpath: a run is not sent as baggage: ")


def test_a_run_that_does_not_travel_is_not_taken_for_the_one_around_it(recording: Recording) -> None:
    with recording.run(propagate=True):
        token = attach(baggage.set_baggage("tenant", "v" * 7000))
        with recording.failpath.run("refund", run_id="%" * 200, propagate=True):
            assert carried().keys() == {"tenant"} | CARRIED.keys()
        with recording.failpath.run("refund", run_id="ü" * 200, propagate=True):
            assert carried().keys() == {"tenant"}
        detach(token)
        assert carried() == CARRIED


class Mute:
    """A value of the application's that has no text."""

    def __str__(self) -> str:
        raise ValueError("none")


def test_a_value_of_others_that_has_no_text_does_not_hinder_the_step(recording: Recording) -> None:
    token = attach(baggage.set_baggage("tenant", Mute()))
    try:
        assert recording.run(propagate=True).step("pack", lambda: 17) == 17
    finally:
        detach(token)
    assert recording.names() == ["pack"]
