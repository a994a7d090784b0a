"""What a Failpath has of one run, and what it should have of the story that the shop acts."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from tests.fault_server import FaultServer
from tests.gateway.gateways import Gateway
from tests.receiver import wait_for

STEPS: Final = {
    "validate": ["running", "success"],
    "charge": ["running", "error"],
    "reserve": ["running", "success"],
    "receipt": ["skipped"],
}
"""The steps of the shop's story, with their records."""

METADATA: Final = {
    "route": "/büy \N{SHOPPING TROLLEY}",
    "items": 3,
    "total": 12.5,
    "flags": [True, False],
    "cart": {"books": [1, None]},
}
"""That of the first step."""

ERROR: Final = {"name": "TypeError", "message": "card declined"}
"""That of the second step."""


@dataclass(frozen=True)
class Chain:
    """A gateway, and the Failpath behind it."""

    gateway: Gateway
    failpath: FaultServer

    @property
    def url(self) -> str:
        """Where spans are taken."""
        return self.gateway.url

    @property
    def grpc(self) -> str:
        """Where they are taken by gRPC."""
        assert self.gateway.grpc is not None
        return self.gateway.grpc

    def settle(self) -> dict[str, int]:
        """Waits until the gateway has nothing left to send, and returns its counts of spans."""
        health: dict[str, Any] = wait_for(
            lambda: health if (health := self.gateway.health())["records"]["waiting"] == 0 else {}, 30
        )
        assert health["records"]["dropped"] == {}
        spans: dict[str, int] = health["spans"]
        return spans

    def events_of(self, run_id: str) -> list[dict[str, Any]]:
        """The events of a run, as often as they were sent, in the order in which they came."""
        return [event for event in self.failpath.events if event["runId"] == run_id]

    def kept_of(self, run_id: str) -> list[dict[str, Any]]:
        """The events of a run that Failpath has made its own: what was sent twice, it knows by its id."""
        return [event for event in self.failpath.taken if event["runId"] == run_id]


def statuses(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The statuses of each step, in the order in which they came; each is there once, whatever id it goes by."""
    return {key: [event["status"] for event in found] for key, found in by_step(events).items()}


def by_step(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The events of each step; each is there once, whatever id it goes by."""
    steps: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        steps.setdefault(event["stepKey"], []).append(event)
    said = Counter((event["spanId"], event["status"]) for event in events)
    assert not [what for what, count in said.items() if count > 1]
    assert len({event["id"] for event in events}) == len(events)
    return steps


def assert_story(events: list[dict[str, Any]], run_id: str, pid: int, trace: str) -> None:
    """The events are those of the shop's story: each once, and with all that the shop has said."""
    steps = by_step(events)
    assert statuses(events) == STEPS
    for event in events:
        assert (event["flowKey"], event["runId"], event["traceId"]) == ("checkout", run_id, trace)
        assert event["process"] == {"pid": pid, "host": "box-of-node"}
    for key in ("validate", "charge", "reserve"):
        running, ended = steps[key]
        assert ended["startedAt"] == running["timestamp"] <= ended["timestamp"]
        assert ended["spanId"] == running["spanId"]
    assert [event["metadata"] for event in steps["validate"]] == [METADATA, METADATA]
    assert 20 <= steps["validate"][1]["durationMs"] < 20_000
    assert steps["charge"][1]["error"] == ERROR
    assert steps["reserve"][1]["metadata"] == {"shelf": 7}
    assert [key for key, found in steps.items() if "error" in found[-1]] == ["charge"]
