"""An exception that a signal handler raises, anywhere in our code, reaches the application, and its step ends once."""

import contextlib
import gc
import json
import logging
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.records.request import Answer

_PACKAGE = str(Path(failpath_otel.__file__).parent)
Form = Callable[[failpath_otel.Run], object]


class TimeLimit(Exception):  # noqa: N818 - as Celery's SoftTimeLimitExceeded
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

    with contextlib.suppress(LookupError):
        run.step("charge", fail)


def by_failing_block(run: failpath_otel.Run) -> None:
    with contextlib.suppress(LookupError), run.step("charge"):
        raise LookupError("no such cart")


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
    return _drive(run.step("charge", lambda: _awork()))  # noqa: PLW0108 - a function that is no coroutine function


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


def after_one_that_was_dropped(run: failpath_otel.Run) -> object:
    copy_context().run(run.step("wrap").__enter__)
    return run.step("charge", work)  # whose start ends the other


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
    after_one_that_was_dropped,
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


CASES: Final = [
    *((form, True, True) for form in FORMS),
    *((form, host, journal) for form in (by_call, by_block) for host, journal in ((True, False), (False, True))),
]
"""Forms; whether the host has a provider; whether there is a journal."""


def _name_of(case: tuple[Form, bool, bool]) -> str:
    form, host, journal = case
    return f"{form.__name__}{'' if host else ', no provider'}{'' if journal else ', in memory'}"


class Interrupted:
    """One step after another, each interrupted at the next place, until there is none any more."""

    def __init__(self, client: failpath_otel.FailpathClient, form: Form) -> None:
        self._client = client
        self._form = form
        self._outside = context.get_current()
        self.places: dict[str, str] = {}
        self.problems: list[str] = []
        while self._go_on():
            pass

    def _go_on(self) -> bool:
        run_id = f"run-{len(self.places)}"
        run = self._client.run("checkout", run_id=run_id)
        interruption = Interruption(len(self.places))
        sys.setprofile(interruption)
        try:
            self._form(run)
        except TimeLimit:
            pass
        else:
            if interruption.where and not interruption.is_lost:
                self.problems.append(f"swallowed at {interruption.where}")
        finally:
            sys.setprofile(None)
        if context.get_current() != self._outside:
            # Nothing of ours has run then, nor would a block of OpenTelemetry's have been left.
            if not interruption.where.endswith(("__exit__ call", "__aexit__ call")):
                self.problems.append(f"another context after {interruption.where}")
            context.attach(self._outside)
        if interruption.where:
            self.places[run_id] = interruption.where
        return bool(interruption.where)

    def judge(self, records: Sequence[bytes]) -> None:
        """Adds the problems that the records show."""
        statuses: dict[tuple[str, str], list[str]] = defaultdict(list)
        for record in map(json.loads, records):
            statuses[record["runId"], record["stepKey"]].append(record["status"])
        for (run_id, step_key), found in statuses.items():
            ends = len(found) - found.count("running")
            if found.count("running") > 1 or ends > 1 or ("running" in found and not ends):
                self.problems.append(f"{found} of {step_key} where it came at {self.places.get(run_id)}")


@pytest.mark.usefixtures("_limit")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", CASES, ids=_name_of)
def test_a_time_limit_that_comes_anywhere_reaches_the_application_and_its_step_ends_once(
    case: tuple[Form, bool, bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    form, host, journal = case
    endpoint = f"http://127.0.0.1:9/{tmp_path.name}"
    delivered: list[bytes] = []

    def send(delivery: HttpClient, records: list[bytes], within: float | None = None) -> Answer:
        if delivery.url.startswith(endpoint):  # and not for a test before this one
            delivered.extend(records)
        return Answer()

    monkeypatch.setattr(HttpClient, "send", send)
    # What it logs would keep the frames of what was raised, and with them the step.
    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "disabled", True)
    client = failpath_otel.configure(
        project_key="fp_project_limits",
        endpoint=endpoint,
        journal=str(tmp_path) if journal else None,
        tracer_provider=TracerProvider(shutdown_on_exit=False) if host else None,
    )
    form(client.run("checkout", run_id="before"))  # what is made once, is made
    assert client.flush(10), client.stats()
    before = client.stats()
    delivered.clear()

    interrupted = Interrupted(client, form)
    gc.collect()
    assert client.flush(10), client.stats()
    now = client.stats()
    client.shutdown()
    interrupted.judge(delivered)
    assert len(interrupted.places) > 50
    assert not interrupted.problems, "\n".join(interrupted.problems)
    assert now.accepted - before.accepted == now.delivered - before.delivered == len(delivered)
    assert now.waiting == 0
