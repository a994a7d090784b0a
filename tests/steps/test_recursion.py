"""Steps that run out of stack: each that has begun ends."""

import contextlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from failpath_otel import Run
from failpath_otel.testing import MockFailpath


def _by_call(run: Run) -> object:
    return run.step("charge", lambda: 1)


def _by_block(run: Run) -> None:
    with run.step("charge") as step:
        step.set_metadata(amount=1)


def _by_decorator(run: Run) -> object:
    return run.step("charge")(lambda: 1)()


def _by_generator(run: Run) -> object:
    def items() -> Iterator[int]:
        yield 1

    return list(run.step("charge", items))


def _by_coroutine(run: Run) -> None:
    async def work() -> None:
        pass

    coroutine = run.step("charge", work)
    with contextlib.closing(coroutine), contextlib.suppress(StopIteration):
        coroutine.send(None)


@pytest.fixture(autouse=True)
def _drops_what_python_cannot_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python print what a callback of a garbage collection raises for lack of stack; pytest's hook needs stack."""
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)


FORMS: Final = (_by_call, _by_block, _by_decorator, _by_generator, _by_coroutine)


Nesting = Callable[[Run, str, Callable[[], object]], object]


def _nested_call(run: Run, key: str, fn: Callable[[], object]) -> object:
    return run.step(key, fn)


def _nested_block(run: Run, key: str, fn: Callable[[], object]) -> object:
    with run.step(key):
        return fn()


def _deeper(act: Nesting, depth: int, run: Run) -> object:
    return act(run, f"step-{depth}", lambda: _deeper(act, depth + 1, run))


NESTING: Final = (_nested_call, _nested_block)
_STACK: Final = 200


def _far_down(frames: int, act: Callable[[Run], object], run: Run) -> bool:
    """Whether ``act`` was through so many frames further down before the stack was full."""

    def go_down(left: int) -> object:
        return go_down(left - 1) if left else act(run)

    try:
        go_down(frames)
    except RecursionError:
        return False
    return True


@pytest.fixture
def _little_stack() -> Iterator[None]:
    before, depth, frame = sys.getrecursionlimit(), 0, inspect.currentframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + _STACK)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("_little_stack")
@pytest.mark.parametrize("act", FORMS, ids=lambda act: act.__name__.strip("_"))
def test_a_step_that_begins_near_the_recursion_limit_ends_wherever_the_stack_is_full(
    act: Callable[[Run], object],
) -> None:
    failpath = MockFailpath()
    through = [
        _far_down(frames, act, failpath.run("checkout", run_id=f"run-{frames}"))
        for frames in range(_STACK - 130, _STACK)
    ]
    assert through[0]
    assert not through[-1]
    failpath.flush()  # reports what could not be reported on a full stack

    records = Counter((event.run_id, event.status == "running") for event in failpath.events)
    begun = {run_id for run_id, running in records if running}
    ended = {run_id for run_id, running in records if not running}
    assert begun, "no step has begun"
    assert begun <= ended, f"still running: {sorted(begun - ended)}"
    assert set(records.values()) == {1}


@pytest.mark.usefixtures("_little_stack")
@pytest.mark.parametrize("act", NESTING, ids=lambda act: act.__name__.strip("_"))
def test_every_step_of_a_recursion_that_has_no_end_ends(
    act: Callable[[Run, str, Callable[[], object]], object],
) -> None:
    failpath = MockFailpath()
    for frames in range(6):  # so that the stack is full at another place each time
        run = failpath.run("checkout", run_id=f"run-{frames}")

        assert not _far_down(frames, partial(_deeper, act, 0), run)
    failpath.flush()
    statuses: dict[tuple[str, str], list[str]] = {}
    for event in failpath.events:
        statuses.setdefault((event.run_id, event.step_key), []).append(event.status)
    assert len(statuses) > 6 * 10
    assert Counter(map(tuple, statuses.values())) == {("running", "error"): len(statuses)}
