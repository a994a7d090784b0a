"""One reducer: whatever comes in whatever order, the lists, the flows, the run and what scripts get say the same."""

import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status
from tests.local.events import event
from tests.local.page import Page, opened_page

GONE: Final = ProcessInfo(2**22, socket.gethostname())
ELSEWHERE: Final = ProcessInfo(1, "another-host")


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record of a few runs; those with a span of their own, and those that share one, in any state and order."""
    status: Status = draw(st.sampled_from(get_args(Status)))
    seconds = draw(st.integers(0, 100))
    record = event(
        status,
        seconds,
        flow=draw(st.sampled_from(["a", "ü/%"])),
        run=draw(st.sampled_from(["1", "2\n/"])),
        step=draw(st.sampled_from(["cart", "pay", "ship it"])),
        span=draw(st.sampled_from("abcdef")),
        started=draw(st.none() | st.integers(0, 100)) if status != "running" else None,
        duration_ms=draw(st.none() | st.integers(-5, 100_000).map(float)) if status != "running" else None,
        error=ErrorInfo("E", draw(st.sampled_from(["one", "two"]))) if status == "error" else None,
    )
    return replace(record, process=draw(st.sampled_from([None, GONE, ELSEWHERE])))


def answers(page: Page) -> dict[str, Any]:
    """All that the receiver says, but for what the order of arrival decides."""
    said: dict[str, Any] = {
        "flows": page.get("flows"),
        "runs": page.get("runs"),
        "old": page.client.get("/api/runs").json(),
    }
    for row in said["runs"]["runs"]:
        key = (row["runId"], row["flowKey"])
        said[f"run {key}"] = page.run(row["runId"], flow=row["flowKey"])
        path = f"/api/runs/{quote(row['runId'], safe='')}"
        said[f"old {key}"] = page.client.get(path, params={"flow": row["flowKey"]}).json()
    for flow in said["flows"]["flows"]:
        said[f"flow {flow['flowKey']}"] = page.flow(flow["flowKey"])
    return {name: without_order(answer) for name, answer in said.items()}


def without_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: without_order(inner)
            for name, inner in value.items()
            if name not in {"revision", "order", "now", "receivedAt"}
        }
    return [without_order(inner) for inner in value] if isinstance(value, list) else value


def check_agreement(said: dict[str, Any]) -> None:
    rows = said["runs"]["runs"]
    old = {(run["runId"], run["flowKey"]): run for run in said["old"]["runs"]}
    assert len(old) == len(rows)
    flows = {flow["flowKey"]: flow for flow in said["flows"]["flows"]}
    for row in rows:
        key = (row["runId"], row["flowKey"])
        page, run = said[f"run {key}"], said[f"run {key}"]["run"]
        assert page["row"] == row
        assert said[f"old {key}"] == old[key]
        plain = [
            step | {"error": step["error"] and {k: v for k, v in step["error"].items() if k != "frames"}}
            for step in run["steps"]
        ]
        assert run | {"steps": plain} == old[key]
        for name in ("status", "liveness", "startedAt", "endedAt", "durationMs"):
            assert run[name] == row[name], name
        newest = {step["stepKey"]: step for step in run["steps"]}
        assert row["steps"] == len(newest)
        assert row["failed"] == sum(step["status"] == "error" for step in newest.values())
        assert (row["liveness"] is None) == (row["status"] != "running")
        assert row["activeAt"] == max(logged["timestamp"] for logged in page["events"])
        outcomes = {outcome["runId"]: outcome for outcome in flows[row["flowKey"]]["outcomes"]}
        assert outcomes[row["runId"]] == {name: row[name] for name in ("runId", "status", "liveness")}
        assert page["graph"] == said[f"flow {row['flowKey']}"]["graph"]
        assert row in said[f"flow {row['flowKey']}"]["runs"]
    for flow_key, flow in flows.items():
        own = [row for row in rows if row["flowKey"] == flow_key]
        assert said[f"flow {flow_key}"]["flow"] == flow
        assert flow["runs"] == len(own)
        assert flow["failed"] == sum(row["status"] == "error" for row in own)
        assert flow["ended"] == sum(row["status"] in {"error", "success"} for row in own)
        assert flow["lastSeen"] == max(row["activeAt"] for row in own)
        for name, liveness in (("running", "live"), ("silent", "silent"), ("gone", "gone")):
            assert flow[name] == sum(row["liveness"] == liveness for row in own)
        for node in said[f"flow {flow_key}"]["graph"]["nodes"]:
            steps = [
                [
                    step
                    for step in said[f"run {(row['runId'], flow_key)}"]["run"]["steps"]
                    if step["stepKey"] == node["stepKey"]
                ]
                for row in own
            ]
            newest_statuses = [of_run[-1]["status"] for of_run in steps if of_run]
            assert node["runs"] == len(newest_statuses)
            for name, status in (("failed", "error"), ("skipped", "skipped")):
                assert node[name] == newest_statuses.count(status)
            assert node["running"] + node["gone"] == newest_statuses.count("running")
    lost = [row for row in rows if row["liveness"] in {"silent", "gone"}]
    assert said["flows"]["silent"] == {"count": len(lost), "runs": lost[:5]}


def answers_after(batches: Sequence[Sequence[Record]], *, read_between: bool = False) -> dict[str, Any]:
    """What a new receiver says that has got these."""
    with tempfile.TemporaryDirectory() as directory, opened_page(Path(directory, "x.db")) as page:
        for batch in batches:
            page.add(*batch)
            if read_between:
                check_agreement(answers(page))
        return answers(page)


@settings(max_examples=settings().max_examples // 4, deadline=None)
@given(st.lists(records(), min_size=1, max_size=20), st.randoms(use_true_random=False), st.integers(1, 5))
def test_all_say_the_same_whatever_the_order_the_batches_and_the_repetitions(
    stream: list[Record], random: Any, size: int
) -> None:
    said = answers_after([stream])
    check_agreement(said)
    mixed = stream + random.choices(stream, k=len(stream))
    random.shuffle(mixed)
    batches = [mixed[start : start + size] for start in range(0, len(mixed), size)]
    assert answers_after(batches, read_between=random.random() < 0.3) == said
