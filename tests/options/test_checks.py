"""What is allowed for each option: a value of the wrong type or out of range is refused in words."""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
import requests
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import ConfigurationError, FailpathSpanExporter, FailpathSpanProcessor
from failpath_otel.options.checks import seconds
from failpath_otel.options.options import OPTIONS, Options
from tests.keys import KEY


class NoText:
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class NoTruth:
    def __bool__(self) -> bool:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


class NoAttributes:
    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError


class NotEqual:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        raise ZeroDivisionError


HOSTILE = [NoText, NoTruth, NoAttributes, NotEqual]
FLAG = ("True or False", [1, 0, "yes", "true", "", [True], 1.0, b"true"])
FUNCTION = ("a function that is not async", [1, True, "print", [print], {}, "", ()])

WRONG: dict[str, tuple[str, list[Any]]] = {
    "project_key": ("a string", [7, b"fp_project_x", ["fp_project_x"], True, 1.5]),
    "endpoint": ("an http:// or https:// URL", [7, b"http://127.0.0.1", ["http://127.0.0.1"], True, {}]),
    "enabled": ("True, False or 'if-key-present'", FLAG[1]),
    "default_metadata": ("a mapping of JSON-like values", [1, True, "a=b", ["a"], [("a", 1)], {"a"}, (), b""]),
    "capture_stack": FLAG,
    "send_error_messages": FLAG,
    "send_process": FLAG,
    "delivery": ("'background' or 'await'", ["", "sync", "AWAIT", " await", 1, True, b"await", ["await"]]),
    "throw_on_send_error": FLAG,
    "send_timeout": (
        "a number of seconds from 0 to 86400",
        [-1, -0.001, 86_401, 1e9, 10**400, float("nan"), float("inf"), True, "2", "", [2], 2j, Decimal(2)],
    ),
    "max_queue_size": (
        "a whole number from 2 to 1000000",
        [1, 0, -1, 1_000_001, 10**400, 10.0, float("nan"), True, "10", "", [10], Decimal(10)],
    ),
    "journal": (
        "a directory, 'off' or 'default'",
        ["", " ", "a\0b", "~nobody-of-this-name", 7, True, b"/tmp/journal", ["/tmp/journal"]],
    ),
    "compression": ("'none' or 'gzip'", ["", "br", "GZIP", "gzip ", 1, True, b"gzip", ["gzip"]]),
    "on_error": FUNCTION,
    "redact": FUNCTION,
    "session": ("a requests.Session", [1, True, "session", requests.Session, object(), {}, print]),
    "route": (
        "a path that begins with '/'",
        ["", "v1/events", "/v1 events", "/v1?a=b", "/v1#a", "/v1\n", 7, True, b"/"],
    ),
    "headers": (
        "a mapping of HTTP header names",
        [
            *(1, True, "A: b", ["A", "b"], [("A", "b")], {"A"}, b"A: b"),
            *({"": "b"}, {"A b": "c"}, {"A:": "c"}, {"A\n": "c"}, {"\u00e4": "c"}, {1: "c"}, {b"A": "c"}, {None: "c"}),
            *({"A": 1}, {"A": None}, {"A": b"b"}, {"A": ["b"]}, {"A": "b\r\nC: d"}, {"A": "\u00e4"}, {"A": " b"}),
        ],
    ),
    "payload": FUNCTION,
    "rules": (
        "StepRules or the path of a TOML file",
        ["", " ", "a\0b", "r" * 100_000, 7, True, 1.5, b"rules.toml", {}, {"flow": "a"}, ",", [""], [None], [{}]],
    ),
    "flows": ("the path of a file", ["", " ", "a\0b", "f" * 100_000, 7, True, b"flows.json", ["flows.json"], {}]),
    "metrics": (
        "True, False or an OpenTelemetry MeterProvider",
        [0, 1, "true", "off", "", b"on", [], {}, MeterProvider, NoTruth(), TracerProvider()],
    ),
}
"""For each option: what the refusal says is allowed, and values that are not."""

OF_CLIENTS = {"delivery", "throw_on_send_error"}
MAKERS: list[Callable[..., Any]] = [failpath_otel.configure, FailpathSpanProcessor, FailpathSpanExporter]
MADE_WITH = [
    (make, name) for make in MAKERS for name in WRONG if make is failpath_otel.configure or name not in OF_CLIENTS
]


