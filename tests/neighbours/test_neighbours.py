"""Libraries that trace or report errors run beside this one: what they tell their backend and what we tell ours."""

from collections import Counter

import pytest

from tests.neighbours.conftest import Stories
from tests.neighbours.otlp import decoded
from tests.neighbours.seen import compared, ours
from tests.neighbours.setups import SETUPS
from tests.neighbours.story import Story
from tests.steps.forms import FORMS

pytestmark = pytest.mark.process

CASES = [(name, order) for name in SETUPS for order in ("before", "after") if (name, order) != ("ddtrace-run", "after")]
OUTCOMES = {f"{form} returns": "success" for form in FORMS} | {f"{form} fails": "error" for form in FORMS}
RUN_BLOCKS = 2 * sum(form.startswith("current run") for form in FORMS)
OF_TRACES = {"traceparent", "tracestate", "baggage", "sentry-trace", "x-datadog-trace-id", "x-datadog-parent-id"}


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}, set up {case[1]} configure()")
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def story(case: tuple[str, str], stories: Stories) -> Story:
    return stories(*case)


@pytest.fixture
def alone(case: tuple[str, str], stories: Stories) -> Story:
    """The same program without Failpath."""
    return stories(case[0], "alone")


def test_every_step_reaches_failpath_once_as_running_and_once_with_its_outcome(story: Story) -> None:
    expected = {key: ["running", status] for key, status in OUTCOMES.items()} | {"receipt": ["skipped"]}
    told: dict[str, list[str]] = {}
    for event in story.events:
        told.setdefault(event["stepKey"], []).append(event["status"])
    assert told == expected


def test_the_neighbours_backend_is_told_what_it_is_told_without_us(
    case: tuple[str, str], story: Story, alone: Story
) -> None:
    nested = not SETUPS[case[0]].filters
    expected = compared(alone.seen, nested=nested)
    assert sum(expected.values()) > len(OUTCOMES)
    assert compared(story.seen, nested=nested) == expected


def test_of_ours_a_neighbour_sees_each_step_once_where_it_traces_opentelemetry_and_nothing_elsewhere(
    case: tuple[str, str], story: Story
) -> None:
    steps = Counter({**dict.fromkeys([*OUTCOMES, "receipt"], 1), "checkout": RUN_BLOCKS})
    assert ours(story.seen) == (steps if SETUPS[case[0]].shares else Counter())


def test_our_deliveries_are_nowhere_in_what_a_neighbour_is_told(story: Story) -> None:
    assert len(story.to_failpath) > len(OUTCOMES)
    port = story.to_failpath[0].headers["host"].rpartition(":")[2]
    for request in story.to_neighbour:
        body = decoded(request)
        assert b"/v1/events" not in body
        assert f"127.0.0.1:{port}".encode() not in body


def test_nothing_of_a_neighbour_is_in_our_deliveries(story: Story) -> None:
    for request in story.to_failpath:
        assert not OF_TRACES & request.headers.keys()
        assert b"work " not in request.body


def test_the_program_ends_well_and_soon_and_nothing_leaves_the_machine(story: Story, alone: Story) -> None:
    assert (story.code, story.lines) == (0, ["end"]), story.errors
    assert story.seconds < alone.seconds + 10


def test_nothing_of_ours_is_said_on_stderr(story: Story) -> None:
    assert "ailpath" not in story.errors
