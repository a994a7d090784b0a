"""An exception that a signal handler raises, anywhere in our code, reaches the application, and its step ends once."""

import gc
import json
import logging
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel.export.delivery import Delivery
from failpath_otel.export.wire import Answer

_PACKAGE = str(Path(failpath_otel.__file__).parent)
Form = Callable[[failpath_otel.Run], object]


class TimeLimit(Exception):
    """What the handler raises, as those of Celery and RQ do."""


def _on_limit(signum: int, frame: FrameType | None) -> None:
    raise TimeLimit


def work() -> int:
    return 1


def by_call(run: failpath_otel.Run) -> object:
    return run.step("charge", work)


def by_call_with_metadata(run: failpath_otel.Run) -> object:
    return run.step("charge", work, metadata={"cart": "c-1", "who": object()})


def by_block(run: failpath_otel.Run) -> None:
    with run.step("charge") as step:
        step.set_metadata(amount=1)
        work()


def by_decorator(run: failpath_otel.Run) -> object:
    return run.step("charge")(work)()


def by_generator(run: failpath_otel.Run) -> object:
    @run.step("charge")
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2

    return list(items())


def failing(run: failpath_otel.Run) -> None:
    def fail() -> None:
        raise LookupError("no such cart")

    try:
        run.step("charge", fail)
    except LookupError:
        pass


def by_failing_block(run: failpath_otel.Run) -> None:
    try:
        with run.step("charge"):
            raise LookupError("no such cart")
    except LookupError:
        pass


async def _awork() -> int:
    return 1


def _drive(coroutine: Any) -> Any:
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        coroutine.close()


def by_coroutine(run: failpath_otel.Run) -> object:
    return _drive(run.step("charge", _awork))


def by_returned_coroutine(run: failpath_otel.Run) -> object:
    return _drive(run.step("charge", lambda: _awork()))


def by_asynchronous_block(run: failpath_otel.Run) -> object:
    async def block() -> None:
        async with run.step("charge"):
            await _awork()

    return _drive(block())


def by_asynchronous_generator(run: failpath_otel.Run) -> object:
    @run.step("charge")
    async def items() -> Any:
        yield 1

    async def read() -> None:
        async for _ in items():
            pass

    return _drive(read())


def by_hand(run: failpath_otel.Run) -> None:
    run.skip("charge")


def by_run_block(run: failpath_otel.Run) -> None:
    with run:
        run.step("charge", work)


def by_future(run: failpath_otel.Run) -> object:
    future: Future[int] = run.step("charge", Future)
    future.set_result(1)
    return future.result(0)


FORMS: Sequence[Form] = (
    by_call,
    by_call_with_metadata,
    by_block,
    by_decorator,
    by_generator,
    failing,
    by_failing_block,
    by_coroutine,
    by_returned_coroutine,
    by_asynchronous_block,
    by_asynchronous_generator,
    by_hand,
    by_run_block,
    by_future,
)


class Interruption:
    """Raises a signal at one of the places where Python calls handlers in the midst of our code, or OpenTelemetry's.

    Where a function begins, and where a built-in one has returned.
    """

    def __init__(self, at: int) -> None:
        self._left = at
        self.where = ""
        self.is_lost = False
        """Python itself prints or logs what is raised there, and goes on."""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in {"call", "c_return"}:
            return
        file = frame.f_code.co_filename
        if not (file.startswith(_PACKAGE) or "/opentelemetry/" in file):
            return
        if not self._left:
            self.where = f"{Path(file).name}:{frame.f_lineno} {frame.f_code.co_name} {event}"
            self.is_lost = any(name in {"__del__", "_invoke_callbacks"} for name in _names_up_from(frame))
            signal.raise_signal(signal.SIGALRM)
        self._left -= 1


def _names_up_from(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


@pytest.fixture
def _limit() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _on_limit)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_limit")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("own_provider", [True, False], ids=["the host's provider", "no provider"])
@pytest.mark.parametrize("journal", ["auto", None], ids=["journal", "memory"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_time_limit_that_comes_anywhere_reaches_the_application_and_its_step_ends_once(
    form: Form, journal: str | None, own_provider: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    delivered: list[bytes] = []  # all of this test: what was recorded before it is flushed first

    def send(_: Delivery, records: list[bytes], within: float | None = None) -> Answer:
        delivered.extend(records)
        return Answer()

    monkeypatch.setattr(Delivery, "send", send)
    # What it logs would keep the frames of what was raised, and with them the step.
    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "disabled", True)
    client = failpath_otel.configure(
        project_key="fp_project_limits",
        endpoint="http://127.0.0.1:9",
        journal=None if journal is None else str(tmp_path),
        tracer_provider=TracerProvider(shutdown_on_exit=False) if own_provider else None,
    )
    form(client.run("checkout", run_id="before"))  # what is made once, is made
    assert client.flush(10), client.stats()
    earlier = client.stats()
    delivered.clear()
    problems: list[str] = []
    raised: dict[str, str] = {}
    places = 0
    before = context.get_current()
    while True:
        interruption = Interruption(places)
        run_id = f"run-{places}"
        run = client.run("checkout", run_id=run_id)
        sys.setprofile(interruption)
        try:
            form(run)
        except TimeLimit:
            outcome = "raised"
        else:
            outcome = "passed"
        finally:
            sys.setprofile(None)
        if not interruption.where:
            break
        if outcome != "raised" and not interruption.is_lost:
            problems.append(f"swallowed at {interruption.where}")
        raised[run_id] = interruption.where
        if context.get_current() != before:
            # Nothing of ours has run then, nor would a block of OpenTelemetry's have been left.
            if not interruption.where.endswith(("__exit__ call", "__aexit__ call")):
                problems.append(f"another context after {interruption.where}")
            context.attach(before)
        places += 1
    gc.collect()
    if not client.flush(10):
        problems.append(f"flush is False: {client.stats()}")
    now = client.stats()
    stats = now.accepted - earlier.accepted, now.delivered - earlier.delivered, now.waiting
    client.shutdown()
    found: dict[str, list[str]] = defaultdict(list)
    for data in delivered:
        record = json.loads(data)
        found[record["runId"]].append(record["status"])
    for run_id, where in raised.items():
        statuses = Counter(found[run_id])
        ends = statuses.total() - statuses["running"]
        if statuses["running"] > 1 or ends > 1 or (statuses["running"] and not ends):
            problems.append(f"{dict(statuses)} where it came at {where}")
    if stats != (len(delivered), len(delivered), 0):
        problems.append(f"{len(delivered)} came, accepted, delivered and waiting are {stats}")
    assert places > 50
    listed = Counter(problems)
    assert not problems, "\n" + "\n".join(f"{n} {problem}" for problem, n in listed.items())
