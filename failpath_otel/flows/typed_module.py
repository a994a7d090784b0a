"""The module by which type checkers and editors know the keys of the declared flows."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from failpath_otel.flows.flow import Flow
from failpath_otel.flows.names import cap_words, flow_names, step_names
from failpath_otel.flows.source_text import alternatives, assignment, literal, subscript

MARK: Final = '"""The keys of Failpath\'s flows, by `failpath-otel types`; sha256 '
"""How every such module begins."""

# What cannot be avoided: long keys, keys beyond ASCII, `check_password` as the name of a text, as many arguments as
# `record_step` has. RUF100, because not every project has all of the other rules.
# Black wants the empty line.
_HEAD: Final = """\

# Do not edit: `failpath-otel types` makes it of flows.json.
# ruff: noqa: CPY001, E501, PLC2401, PLR0913, RUF001, RUF100, S105

from typing import {names}

from failpath_otel import Failpath, FailpathClient, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from typing import Any, Protocol, TypeVar, overload

    from failpath_otel.testing import MockFailpath
"""

_PROTOCOL: Final = """\
if TYPE_CHECKING:
    _F = TypeVar("_F", bound=Callable[..., Any])

    class _HasItems(Protocol):
        def items(self) -> Iterable[tuple[Any, Any]]: ...

    class _Keys(Protocol):
"""

_RUN: Final = """\
        def run(
            self,
{key}
            *,
            run_id: object = None,
            metadata: Mapping[str, object] | None = None,
            propagate: bool = False,
        ) -> {name}Run: ...
"""

_RUN_FROM_HEADERS: Final = """\
        @overload
        def run_from_headers(
            self,
            headers: _HasItems | Iterable[tuple[Any, Any]] | None,
            *,
{key}
            run_id: object = None,
            run_id_header: str | None = None,
            metadata: Mapping[str, object] | None = None,
        ) -> {run}: ...
"""

_OF_ANY_FLOW: Final = """\
        def current_run(self) -> Run[StepKey] | None: ...
        def step(
            self,
            step_key: StepKey,
            *,
            metadata: Mapping[str, object] | None = None,
        ) -> Callable[[_F], _F]: ...
"""

_RECORD_STEP: Final = """\
        def record_step(
            self,
            *,
{key}
            run_id: object,
            step_key: {name}Step,
            status: Literal["running", "success", "error", "skipped"],
            metadata: Mapping[str, object] | None = None,
            error: BaseException | Mapping[str, object] | str | None = None,
            started_at: datetime | float | None = None,
            timestamp: datetime | float | None = None,
        ) -> None: ...
"""

# The classes take fewer keys than their base classes, which checkers rightly say.
_TYPED: Final = '''
    class TypedFailpath(_Keys, Failpath):  # type: ignore[misc]  # ty: ignore
        """A :class:`failpath_otel.Failpath` that takes the keys of these flows alone."""

    class TypedFailpathClient(TypedFailpath, FailpathClient):  # type: ignore[misc]  # ty: ignore
        """A :class:`failpath_otel.FailpathClient` that takes the keys of these flows alone."""

    class TypedMockFailpath(TypedFailpathClient, MockFailpath):  # type: ignore[misc]  # ty: ignore
        """A :class:`failpath_otel.testing.MockFailpath` that takes the keys of these flows alone."""

    @overload
    def typed(client: MockFailpath) -> TypedMockFailpath: ...
    @overload
    def typed(client: FailpathClient) -> TypedFailpathClient: ...
    @overload
    def typed(client: Failpath) -> TypedFailpath: ...
    def typed(client: Failpath) -> Failpath:
        """Return ``client`` itself, which for type checkers takes the keys of these flows alone."""
        return client

else:
    TypedFailpath = Failpath
    TypedFailpathClient = TypedMockFailpath = FailpathClient

    def typed(client: Failpath) -> Failpath:
        """Return ``client`` itself, which for type checkers takes the keys of these flows alone."""
        return client
'''


def typed_module(flows: Sequence[Flow]) -> str:
    """Return the source of the module for these flows: the same for the same slugs and keys in the same order."""
    names = flow_names(flow.slug for flow in flows)
    steps = {node.key: None for flow in flows for node in flow.nodes}
    imported = ["TYPE_CHECKING", "Final", "Literal", *(["NoReturn"] if not all(flow.nodes for flow in flows) else [])]
    parts = [
        f'{MARK}{flows_hash(flows)}."""\n{_HEAD.format(names=", ".join(imported))}',
        *(_constants(flow, names[flow.slug]) for flow in flows),
        f"{alternatives('FlowSlug', list(names))}\n{alternatives('StepKey', list(steps))}\n",
        _protocol(flows, names),
    ]
    return "\n".join(parts)


def flows_hash(flows: Sequence[Flow]) -> str:
    """Return 16 hex digits of what a module is made from: slugs and keys, and nothing else of the flows."""
    keys = [[flow.slug, [node.key for node in flow.nodes]] for flow in flows]
    return hashlib.sha256(msgspec.json.encode(keys)).hexdigest()[:16]


def _constants(flow: Flow, name: str) -> str:
    words = cap_words(name)
    keys = [node.key for node in flow.nodes]
    members = [assignment(4, f"{step}: Final", literal(key, 8)) for key, step in step_names(keys).items()]
    return "\n".join(
        [
            f"\nclass _{words}Steps:",
            '    """The steps of the flow, by their keys."""',
            *(["", *members] if members else []),
            f"\n\nclass _{words}Flow:",
            '    """The flow, by its slug."""\n',
            assignment(4, "slug: Final", literal(flow.slug, 8)),
            assignment(4, "steps: Final", f"_{words}Steps()"),
            "\n\n" + assignment(0, f"{name}: Final", f"_{words}Flow()"),
            alternatives(f"{words}Step", keys),
            subscript(0, f"{words}Run = Run", f"{words}Step") + "\n",
        ]
    )


def _protocol(flows: Iterable[Flow], names: dict[str, str]) -> str:
    by_class = {cap_words(names[flow.slug]): flow.slug for flow in flows}

    def fill(method: str, argument: str) -> list[str]:
        return [
            method.format(
                name=name, run=f"{name}Run", key=subscript(12, f"{argument}: Literal", literal(slug, 16), ",")
            )
            for name, slug in by_class.items()
        ]

    return "".join(
        [
            _PROTOCOL,
            *_overloads(fill(_RUN, "flow_key")),
            *fill(_RUN_FROM_HEADERS, "flow"),
            _RUN_FROM_HEADERS.format(run="Run[StepKey]", key="            flow: None = None,"),
            _OF_ANY_FLOW,
            *_overloads(fill(_RECORD_STEP, "flow_key")),
            _TYPED,
        ]
    )


def _overloads(methods: list[str]) -> list[str]:
    """Return one method as it is; of several each as an overload."""
    return methods if len(methods) == 1 else [f"        @overload\n{method}" for method in methods]
