"""What the check knows of this package: every public method and rule with a key."""

import inspect

from failpath_otel import Failpath, FailpathClient, StepRule
from failpath_otel import Run as PublicRun
from failpath_otel.checking.inference.library import BY_KEYWORD, METHODS, Signature, instance_of, own_name
from failpath_otel.checking.inference.values import ANY_RUN, CLIENT, UNKNOWN, Client, Run

FLOW = ("flow_key", "flow")


def keys_of(method: object, *names: str) -> tuple[tuple[str, int], ...]:
    """The parameters of a method with these names, and their places."""
    parameters = list(inspect.signature(method).parameters.values())[1:]  # type: ignore[arg-type] # a method
    return tuple(
        (parameter.name, BY_KEYWORD if parameter.kind is parameter.KEYWORD_ONLY else place)
        for place, parameter in enumerate(parameters)
        if parameter.name in names
    )


def test_every_public_method_with_a_key_is_known_with_the_places_of_its_keys() -> None:
    for kind, public in ((Client, FailpathClient), (Client, Failpath), (Run, PublicRun)):
        for name, method in inspect.getmembers(public, inspect.isfunction):
            if name.startswith("_"):
                continue
            known = METHODS.get((kind, name), Signature())
            assert keys_of(method, *FLOW) == known.flow_keys, name
            assert keys_of(method, "step_key") == known.step_keys, name
    assert list(inspect.signature(StepRule).parameters)[:2] == ["flow", "step"]


def test_names_of_this_package_are_known_whatever_module_they_are_imported_from() -> None:
    assert own_name("failpath_otel.Run") == own_name("failpath_otel.steps.run.Run") == "Run"
    assert own_name("failpath_otel.records.rules.StepRule.preset") == "StepRule.preset"
    assert own_name("failpath.Run") is None
    assert instance_of("failpath_otel.Run") == ANY_RUN
    assert instance_of("failpath_otel.testing.MockFailpath") == CLIENT
    assert instance_of("failpath_otel.configure") == instance_of("other.Run") == UNKNOWN
