"""Reads the declared flows of ``.failpath/flows.json``, again whenever the file changes."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from failpath_otel.local.flows.shape import DeclaredFlow, Node
from failpath_otel.report import warn

DEFAULT_PATH: Final = Path(".failpath", "flows.json")

MAX_BYTES: Final = 16_000_000

_CHECK_SECONDS: Final = 1.0

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_ENDS: Final = (("source", "target"), ("from", "to"))
"""How an edge may call its two ends."""

_T = TypeVar("_T")


class FlowsFileError(Exception):
    """The file cannot be used; the text is one line that names the file and the reason."""


class _Node(msgspec.Struct, frozen=True, rename="camel"):
    sdk_step_key: str
    label: Any = None
    id: Any = None


class _Flow(msgspec.Struct, frozen=True):
    slug: str
    nodes: Any = ()
    edges: Any = ()


class _File(msgspec.Struct, frozen=True):
    flows: list[Any]


class FlowsFile:
    """The declared flows of one file; checked for changes at most once a second. Thread-safe.

    Raises :class:`FlowsFileError` if the file cannot be read at first. A later failure is logged once, and the flows
    stay as they were.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path.absolute()
        self._lock = threading.Lock()
        self._clock = clock
        self._checked = clock()
        self._version = _version(path)
        self._flows = read_flows(path)

    def flows(self) -> Mapping[str, DeclaredFlow]:
        """Return every flow by its key, in the order of the file."""
        with self._lock:
            now = self._clock()
            if now - self._checked >= _CHECK_SECONDS:
                self._checked = now
                self._reload_if_changed()
            return self._flows

    def _reload_if_changed(self) -> None:
        # Before reading: what is written meanwhile counts as another change.
        version = _version(self.path)
        if version == self._version:
            return
        self._version = version
        try:
            self._flows = read_flows(self.path)
        except FlowsFileError as error:
            warn("Failpath: %s; the flows stay as they were until the file is corrected", str(error))


def find_flows_file(given: Path | None) -> FlowsFile | None:
    """Return the ``given`` file, else that of the working directory if there is one."""
    if given is not None:
        return FlowsFile(given)
    # Not by `Path.is_file`, which raises for a directory without permission.
    return FlowsFile(DEFAULT_PATH) if os.path.isfile(DEFAULT_PATH) else None  # noqa: PTH113


def read_flows(path: Path) -> dict[str, DeclaredFlow]:
    """Return the flows of a file by their keys.

    Invalid items are left out: a flow without a slug, a node without a step key, an edge whose ends
    are no such nodes. Raises :class:`FlowsFileError` if there is no list of flows in it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _error(path, error.strerror or type(error).__name__) from error
    if len(data) > MAX_BYTES:
        raise _error(path, f"is larger than {MAX_BYTES} bytes")
    try:
        content = msgspec.json.decode(data.removeprefix(_BYTE_ORDER_MARK), type=_File)
    except msgspec.ValidationError as error:
        raise _error(path, f'is not a list of flows as {{"flows": [...]}}: {error}') from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _error(path, f"is not JSON: {error}") from error
    flows: dict[str, DeclaredFlow] = {}
    for item in content.flows:
        flow = _convert(item, _Flow)
        if flow is not None and flow.slug:
            flows.setdefault(flow.slug, _declared(flow))
    return flows


def _declared(flow: _Flow) -> DeclaredFlow:
    nodes: dict[str, Node] = {}
    by_id: dict[str, str] = {}
    for item in _items(flow.nodes):
        node = _convert(item, _Node)
        if node is None or not node.sdk_step_key:
            continue
        key = node.sdk_step_key
        label = node.label if isinstance(node.label, str) and node.label.strip() else key
        nodes.setdefault(key, Node(key, label))
        if (name := _name(node.id)) is not None:
            by_id.setdefault(name, key)
    edges: dict[tuple[str, str], None] = {}
    names = {key: key for key in nodes} | by_id
    for item in _items(flow.edges):
        edge = _ends(item, names)
        if edge is not None and edge[0] != edge[1]:
            edges[edge] = None
    return DeclaredFlow(flow.slug, tuple(nodes.values()), tuple(edges))


def _ends(edge: object, names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the step keys of the first pair of ends that both name a node."""
    if not isinstance(edge, dict):
        return None
    for pair in _ENDS:
        source, target = (None if (name := _name(edge.get(end))) is None else names.get(name) for end in pair)
        if source is not None and target is not None:
            return source, target
    return None


def _name(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _convert(value: object, kind: type[_T]) -> _T | None:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _error(path: Path, reason: str) -> FlowsFileError:
    return FlowsFileError(" ".join(f"{path}: {reason}".split()))
