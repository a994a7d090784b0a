"""Reads the declared flows of ``.failpath/flows.json``, again whenever the file changes."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from failpath_otel.flows.default_path import DEFAULT_PATH
from failpath_otel.flows.flow import DeclaredNode, edges_of, nodes_of
from failpath_otel.flows.flows_file import FlowsFileError, read_items
from failpath_otel.local.flows.shape import DeclaredFlow, Node
from failpath_otel.report import warn

_CHECK_SECONDS: Final = 1.0

_T = TypeVar("_T")


class _Node(msgspec.Struct, frozen=True, rename="camel"):
    sdk_step_key: str
    label: Any = None
    id: Any = None


class _Flow(msgspec.Struct, frozen=True):
    slug: str
    nodes: Any = ()
    edges: Any = ()


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
    flows: dict[str, DeclaredFlow] = {}
    for item in read_items(path):
        flow = _convert(item, _Flow)
        if flow is not None and flow.slug:
            flows.setdefault(flow.slug, _declared(flow))
    return flows


def _declared(flow: _Flow) -> DeclaredFlow:
    found = (_convert(item, _Node) for item in (flow.nodes if isinstance(flow.nodes, list) else ()))
    declared = [DeclaredNode(node.sdk_step_key, node.label, node.id) for node in found if node and node.sdk_step_key]
    nodes = tuple(Node(node.key, node.label) for node in nodes_of(declared))
    return DeclaredFlow(flow.slug, nodes, edges_of(flow.edges, declared))


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
