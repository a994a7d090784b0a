"""Logs without a run wait in bounded memory, for a bounded while; a budget bounds how many are taken."""

from failpath_otel.local.logs.budget import MAX_A_SECOND, MAX_AT_ONCE, LogBudget
from failpath_otel.local.logs.waiting import MAX_OF_TRACE, MAX_WAIT_SECONDS, MAX_WAITING_BYTES, WaitingLogs
from failpath_otel.local.store.logs import NewLog


class Clock:
    """A clock that goes on only when it is asked to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


def log(trace: str, at: int = 1, size: int = 2) -> NewLog:
    return NewLog(trace, "", at, 9, b"x" * size, None)


def test_what_waits_is_taken_once_by_its_trace() -> None:
    waiting = WaitingLogs()
    waiting.put([log("a", 1), log("b", 2), log("a", 3)])
    assert waiting.among({"a", "z"}) == {"a"}
    assert [each.at for each in waiting.take({"a", "z"})] == [1, 3]
    assert waiting.take({"a"}) == []
    assert len(waiting) == 1


def test_of_one_trace_the_newest_wait_and_the_others_are_counted() -> None:
    waiting = WaitingLogs()
    waiting.put([log("a", number) for number in range(MAX_OF_TRACE + 5)])
    assert [each.at for each in waiting.take({"a"})] == list(range(5, MAX_OF_TRACE + 5))
    assert waiting.gone == 5


def test_without_memory_for_all_the_oldest_traces_go() -> None:
    waiting = WaitingLogs()
    many = 40
    waiting.put([log(f"t{number}", size=MAX_WAITING_BYTES // 16) for number in range(many)])
    left = [number for number in range(many) if waiting.among({f"t{number}"})]
    assert 10 < len(left) < 17
    assert left == list(range(many - len(left), many))
    assert waiting.gone == many - len(left)


def test_what_no_run_is_known_of_for_long_goes() -> None:
    clock = Clock()
    waiting = WaitingLogs(clock.monotonic)
    waiting.put([log("old")])
    clock.pass_(MAX_WAIT_SECONDS - 1)
    waiting.put([log("young")])
    assert len(waiting) == 2
    clock.pass_(2)
    waiting.put([])
    assert (waiting.among({"old", "young"}), waiting.gone) == ({"young"}, 1)


def test_the_budget_allows_a_burst_and_then_so_many_a_second() -> None:
    clock = Clock()
    budget = LogBudget(clock.monotonic)
    assert budget.take(MAX_AT_ONCE + 5) == MAX_AT_ONCE
    assert budget.take(1) == 0
    clock.pass_(0.5)
    assert budget.take(MAX_AT_ONCE) == MAX_A_SECOND // 2
    clock.pass_(3_600)
    assert budget.take(10 * MAX_AT_ONCE) == MAX_AT_ONCE
