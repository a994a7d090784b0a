"""Runs as text for a terminal."""

import re
import unicodedata
from datetime import timedelta, timezone

import pytest
from msgspec.structs import replace

from failpath_otel.cli.printable import printable
from failpath_otel.cli.table import format_duration, format_runs
from failpath_otel.local.runs.view import Liveness, build_run_view
from failpath_otel.records.record import ErrorInfo
from tests.local.events import event

ZONE = timezone(timedelta(hours=2))


def test_a_run_is_a_line_and_its_steps_are_indented_below_it() -> None:
    declined = ErrorInfo("CardDeclined", "not enough money")
    run = build_run_view(
        [
            event("success", 1.25, step="validate-cart", span="a", started=1),
            event("error", 3, step="charge-card", span="b", started=2, error=declined),
            event("running", 4, step="charge-card", span="c"),
            event("skipped", 5, step="send-receipt", span="d"),
        ]
    )
    assert format_runs([run], zone=ZONE) == (
        "RUN                                   FLOW                  STATUS    STARTED               DURATION\n"
        "run-1                                 checkout              running   2023-11-15 00:13:21          -\n"
        "  validate-cart                                             success                           250 ms\n"
        "  charge-card                                               error                             1.00 s\n"
        "      CardDeclined: not enough money\n"
        "  charge-card #2                                            running                                -\n"
        "  send-receipt                                              skipped                                -\n"
    )


def test_what_is_silent_or_gone_is_not_shown_as_running() -> None:
    run = build_run_view([event("running", 1, step=step, span=step) for step in ("a-read", "b-parse", "c-write")])
    liveness: tuple[Liveness, ...] = ("live", "silent", "gone")
    steps = [replace(step, liveness=its) for step, its in zip(run.steps, liveness, strict=True)]
    for coloured in (False, True):
        text = format_runs([replace(run, liveness="gone", steps=steps)], colour=coloured, zone=ZONE)
        assert re.sub(r"\x1b\[\d+m", "", text) == (
            "RUN                                   FLOW                  STATUS    STARTED               DURATION\n"
            "run-1                                 checkout              gone      2023-11-15 00:13:21          -\n"
            "  a-read                                                    running                                -\n"
            "  b-parse                                                   silent                                 -\n"
            "  c-write                                                   gone                                   -\n"
        )
    live = format_runs([replace(run, liveness="live")], zone=ZONE).splitlines()[1]
    assert (
        live == "run-1                                 checkout              running   2023-11-15 00:13:21          -"
    )


def test_of_a_run_with_many_attempts_the_first_and_the_last_are_shown_unless_all_are_asked_for() -> None:
    run = build_run_view([event("success", 2 * n + 1, step="read", span=str(n), started=2 * n) for n in range(1_000)])
    shown = format_runs([run, run], zone=ZONE).splitlines()
    assert len(shown) == 1 + 2 * (1 + 20 + 1 + 20)
    assert "  read #20  " in shown[21]
    assert shown[22] == "      … 960 more attempts; failpath-otel runs with the id of this run shows all"
    assert "  read #981  " in shown[23]
    assert len(format_runs([run], zone=ZONE, whole=True).splitlines()) == 1 + 1 + 1_000
    few = replace(run, steps=run.steps[:40])
    assert len(format_runs([few], zone=ZONE).splitlines()) == 1 + 1 + 40


def test_no_runs_are_said_in_words() -> None:
    assert format_runs([]) == "No runs.\n"


def test_long_and_wide_text_is_cut_to_a_hundred_columns() -> None:
    for text in ("x" * 300, "漢" * 300, "e\u0301" * 300):
        error = ErrorInfo(text, text)
        run = build_run_view([event("error", 2, step=text, run=text, flow=text, started=1, error=error)])
        lines = format_runs([run]).splitlines()
        assert len(lines) == 4
        for line in lines:
            width = sum(
                0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) == "W" else 1 for c in line
            )
            assert width <= 100
        assert all("…" in line for line in lines[1:])


def test_text_from_outside_cannot_steer_the_terminal_or_add_lines() -> None:
    evil = "a\x1b[2J\x9b31m\r\nb\u202ec\u2028\t\x00"
    run = build_run_view([event("error", 2, step=evil, run=evil, flow=evil, started=1, error=ErrorInfo(evil, evil))])
    text = format_runs([run])
    assert len(text.split("\n")) == 5
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert r"a\x1b[2J\x9b31m\r\nb\u202ec" in text


def test_text_that_can_be_seen_stays_as_it_is() -> None:
    assert printable("Grüße, 漢字 🦀 a\\b") == "Grüße, 漢字 🦀 a\\b"


def test_colour_is_added_only_when_asked_for_and_moves_nothing() -> None:
    run = build_run_view([event("error", 2, started=1, error=ErrorInfo("E", "m")), event("running", 3, span="b")])
    plain, coloured = format_runs([run], zone=ZONE), format_runs([run], colour=True, zone=ZONE)
    assert "\x1b" not in plain
    assert "\x1b[31merror" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "-"),
        (0.0, "0.0 ms"),
        (0.44, "0.4 ms"),
        (9.96, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (12_345.0, "12.35 s"),
        (59_999.0, "1 m 00 s"),
        (185_000.0, "3 m 05 s"),
        (3_599_900.0, "1 h 00 m"),
        (97_380_000.0, "27 h 03 m"),
        (8.64e9, "100 d"),
    ],
)
def test_a_duration_is_shown_in_the_unit_that_suits_it(milliseconds: float | None, text: str) -> None:
    assert format_duration(milliseconds) == text
    assert len(text) <= 9


@pytest.mark.parametrize(
    ("started_at", "shown"), [("9999-12-31T23:59:59Z", "9999-12-31T23:59:59"), ("\x1b[31m", "\\x1b[31m")]
)
def test_a_time_that_no_calendar_has_here_is_shown_as_it_is(started_at: str, shown: str) -> None:
    run = replace(build_run_view([event("success", 1)]), started_at=started_at)
    assert shown in format_runs([run], zone=timezone(timedelta(hours=9)))
