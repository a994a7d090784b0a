"""The docstrings of public names: each one is there, and the examples in them are run."""

import doctest
import inspect
from collections.abc import Iterator
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
import failpath_otel_pytest
from failpath_otel import testing
from failpath_otel.integrations.django import run_middleware
from failpath_otel.joined_providers import JOINS
from tests.fault_server import FaultServer
from tests.keys import KEY

EXAMPLES: Final[dict[str, list[str]]] = {
    "configure": ["charge-card running", "charge-card success"],
    "Failpath.record_step": ["ship running", "ship error"],
    "Failpath.run": ["charge-card running", "charge-card success"],
    "Failpath.run_from_headers": [],
    "FailpathClient.flush": ["send-receipt-email skipped"],
    "FailpathSpanExporter": ["charge-card running", "charge-card success"],
    "FailpathSpanProcessor": ["charge-card running", "charge-card success"],
    "MockFailpath": [],
    "Run.step": [
        *("charge-card running", "charge-card success", "pack running", "pack success"),
        *("ship running", "ship success"),
    ],
    "StepRule": ["charge running", "charge success"],
    "failpath": [],
    "run_middleware": [],
}
"""The public names with an example, and what the example delivers to Failpath."""


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every public class and function with its name, and the public methods and properties of each class."""
    objects = {name: getattr(failpath_otel, name) for name in failpath_otel.__all__ if name != "__version__"}
    objects["MockFailpath"] = testing.MockFailpath
    objects["failpath"] = failpath_otel_pytest.failpath
    objects["run_middleware"] = run_middleware
    for name, given in objects.items():
        yield name, given
        if inspect.isclass(given):
            for attribute, member in vars(given).items():
                if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                    yield f"{name}.{attribute}", member


OBJECTS: Final = dict(public_objects())


@pytest.fixture
def failpath(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[failpath_otel.FailpathClient]:
    """The client that examples take as given. They find the server by its variable, and join no provider for good."""
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", server.url)
    monkeypatch.setattr(JOINS, "default", None)
    client = failpath_otel.configure(project_key=KEY, tracer_provider=TracerProvider(shutdown_on_exit=False))
    yield client
    client.shutdown(0)
    if JOINS.default is not None:
        JOINS.default.reporter.close(0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_public_name_does_and_delivers_what_it_shows(
    name: str, failpath: failpath_otel.FailpathClient, server: FaultServer
) -> None:
    given = {"failpath": failpath}
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(OBJECTS[name]) or "", given, name, None, None)
    assert example.examples
    said: list[str] = []
    outcome = doctest.DocTestRunner(verbose=False).run(example, out=said.append, clear_globs=False)
    assert outcome.failed == 0, "".join(said)
    for made in [each for word, each in example.globs.items() if word.startswith("test_")]:
        made(testing.MockFailpath())
    assert failpath.flush()
    assert [f"{event['stepKey']} {event['status']}" for event in server.events] == EXAMPLES[name]


def test_no_example_is_left_out() -> None:
    with_example = {name for name, given in OBJECTS.items() if ">>> " in (inspect.getdoc(given) or "")}
    assert with_example == set(EXAMPLES)
