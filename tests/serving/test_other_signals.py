"""What is decided about metrics and logs: refused with the setting to change, logged once a sender, or discarded."""

import logging

import pytest

from failpath_otel.serving.other_signals import LOGS, MAX_SENDERS, METRICS, Counted, OtherSignals, Signal


@pytest.mark.parametrize(
    ("signal", "variable"), [(METRICS, "OTEL_METRICS_EXPORTER=none"), (LOGS, "OTEL_LOGS_EXPORTER=none")]
)
def test_a_refusal_names_the_variable_to_set_and_is_logged_once_for_each_sender(
    caplog: pytest.LogCaptureFixture, signal: Signal, variable: str
) -> None:
    signals = OtherSignals()
    for sender in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        assert variable in (signals.refuse(signal, "http", sender) or "")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.split()[1] for line in lines if variable in line] == ["10.0.0.1", "10.0.0.2"]
    assert signals.counts() == {Counted(signal, "http", "refused"): 3}


def test_senders_beyond_a_bound_are_counted_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    signals = OtherSignals()
    for number in range(MAX_SENDERS + 10):
        signals.refuse(METRICS, "grpc", f"10.0.{number >> 8}.{number & 255}")
    assert sum("OTEL_METRICS_EXPORTER" in record.getMessage() for record in caplog.records) == MAX_SENDERS
    assert signals.totals() == {
        METRICS: {"discarded": 0, "refused": MAX_SENDERS + 10},
        LOGS: {"discarded": 0, "refused": 0},
    }


def test_what_is_discarded_is_counted_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    signals = OtherSignals({LOGS})
    assert signals.refuse(LOGS, "http", "10.0.0.1") is None
    signals.note_discarded(LOGS, "http")
    signals.note_discarded(LOGS, "grpc")
    assert signals.totals()[LOGS] == {"discarded": 2, "refused": 0}
    assert not [record for record in caplog.records if "OTEL_" in record.getMessage()]
