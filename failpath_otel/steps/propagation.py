"""The identity of a run on its way to another service: in headers that a program sends, and in W3C baggage."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeVar, cast
from urllib.parse import quote, quote_plus, unquote

from opentelemetry.baggage import get_all, remove_baggage, set_baggage
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span

from failpath_otel import limits
from failpath_otel.report import exception_once, warn_once
from failpath_otel.semconv import FLOW_KEY, FLOW_KEY_HEADER, RUN_ID, RUN_ID_HEADER
from failpath_otel.step_state import StepState
from failpath_otel.steps.definition import Attributes
from failpath_otel.steps.step_tracer import StepTracer, leave_context

UNKNOWN_FLOW: Final = "unknown"
"""The flow of a run whose headers have no flow key, where the receiving service does not name one."""

_PAIR: Final = 2
_NAMES: Final = (FLOW_KEY_HEADER, RUN_ID_HEADER)
_WHAT: Final = {FLOW_KEY_HEADER: "flow key", RUN_ID_HEADER: "run id", FLOW_KEY: "flow key", RUN_ID: "run id"}
_MAX_CHARS: Final = {
    FLOW_KEY_HEADER: limits.MAX_KEY_CHARS,
    RUN_ID_HEADER: limits.MAX_RUN_ID_CHARS,
    FLOW_KEY: limits.MAX_KEY_CHARS,
    RUN_ID: limits.MAX_RUN_ID_CHARS,
}
_ENCODED: Final = 12
_ENCODED_ASCII: Final = 3
"""Characters that one character may take in a header: four bytes of UTF-8, each as ``%XX``; of ASCII, one."""

_MAX_BAGGAGE_BYTES: Final = 8192
_MAX_BAGGAGE_ENTRIES: Final = 180
"""The limits of OpenTelemetry's propagator of W3C baggage."""

_ENTRIES: Final = frozenset({FLOW_KEY, RUN_ID})
_BAGGAGE_FULL: Final = (
    "Failpath: a run is not sent as baggage: the application's own baggage leaves no room for it. Use run.headers()."
)

_MAX_VALUES: Final = 16
"""How many values of one header are compared; a header with more is refused."""

_QUEUE_VALUES: Final = frozenset({"stringvalue", "value"})
"""The fields with the value of a message attribute in Amazon's queues, in lower case."""


T = TypeVar("T")


class HasItems(Protocol):
    """A mapping, or the objects of web frameworks that resemble one."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Return pairs of a name and a value; a name may occur more than once."""
        ...


Headers = HasItems | Iterable[tuple[Any, Any]] | None
"""Headers of a request or of a message, as servers and queues pass them."""


class Identity(NamedTuple):
    """The identity of a run, as far as it was found and valid."""

    flow_key: str | None = None
    run_id: str | None = None


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """A refused value; the text says what is wrong with it, without the value."""


def write_headers(flow_key: str, run_id: str) -> dict[str, str]:
    """Return a run as headers: percent-encoded UTF-8, which every transport takes unchanged."""
    return {FLOW_KEY_HEADER: quote(flow_key, safe=""), RUN_ID_HEADER: quote(run_id, safe="")}


def read_headers(headers: object, run_id_header: str | None = None) -> Identity:
    """Return the identity of a run in ``headers``; never raises. Refused values are logged once.

    Where no run id is sent with a run, it is the text of the header ``run_id_header``.
    """
    try:
        names = _NAMES if run_id_header is None else (*_NAMES, run_id_header)
        found: dict[str, list[object]] = {}
        for given, value in _items(headers, names):
            name = _lower(given, max(map(len, names)))
            if name in names and len(values := found.setdefault(name, [])) <= _MAX_VALUES:
                values.extend(_values(value))
        run_id = _accepted(_decoded, RUN_ID_HEADER, found.get(RUN_ID_HEADER, []))
        if run_id is None and run_id_header is not None:
            run_id = _accepted(_plain, RUN_ID_HEADER, found.get(run_id_header, []))
        return Identity(_accepted(_decoded, FLOW_KEY_HEADER, found.get(FLOW_KEY_HEADER, [])), run_id)
    except Exception:  # noqa: BLE001 - a mapping of the application or of a framework may raise anything
        # Without the text of the exception, which may quote other headers.
        exception_once("reading the headers of a run", with_text=False)
        return Identity()


