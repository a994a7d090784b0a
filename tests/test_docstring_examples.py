"""The docstrings of public names: each has an example, which is run, and each name is in the reference of the site."""

import doctest
import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
import failpath_otel_pytest
from failpath_otel import testing
from failpath_otel.integrations.django import run_middleware
from failpath_otel.joined_providers import JOINS
from tests.docs.pages import DOCS
from tests.fault_server import FaultServer
from tests.keys import KEY

CHARGED: Final = ["charge-card running", "charge-card success"]
SKIPPED: Final = ["send-receipt-email skipped"]

DELIVERED: Final[dict[str, list[str]]] = {
    "configure": CHARGED,
    "Failpath.record_step": ["ship running", "ship error"],
    "Failpath.run": CHARGED,
    "Failpath.step": CHARGED,
    "FailpathClient": CHARGED,
    "FailpathClient.aflush": SKIPPED,
    "FailpathClient.flush": SKIPPED,
    "FailpathClient.shutdown": SKIPPED,
    "FailpathClient.stats": SKIPPED,
    "FailpathSpanExporter": CHARGED,
    "FailpathSpanProcessor": CHARGED,
    "FailpathSpanProcessor.flush": SKIPPED,
    "FailpathSpanProcessor.on_end": ["pack running", "pack success"],
    "FailpathSpanProcessor.on_start": ["pack running", "pack success"],
    "Run": [*CHARGED, *SKIPPED],
    "Run.skip": SKIPPED,
    "Run.step": [
        *("charge-card running", "charge-card success", "pack running", "pack success"),
        *("ship running", "ship success"),
    ],
    "Step": [*CHARGED, "pack running", "pack success"],
    "Step.set_metadata": CHARGED,
    "StepRule": ["charge running", "charge success"],
}
"""What the examples of public names deliver to Failpath; those of others deliver nothing."""

MODULES: Final = {
    "configure": "failpath_otel.configure",
    "ErrorInfo": "failpath_otel.testing",
    "MockFailpath": "failpath_otel.testing",
    "Record": "failpath_otel.testing",
    "failpath": "failpath_otel_pytest",
    "run_middleware": "failpath_otel.integrations.django",
}
"""Where public names are that are not in the package; ``configure`` is the name of its module as well."""


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every public class and function with its name, and the public methods and properties of each class."""
    objects = {name: getattr(failpath_otel, name) for name in failpath_otel.__all__ if name != "__version__"}
    objects |= {each.__name__: each for each in (testing.MockFailpath, testing.Record, testing.ErrorInfo)}
    objects["failpath"] = failpath_otel_pytest.failpath
    objects["run_middleware"] = run_middleware
    for name, given in objects.items():
        yield name, given
        if inspect.isclass(given):
            for attribute, member in vars(given).items():
                shown = inspect.isroutine(member) or isinstance(member, property)
                if shown and not attribute.startswith("_"):
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


@pytest.mark.parametrize("name", OBJECTS)
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
    assert [f"{event['stepKey']} {event['status']}" for event in server.events] == DELIVERED.get(name, [])


def test_every_public_name_has_an_entry_in_the_reference_and_no_other_name_has_one() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference" / "api").glob("*.md")]
    entries = [name for page in pages for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]
    names = {name for name in OBJECTS if "." not in name} | {"__version__"}
    assert sorted(entries) == sorted(f"{MODULES.get(name, 'failpath_otel')}.{name}" for name in names)
