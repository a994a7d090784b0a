"""The page of a run as text: what records show, and what ``docs/reference/presets.md`` shows for a preset."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "presets.md"
_WIDTH: Final = 40


def documented(preset: str) -> str:
    """The page that the documentation shows for a preset."""
    shown = re.search(r"^```page\n(.*?)^```$", section(preset), re.MULTILINE | re.DOTALL)
    assert shown is not None, preset
    return shown[1]


def section(preset: str) -> str:
    """What the documentation says of a preset."""
    found = re.search(rf"^## `?{preset}`?\n(.*?)(?=^##|\Z)", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, preset
    return found[1]


def pages_of(events: Sequence[Mapping[str, Any]]) -> str:
    """The runs in the order of their first records, each with its steps, those inside of a step below it."""
    runs = list(dict.fromkeys((event["flowKey"], event["runId"]) for event in events))
    return "\n".join("".join(_page(flow, run, events)) for flow, run in runs)


def _page(flow: str, run: str, events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    own = [event for event in events if (event["flowKey"], event["runId"]) == (flow, run)]
    yield f"flow {flow}, run {'<trace id>' if run == own[0]['traceId'] else run}\n"
    depths: dict[str, int] = {}
    for event in own:
        if event["status"] == "running":
            depths[event["spanId"]] = depth = depths.get(event.get("parentSpanId", ""), 0) + 1
            outcomes = [each for each in own if each["spanId"] == event["spanId"] and each["status"] != "running"]
            yield f"{'  ' * depth + event['stepKey']:<{_WIDTH}}{_outcome(outcomes)}\n"


def _outcome(outcomes: Sequence[Mapping[str, Any]]) -> str:
    if not outcomes:
        return "running"
    [outcome] = outcomes
    error = outcome.get("error")
    return str(outcome["status"]) if error is None else f"error: {error['message'].splitlines()[0]}"
