"""The hot path, measured in calls instead of time: how many of our functions one step calls on the caller's thread."""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.records.request import Answer

MOST_CALLS = {"with a host's provider": 33, "without a provider": 36}
"""Calls of functions of this package in one step, with about a tenth to spare. A step that needs more is a decision:
change the number together with the code, and look at what ``make bench`` says about the caller's time."""

_PACKAGE = str(Path(failpath_otel.__file__).parent)


def _nowhere(_: HttpClient, records: list[bytes], within: float | None = None) -> Answer:
    return Answer()


def _calls_of_one_step(run: failpath_otel.Run) -> tuple[Counter[str], int]:
    """The calls of our functions in one step by function, and the number of all Python calls in it."""
    codes: Counter[Any] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        # Comprehensions are frames before Python 3.12 only; their names are `<listcomp>` and the like.
        if event == "call" and not frame.f_code.co_name.startswith("<"):
            codes[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run.step("charge-card", str, metadata={"cart_id": "cart_1842", "amount": 4999})
    finally:
        sys.setprofile(before)
    ours: Counter[str] = Counter()
    for code, calls in codes.items():
        if code.co_filename.startswith(_PACKAGE):
            path = Path(code.co_filename).relative_to(_PACKAGE).with_suffix("")
            # `co_qualname` came with Python 3.11, so the line distinguishes methods of one name.
            ours[f"{path.as_posix()}:{code.co_firstlineno} {code.co_name}"] += calls
    return ours, codes.total()


@pytest.mark.parametrize("has_flows", [False, True], ids=["", "and with flows"])
@pytest.mark.parametrize("where", MOST_CALLS)
def test_a_step_makes_a_bounded_number_of_python_calls(
    where: str, has_flows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looking a key up among the declared ones is no call.
    flows = tmp_path / "flows.json"
    flows.write_text('{"flows": [{"slug": "checkout", "nodes": [{"sdkStepKey": "charge-card"}]}]}')
    monkeypatch.setattr(HttpClient, "send", _nowhere)
    has_host = where == "with a host's provider"
    client = failpath_otel.configure(
        project_key="fp_project_calls",
        endpoint="http://127.0.0.1:9",
        flows=flows if has_flows else None,
        tracer_provider=TracerProvider(shutdown_on_exit=False) if has_host else NoOpTracerProvider(),
    )
    run = client.run("checkout", run_id="req_1")
    for _ in range(5):  # starts the delivery thread and fills the caches
        run.step("charge-card", str, metadata={"cart_id": "cart_1842", "amount": 4999})

    # The least of several: a new second on the clock, or a garbage collection, may add calls to any one of them.
    ours, total = min((_calls_of_one_step(run) for _ in range(20)), key=lambda counted: counted[0].total())

    assert client.flush()
    client.shutdown()
    listed = "\n".join(f"{calls:4} {name}" for name, calls in ours.most_common())
    assert ours, "no call was counted"
    assert ours.total() <= MOST_CALLS[where], (
        f"a step calls {ours.total()} functions of this package, {MOST_CALLS[where]} are allowed"
        f" ({total} calls together with OpenTelemetry's):\n{listed}"
    )


def test_an_exception_is_known_for_a_fault_by_few_python_calls() -> None:
    def fail() -> None:
        raise LookupError

    def meet() -> None:
        try:
            fail()
        except LookupError as error:
            reraise_if_from_handler(error)

    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        meet()
    finally:
        sys.setprofile(before)
    assert calls <= 100, f"{calls} calls"
