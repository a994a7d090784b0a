"""What the public names of this package are to a program that uses them."""

from typing import Final, NamedTuple

from failpath_otel.checking.inference.values import ANY_RUN, CLIENT, UNKNOWN, Client, Run, Value

PACKAGE: Final = "failpath_otel"
CLIENTS: Final = frozenset({"configure", "FailpathClient", "Failpath", "MockFailpath"})
"""What returns a client when it is called."""
RUN: Final = "Run"
RULE: Final = "StepRule"


class Signature(NamedTuple):
    """The keys among the arguments of a method: their names and places."""

    flow_keys: tuple[tuple[str, int], ...] = ()
    step_keys: tuple[tuple[str, int], ...] = ()
    returns_run: bool = False
    is_of_flow: bool = True
    """The run that it returns is of the flow that is named."""


BY_KEYWORD: Final = 99
"""The place of an argument that has none."""
METHODS: Final[dict[tuple[type, str], Signature]] = {
    (Client, "run"): Signature(flow_keys=(("flow_key", 0),), returns_run=True),
    # The headers name another flow, if they name one.
    (Client, "run_from_headers"): Signature(flow_keys=(("flow", BY_KEYWORD),), returns_run=True, is_of_flow=False),
    (Client, "current_run"): Signature(returns_run=True),
    (Client, "step"): Signature(step_keys=(("step_key", 0),)),
    (Client, "record_step"): Signature(flow_keys=(("flow_key", BY_KEYWORD),), step_keys=(("step_key", BY_KEYWORD),)),
    (Run, "step"): Signature(step_keys=(("step_key", 0),)),
    (Run, "skip"): Signature(step_keys=(("step_key", 0),)),
}
"""The methods of clients and runs that take keys or return runs."""


def own_name(name: str) -> str | None:
    """Return the name of something of this package; ``None`` for what is of another one."""
    package, _, rest = name.partition(".")
    if package != PACKAGE:
        return None
    if rest.endswith(f".{RULE}.preset"):
        return f"{RULE}.preset"
    return rest if rest == f"{RULE}.preset" else rest.rpartition(".")[2]


def instance_of(name: str) -> Value:
    """Return what an object is whose class has this name."""
    own = own_name(name)
    if own == RUN:
        return ANY_RUN
    return CLIENT if own in CLIENTS - {"configure"} else UNKNOWN
