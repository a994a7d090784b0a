"""Reads ``.failpath/flows.json``: strictly, so that a mistake in it is found where it is."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec

from failpath_otel import limits
from failpath_otel.flows.flow import DeclaredNode, Flow, edges_of, nodes_of
from failpath_otel.flows.regular_file import read_regular_file

MAX_BYTES: Final = 16_000_000

_HOW_TO_WRITE: Final = (
    "`npx failpath sync` writes it, or `failpath-otel flows --out PATH` as a local receiver has seen the flows"
)

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# As long as `Failpath.run` and `Run.step` take them: a longer one would be an exception in the application.
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_KEY_CHARS)]


class FlowsFileError(Exception):
    """The file cannot be used; the text is one line that names the file, the place in it, and the reason."""


class _Node(msgspec.Struct, frozen=True, rename="camel"):
    sdk_step_key: _Key
    label: Any = None
    id: Any = None


class _Flow(msgspec.Struct, frozen=True):
    slug: _Key
    nodes: list[_Node]
    edges: Any = None


class _File(msgspec.Struct, frozen=True):
    flows: list[Any]


def read_flows(path: Path) -> tuple[Flow, ...]:
    """Return the flows of a file, in its order. Fields that are not known are left alone.

    Raises:
        FlowsFileError: the file cannot be read or has no flow, two flows have one slug, a flow has no slug or no list
            of nodes, a node has no key, or two nodes of a flow have one, or a slug or a key is too long.
    """
    items = read_items(path)
    if not items:
        _fail(path, "has no flow")
    flows: list[Flow] = []
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        try:
            flow = msgspec.convert(item, _Flow)
        except msgspec.ValidationError as error:
            reason, _, inside = str(error).partition(" - at ")
            _fail(path, f"flows[{place}]{inside.strip('`').removeprefix('$')}{_of(item)}: {reason}", error)
        first = places.setdefault(flow.slug, place)
        if first != place:
            _fail(path, f"flows[{place}]: has the slug {flow.slug!r}, as flows[{first}] has")
        flows.append(_checked(path, place, flow))
    return tuple(flows)


def read_items(path: Path) -> list[Any]:
    """Return the list of flows in a file, whatever they are.

    Raises:
        FlowsFileError: the file cannot be read, is too large, or is not JSON with a list of flows.
    """
    try:
        data = read_regular_file(path, MAX_BYTES)
    except FileNotFoundError as error:
        _fail(path, f"{error.strerror}; {_HOW_TO_WRITE}", error)
    except OSError as error:
        _fail(path, error.strerror or type(error).__name__, error)
    text = data.removeprefix(_BYTE_ORDER_MARK)
    try:
        # As a `str`, because the error of that says at which byte it stopped.
        return msgspec.json.decode(text.decode(), type=_File).flows
    except msgspec.ValidationError as error:
        _fail(path, f'is not a list of flows as {{"flows": [...]}}: {error}', error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _fail(path, f"is not JSON: {error}{_position(text, error)}", error)


def _checked(path: Path, place: int, flow: _Flow) -> Flow:
    places: dict[str, int] = {}
    for at, node in enumerate(flow.nodes):
        first = places.setdefault(node.sdk_step_key, at)
        if first != at:
            _fail(
                path,
                f"flows[{place}].nodes[{at}] of {flow.slug!r}: has the sdkStepKey {node.sdk_step_key!r}, as"
                f" nodes[{first}] has",
            )
    declared = [DeclaredNode(node.sdk_step_key, node.label, node.id) for node in flow.nodes]
    return Flow(flow.slug, nodes_of(declared), edges_of(flow.edges, declared))


def _of(item: object) -> str:
    """Return which flow it is, where that is known."""
    slug = item.get("slug") if isinstance(item, dict) else None
    return f" of {slug[: limits.MAX_KEY_CHARS]!r}" if slug and isinstance(slug, str) else ""


def _position(text: bytes, error: Exception) -> str:
    """Return line and column, both from 1, where the decoder says at which byte it stopped; else nothing."""
    if isinstance(error, UnicodeDecodeError):
        byte = error.start
    elif "truncated" in str(error):
        byte = len(text)
    elif found := re.search(r"\(byte (\d+)\)", str(error)):
        byte = int(found[1])
    else:
        return ""
    above, _, line = text[:byte].rpartition(b"\n")
    number = above.count(b"\n") + (2 if b"\n" in text[:byte] else 1)
    return f", at line {number}, column {len(line.decode(errors='replace')) + 1}"


def _fail(path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    raise FlowsFileError(" ".join(f"{path}: {reason}".split())) from cause