def read_baggage() -> Identity | None:
    """Return the run in the baggage of the current context, if both its parts are there."""
    entries = get_all()
    if FLOW_KEY not in entries and RUN_ID not in entries:
        return None
    flow_key = _accepted(_checked, FLOW_KEY, entries.get(FLOW_KEY))
    run_id = _accepted(_checked, RUN_ID, entries.get(RUN_ID))
    return None if flow_key is None or run_id is None else Identity(flow_key, run_id)


class BaggageStepTracer(StepTracer):
    """A tracer with a run's identity in the baggage of every context in which one of its spans is open."""

    __slots__ = ("_flow_key", "_run_id")

    def __init__(self, tracer: StepTracer, flow_key: str, run_id: str) -> None:
        super().__init__(tracer.host_tracer, tracer.observer, start_markers=tracer.start_markers)
        self._flow_key = flow_key
        self._run_id = run_id

    def start_step(self, state: StepState) -> tuple[Context, Context]:
        """Start the span with the baggage, which the host's span processors see at the start."""
        before = get_current()
        inside, token = self._with_baggage(before), None
        try:
            token = attach(inside)
            return before, super().start_step(state)[1]
        finally:
            leave_context(inside, before, token)

    def start_run(self, name: str, attributes: Attributes) -> tuple[tuple[Span, ...], Context]:
        """Start the span with the baggage."""
        before = get_current()
        inside, token = self._with_baggage(before), None
        try:
            token = attach(inside)
            return super().start_run(name, attributes)
        finally:
            leave_context(inside, before, token)

    def _with_baggage(self, context: Context) -> Context:
        try:
            entries = get_all(context)
            if entries.get(RUN_ID) == self._run_id and entries.get(FLOW_KEY) == self._flow_key:
                return context
            if _has_room(entries, self._flow_key, self._run_id):
                return set_baggage(RUN_ID, self._run_id, set_baggage(FLOW_KEY, self._flow_key, context))
            warn_once("baggage full", _BAGGAGE_FULL)
            # Entries of a run that are there belong to another one.
            return remove_baggage(RUN_ID, remove_baggage(FLOW_KEY, context)) if entries.keys() & _ENTRIES else context
        except Exception:  # noqa: BLE001 - a value that the application has put there may raise anything
            exception_once("sending a run along as baggage", with_text=False)
            return context


def _has_room(entries: Mapping[str, object], flow_key: str, run_id: str) -> bool:
    """Return whether the baggage has room for a run beside ``entries``, those of a run left out.

    Baggage that is too large may arrive without the entries of the application, or not at all, and older propagators do
    not cut it themselves.
    """
    others = [str(text) for pair in entries.items() if pair[0] not in _ENTRIES for text in pair]
    count = len(others) // 2 + len(_ENTRIES)
    if count > _MAX_BAGGAGE_ENTRIES:
        return False
    text = "".join((*others, FLOW_KEY, flow_key, RUN_ID, run_id))
    free = _MAX_BAGGAGE_BYTES - 2 * count + 1  # each entry has a "=", and a comma before the next one
    return len(text) * (_ENCODED_ASCII if text.isascii() else _ENCODED) <= free or len(quote_plus(text)) <= free