def refusal(make: Callable[..., object], name: str, value: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        make(**{"project_key": KEY, "endpoint": "http://127.0.0.1:9", name: value})
    return str(refused.value)


def test_every_option_has_wrong_values_in_these_tests() -> None:
    assert WRONG.keys() == {option.name for option in OPTIONS}


@pytest.mark.parametrize(
    ("make", "name", "allowed", "value"),
    [
        pytest.param(make, name, allowed, value, id=f"{make.__name__}-{name}-{number}-{type(value).__name__}")
        for make, name in MADE_WITH
        for allowed, values in [WRONG[name]]
        for number, value in enumerate(values)
    ],
)
def test_bad_input_a_wrong_type_or_range_is_refused_with_the_option_what_was_given_and_what_is_allowed(
    make: Callable[..., object], name: str, allowed: str, value: Any
) -> None:
    text = refusal(make, name, value)
    assert re.match(f"{name} must be|the project key must be", text)
    assert allowed in text
    assert "got " in text
    if not (name == "headers" and isinstance(value, dict)):  # these may be secrets, down to their types
        assert type(value).__name__ in text
    assert len(text) < 300
    assert KEY not in text


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(("make", "name"), MADE_WITH, ids=lambda each: getattr(each, "__name__", each))
def test_bad_input_an_object_that_raises_from_all_that_is_asked_of_it_is_refused_like_any_other(
    make: Callable[..., object], name: str, hostile: type
) -> None:
    text = refusal(make, name, hostile())
    assert re.match(f"{name} must be|the project key must be", text)
    assert hostile.__name__ in text


@pytest.mark.parametrize(
    "value", [{"X-Key": "hidden\n"}, {"hidden key": "a"}, {"X-Key": b"hidden"}, ["hidden"], "hidden"]
)
def test_bad_input_headers_that_are_refused_are_not_shown(value: object) -> None:
    assert "hidden" not in refusal(Options.resolve, "headers", value)


@pytest.mark.parametrize("value", ["x" * 100_000, ["x"] * 100_000, NoText])
def test_bad_input_the_error_for_a_value_of_any_length_is_short(value: object) -> None:
    for name in WRONG.keys() - {"project_key", "endpoint", "on_error", "redact", "payload"}:
        assert len(refusal(Options.resolve, name, value)) < 300


@pytest.mark.parametrize(("given", "read"), [(0, 0.0), (2, 2.0), (0.5, 0.5)])
def test_a_time_to_wait_is_a_number_of_seconds(given: float, read: float) -> None:
    assert seconds("timeout", given) == read


@pytest.mark.parametrize("given", [-1, float("nan"), float("inf"), 1e9, True, "2", None], ids=repr)
def test_bad_input_a_time_to_wait_that_makes_no_sense_is_refused(given: object) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
        seconds("timeout", given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("send_timeout", 0),
        ("send_timeout", 86_399.9),
        ("max_queue_size", 2),
        ("max_queue_size", 1_000_000),
        ("route", "/"),
        ("route", "/v2/ingest"),
        ("headers", {}),
        ("headers", {"X-Tenant_1": ""}),
        ("default_metadata", {}),
        ("on_error", print),
        ("redact", str.upper),
        ("payload", dict),
    ],
)
def test_a_value_at_the_edge_of_what_is_allowed_is_taken(name: str, value: object) -> None:
    assert getattr(Options.resolve(**{"project_key": KEY, name: value}), name) == value


@pytest.mark.parametrize("make", [FailpathSpanProcessor, FailpathSpanExporter])
@pytest.mark.parametrize("more", [{"delivery": "await"}, {"throw_on_send_error": True}], ids=str)
def test_an_option_that_only_a_client_has_is_a_type_error_elsewhere(
    make: Callable[..., object], more: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match="there is no option"):
        make(project_key=KEY, endpoint="http://127.0.0.1:9", **more)


class Unreadable(Mapping[str, str]):
    """A mapping that raises from all its methods."""

    def __getitem__(self, key: str) -> str:
        raise ZeroDivisionError

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


class Nothing:
    """An object of which nothing can be asked."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError


class Uncountable(int):
    """A number that cannot be compared."""

    def __le__(self, other: object) -> bool:
        raise ZeroDivisionError

    __ge__ = __lt__ = __gt__ = __le__


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("headers", Unreadable),
        ("send_timeout", lambda: Uncountable(1)),
        ("max_queue_size", lambda: Uncountable(5)),
        *((name, Nothing) for name in WRONG if name not in {"on_error", "redact", "payload", "session"}),
    ],
)
def test_bad_input_an_object_that_raises_from_everything_is_a_configuration_error(
    name: str, value: Callable[[], object]
) -> None:
    with pytest.raises(ConfigurationError, match=name.replace("project_key", "project.key")):
        Options.resolve(**{"project_key": KEY, name: value()})


@pytest.mark.parametrize("name", ["on_error", "redact", "payload"])
def test_bad_input_a_coroutine_function_is_no_callback(name: str) -> None:
    async def callback(*given: object) -> None:
        """Would never run."""

    with pytest.raises(ConfigurationError, match=f"{name} must be a function"):
        Options.resolve(**{"project_key": KEY, name: callback})


class Incomparable(requests.Session):
    """A session and a callback that cannot be compared."""

    def __call__(self, *given: object) -> None:
        """Does nothing."""

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = object.__hash__


@pytest.mark.parametrize("name", ["on_error", "redact", "payload", "session"])
def test_bad_input_an_object_that_cannot_be_compared_can_take_the_place_of_another(name: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    for _ in range(2):
        options: dict[str, Any] = {"endpoint": "http://127.0.0.1:9", name: Incomparable()}
        client = failpath_otel.configure(project_key=KEY, tracer_provider=provider, **options)
    client.shutdown(0)
