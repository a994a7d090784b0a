"""What a storm's ledgers tell of journals, logs and counts: each wrong that there could be is found, and no other."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from failpath_otel import limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.journal.files import port
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.segments.segment import Segment
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from tests.integration.storm_faulty import LIMITS, amiss, is_rolling
from tests.integration.storm_ledger import Program, pid_in, read_ledger
from tests.integration.storm_verdict import Verdict, judge
from tests.integration.test_storm_verdict import event

STRETCH = """\
configured
alive 0.1
fault disk begins 1.0
journal off 1.1
said WARNING 1.2 Failpath:_the_journal_fails._Until_it_is_back,_records_wait_in_memory
fault disk ends 1.3
journal on 1.6
said WARNING 1.7 Failpath:_the_journal_is_written_again_after_0.5_s
alive 9.0
"""
OFF_SAID = STRETCH.splitlines(keepends=True)[4]
ON_SAID = STRETCH.splitlines(keepends=True)[7]


@pytest.fixture
def problems_of(tmp_path: Path) -> Callable[..., list[str]]:
    def problems_of(text: str, *, killed: bool = True) -> list[str]:
        ledger = tmp_path / "ledger"
        ledger.write_text(text)
        return read_ledger(Program("p0", 7, killed, ledger)).problems

    return problems_of


@pytest.mark.parametrize(
    "text",
    [
        STRETCH,
        STRETCH.replace("disk", "descriptors"),
        STRETCH[: STRETCH.index("said")] + "alive 2.5\n",  # killed before it could say so
        STRETCH[: STRETCH.index("journal on")],  # killed before it could be back
        STRETCH.replace("fault disk ends 1.3\njournal on 1.6\n", "").replace(ON_SAID, ""),  # there is still no room
        STRETCH.replace("journal off 1.1\n", "").replace("journal on 1.6\n", ""),  # too short to be seen
        STRETCH + "fault disk begins 9.1\njournal off 9.2\n" + OFF_SAID + "fault disk ends 9.3\n",
        STRETCH + "said WARNING 9.1 Failpath:_the_endpoint_answered_404\n",
        "configured\ncounted 0 0 0 -\n",
        "entered p0.main.0 bad-0 on 1.0\nended p0.main.0 bad-0 error on 1.0\ncounted 2 0 0 rejected:1,send_failed:1\n",
    ],
)
def test_what_is_right_is_no_problem(problems_of: Callable[..., list[str]], text: str) -> None:
    assert problems_of(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (STRETCH.replace("fault disk begins 1.0\n", "").replace("fault disk ends 1.3\n", ""), "nothing in its way"),
        (STRETCH.replace("fault disk begins 1.0", "fault disk begins 1.2"), "nothing in its way"),
        (STRETCH.replace("fault disk", "fault clock"), "nothing in its way"),
        (
            STRETCH.replace("journal off 1.1", "journal off 2.4").replace("journal on 1.6", "journal on 2.6"),
            "nothing in",
        ),
        (STRETCH.replace("journal on 1.6", "journal on 8.0"), "off: the journal, for 6.7 s"),
        (STRETCH.replace("journal on 1.6\n", ""), "off: the journal, for 7.7 s"),
        (STRETCH.replace(OFF_SAID, ""), "off 1 times, it says so 0 times"),
        (STRETCH.replace(ON_SAID, ""), "on 1 times, it says so 0 times"),
        (STRETCH.replace(OFF_SAID, OFF_SAID * 2), "says twice that the journal is off"),
        (STRETCH.replace(ON_SAID, ON_SAID * 2), "says twice that the journal is on"),
        (STRETCH.replace(OFF_SAID, ""), "says twice that the journal is on"),
        (STRETCH + "said ERROR 9.1 Failpath:_something_broke\n", "log: Failpath:_something_broke"),
        (STRETCH + "said WARNING 9.1 X_failed;_the_application_goes_on.\n", "log: X_failed"),
        (STRETCH + "amiss 3!=1+1+0 9.1\n", "stats: p0 has 3!=1+1+0"),
        (STRETCH + "child p0c1 stuck 9.1\n", "child: p0c1 is stuck"),
        (STRETCH + "child p0c1 failed 9.1\n", "child: p0c1 is failed"),
        ("entered p0.main.0 a on 1.0\ncounted 2 0 2 -\n", "has accepted 2 records, and made 1"),
        ("entered p0.main.0 a on 1.0\ncounted 0 0 0 -\n", "has accepted 0 records, and made 1"),
        ("entered p0.main.0 bad-0 on 1.0\ncounted 1 0 0 queue_full:1\n", "stats: p0 has dropped queue_full:1"),
        ("entered p0.main.0 bad-0 on 1.0\ncounted 1 0 0 send_failed:2\n", "stats: p0 has dropped send_failed:2"),
    ],
)
def test_what_is_wrong_is_named(problems_of: Callable[..., list[str]], text: str, problem: str) -> None:
    assert any(problem in found for found in problems_of(text)), problems_of(text)


def test_a_program_that_ends_by_itself_has_said_all_there_was_to_say(problems_of: Callable[..., list[str]]) -> None:
    text = STRETCH[: STRETCH.index("said")]
    assert problems_of(text) == []
    assert ["log: the journal was off" in problem for problem in problems_of(text, killed=False)] == [True]


def test_a_line_of_no_kind_is_an_error(problems_of: Callable[..., list[str]]) -> None:
    with pytest.raises(AssertionError, match="no line of a ledger"):
        problems_of("entered p0.main.0\n")


def test_the_pid_of_a_child_stands_in_its_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert pid_in(ledger) is None
    ledger.write_text("pid 12\nthrough\n")
    assert pid_in(ledger) == 12


# The records of steps, by how the journal was.


@pytest.fixture
def verdict_on(tmp_path: Path) -> Callable[..., Verdict]:
    def verdict_on(lines: list[str], *statuses: str, killed: bool = True) -> Verdict:
        ledger = tmp_path / "ledger"
        ledger.write_text("".join(f"{line} 1.0\n" for line in lines))
        events = [event(0, status) for status in statuses]  # type: ignore[arg-type]
        return judge([Program("p0", 7, killed, ledger)], [msgspec.json.encode({"events": events})] if events else [])

    return verdict_on


ENTERED, ENDED = "entered p0.main.0 step-0", "ended p0.main.0 step-0 success"


@pytest.mark.parametrize(
    ("entered", "ended", "least"), [("on", "on", 2), ("on", "off", 1), ("off", "on", 2), ("off", "off", 0)]
)
def test_what_a_killed_program_recorded_while_its_journal_was_off_may_be_lost_and_nothing_else(
    verdict_on: Callable[..., Verdict], entered: str, ended: str, least: int
) -> None:
    lines = [f"{ENTERED} {entered}", f"{ENDED} {ended}"]
    for there in range(3):
        verdict = verdict_on(lines, *["running", "success"][:there])
        assert bool(verdict.problems) == (there < least)
        assert verdict.lost_off == (least <= there < 2)
        assert verdict.entered_off == (entered == "off")
        assert bool(verdict_on(lines, *["running", "success"][:there], killed=False).problems) == (there < 2)
    # An outcome alone was sent by itself, to find out what the endpoint takes, before its process was killed.
    assert bool(verdict_on(lines, "success").problems) == (least > 0)
    assert verdict_on(lines, "success", killed=False).problems != []


@pytest.mark.parametrize(
    ("after", "sure"),
    [
        ([], False),
        (["entered p0.thread0.0 step-9 on"], False),
        (["entered p0.main.0 step-9 off"], False),
        (["entered p0.main.0 step-9 on"], True),
        (["entered p0.main.0 step-9 off", "ended p0.main.0 step-9 success on"], True),
    ],
)
def test_what_a_signal_handler_recorded_may_be_lost_until_the_segment_is_begun_that_it_had_interrupted(
    verdict_on: Callable[..., Verdict], after: list[str], sure: bool
) -> None:
    lines = ["entered p0.alarms.0 step-0 roll", "ended p0.alarms.0 step-0 success roll", *after]
    verdict = verdict_on(lines)
    lost = [problem for problem in verdict.problems if "step-0" in problem]
    assert bool(lost) == sure
    assert (verdict.entered_rolling, verdict.lost_rolling) == (1, int(not sure))


def test_a_step_that_the_endpoint_does_not_take_is_counted_and_not_missed(verdict_on: Callable[..., Verdict]) -> None:
    verdict = verdict_on(["entered p0.main.0 bad-0 on", "ended p0.main.0 bad-0 success on"], killed=False)
    assert (verdict.problems, verdict.refused) == ([], 1)


# What the program of a storm sees.


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        (Stats(6, 3, 2, {"too_old": 1, "queue_full": 5}), ""),
        (Stats(6, 3, 3, {"too_old": 1}), "6!=3+3+1"),
        (Stats(7, 3, 3), "7!=3+3+0"),
        (Stats(4, 3, 1), "accepted:5>4"),
        (Stats(5, 1, 4), "delivered:2>1"),
    ],
)
def test_counts_that_do_not_add_up_or_go_back_are_seen(stats: Stats, said: str) -> None:
    assert amiss(Stats(5, 2, 3), stats) == said


def test_the_limits_that_a_program_of_the_storm_sets_are_limits_of_the_package() -> None:
    assert [name for name in LIMITS if not hasattr(limits, name)] == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no room is set aside")
def test_an_append_that_takes_a_while_is_recognised_below_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def looked_at(call: Callable[..., object]) -> Callable[..., object]:
        def looking(*arguments: object) -> object:
            seen.append(is_rolling(inspect.currentframe()))
            return call(*arguments)

        return looking

    assert not is_rolling(inspect.currentframe())
    journal = Journal(str(tmp_path), "", lambda _: None)
    monkeypatch.setattr(os, "posix_fallocate", looked_at(os.posix_fallocate))
    assert journal.append(b"x")
    with (tmp_path / "plain").open("wb") as file:
        writer = SyscallWriter(Segment(port.file_system.open_folder(str(tmp_path)), "plain", os.dup(file.fileno())))
        monkeypatch.setattr(os, "pwrite", looked_at(os.pwrite))
        writer.append(b"x")
    assert seen == [True, True]