def _items(headers: object, names: Iterable[str]) -> Iterable[tuple[object, object]]:
    """Return the pairs of a mapping, of an object with ``items()``, or of a sequence of pairs, as in ASGI and gRPC."""
    if headers is None:
        return ()
    given: Any = headers
    if _is_environ(given):
        return [(name, given.get(f"HTTP_{name.replace('-', '_').upper()}")) for name in names]
    items = getattr(given, "items", None)
    if callable(items):
        return cast("Iterable[tuple[object, object]]", items())
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        warn_once("run headers type", "Failpath: the headers of a run are not a mapping; they are ignored.")
        return ()
    return ((pair[0], pair[1]) for pair in given if isinstance(pair, (tuple, list)) and len(pair) == _PAIR)


def _is_environ(headers: object) -> bool:
    """Return whether these are the variables of CGI or WSGI.

    Recognised by what no header can be: a header may have any name, also that of a variable, behind which a caller
    could hide a run from a proxy that removes the headers of runs.
    """
    if isinstance(headers, type(os.environ)):
        return True
    # By PEP 3333 a dictionary with this truth value; Django keeps both where it derives the variables from ASGI.
    return isinstance(headers, dict) and isinstance(cast("dict[str, object]", headers).get("wsgi.multithread"), int)


def _lower(name: object, longest: int) -> str:
    if isinstance(name, bytes):
        name = name[: longest + 1].decode("latin-1")
    return name.lower() if isinstance(name, str) and len(name) <= longest else ""


def _values(value: object) -> Iterator[object]:
    """Return the values of one header: each of a list; of an attribute of a message queue, the one it holds."""
    if isinstance(value, (list, tuple)):
        yield from value[: _MAX_VALUES + 1]
    elif isinstance(value, Mapping):
        held = [item for key, item in value.items() if isinstance(key, str) and key.lower() in _QUEUE_VALUES]
        yield held[0] if held else value
    elif value is not None:
        yield value


def _accepted(read: Callable[[str, T], str | None], name: str, given: T) -> str | None:
    try:
        return read(name, given)
    except _Refused as refused:
        warn_once(f"refused {name}", "Failpath: a %s from another process is refused: %s.", _WHAT[name], str(refused))
        return None


def _refuse(reason: str) -> NoReturn:
    raise _Refused(reason)


def _decoded(name: str, values: list[object]) -> str | None:
    """Return the one value of a header."""
    if len(values) > _MAX_VALUES:
        _refuse("it has too many values")
    # This package sends no comma: where there is one, several headers of the same name were joined on the way.
    texts = {text.strip(" \t") for value in values for text in _text(name, value).split(",")}
    if len(texts) > 1:
        _refuse("its values contradict each other")
    for text in texts:
        try:
            return _checked(name, unquote(text, errors="strict"))
        except UnicodeDecodeError:
            _refuse("it is not UTF-8")
    return None


def _plain(name: str, values: list[object]) -> str | None:
    """Return the one value of a header of others, which is not encoded."""
    if len(values) > _MAX_VALUES:
        _refuse("it has too many values")
    texts = {_text(name, value).strip(" \t") for value in values}
    if len(texts) > 1:
        _refuse("its values contradict each other")
    return _checked(name, texts.pop()) if texts else None


def _text(name: str, value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value[: _MAX_CHARS[name] * _ENCODED + 1]).decode("latin-1")
    if not isinstance(value, str):
        _refuse("it is not a text")
    value = str.__str__(value)
    if len(value) > _MAX_CHARS[name] * _ENCODED:
        _refuse("it is too long")
    if not value.isascii():
        _refuse("it has characters beyond ASCII")
    return value


def _checked(name: str, value: object) -> str | None:
    """Return a flow key or a run id that was received."""
    if value is None:
        return None
    if not isinstance(value, str):
        _refuse("it is not a text")
    value = str.__str__(value)
    if not value:
        return None
    if len(value) > _MAX_CHARS[name]:
        _refuse(f"it has more than {_MAX_CHARS[name]} characters")
    if not value.isprintable():
        _refuse("it has control characters, or others that cannot be printed")
    return value
