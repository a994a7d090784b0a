"""A hundred steps in a program of its own under every OpenTelemetry set-up: all arrive, and nothing else changes."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.programs import Ended, run_program, succeed
from tests.fault_server import FaultServer
from tests.integration.hundred_steps import CONFIGURED, ERROR, FLOW, KEYS, SPANS_ALONE, WITHOUT_US
from tests.integration.setups import BY_CHANCE, NO_HEADER, SAMPLED, SETUPS, UNTIL_THE_END

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
every_setup = pytest.mark.parametrize("setup", SETUPS)


@dataclass(frozen=True)
class Seen:
    """What a program saw: step keys with their ``traceparent``, whether all was delivered, what its exporter got."""

    headers: list[tuple[str, str]]
    flushed: bool
    exported: list[dict[str, Any]]

    @property
    def keys(self) -> list[str]:
        """The keys of the steps whose functions were called, in the order of the calls."""
        return [key for key, _ in self.headers]

    @property
    def sampled(self) -> list[str]:
        """The keys of the steps that an outgoing request calls sampled."""
        return [key for key, header in self.headers if header[-2:] == SAMPLED]

    @property
    def steps(self) -> list[str]:
        """The keys of the steps that the application's own exporter got."""
        return [span["name"] for span in self.exported if span["attributes"].get("failpath.step.key") == span["name"]]

    @property
    def own(self) -> Counter[str]:
        """The application's own spans that its exporter got; none of them has a run."""
        return Counter(
            json.dumps(span, sort_keys=True) for span in self.exported if "failpath.run.id" not in span["attributes"]
        )


def code(setup: str, mode: str) -> str:
    """The program."""
    return f"from tests.integration.hundred_steps import main; print(main({setup!r}, {mode!r}), flush=True)"


def seen(ended: Ended) -> Seen:
    """What a program has printed."""
    [line] = ended.lines
    said = json.loads(line)
    return Seen([(key, header) for key, header in said["headers"]], said["flushed"], said["exported"])


def take_steps(server: FaultServer, setup: str, mode: str = CONFIGURED) -> Seen:
    """Runs the program to its end, which has to be a silent one."""
    return seen(succeed(code(setup, mode), server.url, PYTHONPATH=str(ROOT)))


def assert_all_arrived_once(events: list[dict[str, Any]]) -> None:
    arrived: dict[str, list[str]] = {}
    for event in events:
        assert (event["flowKey"], event["runId"]) == (FLOW, f"run-{event['stepKey'].rpartition('-')[2]}")
        arrived.setdefault(event["stepKey"], []).append(event["status"])
    assert arrived == {key: ["running", "error" if key.startswith(ERROR) else "success"] for key in KEYS}
    assert len({event["id"] for event in events}) == len(events)
    assert len({(event["stepKey"], event["traceId"], event["spanId"]) for event in events}) == len(KEYS)


@every_setup
def test_each_of_a_hundred_steps_arrives_once_as_running_and_then_with_its_outcome_and_no_other_span_does(
    server: FaultServer, setup: str
) -> None:
    program = take_steps(server, setup)
    assert program.keys == KEYS
    assert program.flushed
    assert_all_arrived_once(server.events)


@every_setup
def test_outgoing_headers_and_what_the_host_exports_are_what_they_are_without_delivery(
    server: FaultServer, setup: str
) -> None:
    configured, alone = (take_steps(server, setup, mode) for mode in (CONFIGURED, SPANS_ALONE))
    assert configured.headers == alone.headers
    assert {header[-2:] if header else NO_HEADER for _, header in configured.headers} == SETUPS[setup].flags
    assert configured.exported == alone.exported
    expected = SETUPS[setup].exported
    if expected is None:
        assert sorted(configured.steps) == sorted(configured.sampled)
    else:
        assert len(configured.steps) == len(set(configured.steps)) == expected


@pytest.mark.parametrize("setup", [name for name in SETUPS if name not in BY_CHANCE])
def test_beyond_what_the_host_exports_without_us_it_gets_steps_and_runs_only(server: FaultServer, setup: str) -> None:
    configured, without = (take_steps(server, setup, mode) for mode in (CONFIGURED, WITHOUT_US))
    assert len(without.exported) == without.own.total()
    assert configured.own == without.own


def test_with_the_sdk_disabled_a_hundred_functions_run_and_nothing_arrives(server: FaultServer) -> None:
    for setup in ("sampler ALWAYS_ON", "no provider", "second provider after a shutdown"):
        ended = run_program(code(setup, CONFIGURED), server.url, PYTHONPATH=str(ROOT), OTEL_SDK_DISABLED="true")
        program = seen(ended)
        assert program.keys == KEYS
        assert program.flushed
        assert program.exported == []
        assert ended.code == 0
        # Older SDKs say so, once for every tracer.
        assert set(ended.errors.splitlines()) <= {"SDK is disabled."}
    assert server.requests == []


def test_what_the_sdk_says_of_concurrent_processors_at_the_end_is_the_same_without_us(server: FaultServer) -> None:
    programs = [
        run_program(code(UNTIL_THE_END, mode), server.url, PYTHONPATH=str(ROOT)) for mode in (CONFIGURED, WITHOUT_US)
    ]
    said = [re.sub("0x[0-9a-f]+", "an address", ended.errors) for ended in programs]
    assert said[0] == said[1]
    assert [ended.code for ended in programs] == [0, 0]
    assert seen(programs[0]).flushed
    assert_all_arrived_once(server.events)
