"""The state of one step, shared by the code that opens it and the reporter of its span (decision 0002).

A module of its own, because ``steps`` and ``records`` both need it, and neither may import the other.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from failpath_otel.semconv import PARENT_SPAN_ID

STATE_KEY: Final = "failpath.step.state"
"""Context key of the innermost :class:`StepState`, or :class:`RunSpan`, of the code that runs in a context."""

NO_PARENT: Final = bytes(8)
"""The span id of the parent of a step that is inside no other step of its run."""

_MAX_LINEAGE: Final = 8
"""Runs whose innermost step is remembered below each other: steps of many runs may be started inside each other."""

Lineage = tuple[tuple["RunIdentity", bytes, bytes], ...]
"""The innermost step of each run around the code that runs in a context, the innermost run first.

Of each the span id that is reported, and that of the host's span: another one, where that span is not reported.
"""

SpanIds = tuple[int, int]
"""Trace id and span id of a lean span, which nothing but this package sees."""


class RunIdentity:
    """The names of a run; one object for all its steps.

    Args:
        flow_key: the flow.
        run_id: the run.
    """

    __slots__ = ("flow_key", "names", "run_id")

    def __init__(self, flow_key: str, run_id: str) -> None:
        self.flow_key: Final = flow_key
        self.run_id: Final = run_id
        self.names: bytes | None = None
        """Set by the reporter: its JSON."""

    def is_same(self, other: "RunIdentity") -> bool:
        """Return whether both name the same run."""
        return other is self or (other.run_id == self.run_id and other.flow_key == self.flow_key)


class RunSpan:
    """What a run's own span means for the steps below it."""

    __slots__ = ("_lineage", "private_span")

    holder: Final = None

    def __init__(self, lineage: Lineage, private_span: Any) -> None:  # noqa: ANN401 - as in `StepState`
        self._lineage: Final = lineage
        self.private_span: Final = private_span

    def lineage(self) -> Lineage:
        """Return the lineage of what begins inside."""
        return self._lineage


class Definition(Protocol):
    """What a step is before it begins."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its clean metadata."""
        ...

    def attributes(self) -> Mapping[str, Any]:
        """Return the start attributes of its span."""
        ...


class StepState:
    """One step from its start to its outcome. A reporter makes one itself for a step of another tracer.

    Args:
        run: the names of its run.
        step_key: the step.
        definition: its metadata as JSON values, and the attributes of its span; ``None``: only these are known.
        attributes: the start attributes of the step's span, where they are not those of ``definition``.
        owner: the only reporter that may report the step; ``None``: any may.
        holder: an object that lives as long as something can still end the step.
    """

    __slots__ = (
        "added_attributes",
        "around",
        "attributes",
        "content",
        "definition",
        "holder",
        "host_parent",
        "ids",
        "is_lean",
        "is_manual",
        "is_missed",
        "known_outcome",
        "last_ticket",
        "outcome_reported",
        "owner",
        "parent",
        "pipeline",
        "private_span",
        "reference",
        "reported_span",
        "reporter",
        "run",
        "running",
        "running_ticket",
        "span_context",
        "spans",
        "start",
        "start_ns",
        "step_key",
    )

    def __init__(  # noqa: PLR0917 - on the hot path, where a keyword costs
        self,
        run: RunIdentity,
        step_key: str,
        definition: Definition | None,
        attributes: Mapping[str, Any] | None = None,
        owner: object = None,
        holder: object = None,
    ) -> None:
        self.run = run
        self.step_key = step_key
        self.definition = definition
        self.attributes = attributes
        self.owner = owner
        self.holder = holder
        """``None`` once its spans are started: a span that starts later in its context is a span of other code."""
        # Of the code that opens the step.
        self.is_manual = False
        """The event is recorded by hand, so no ``running`` is reported for the start of the span."""
        self.start_ns = 0
        """When the step began, in nanoseconds since the epoch."""
        self.parent = self.host_parent = NO_PARENT
        """The span id of the innermost step of the same run around it, as reported, and of the host's span."""
        self.around: Lineage = ()
        """The lineage around it."""
        self.spans: tuple[Any, ...] = ()
        """The spans that were started for the step so far, that of the host first; no lean one."""
        self.private_span: Any = None
        """The parent of private spans below it: a span, or the ids of a lean one; ``None``: there is none."""
        self.added_attributes: Mapping[str, Any] | None = None
        """Attributes that were set since the start."""
        self.known_outcome: tuple[Mapping[str, Any] | None, Mapping[str, str] | None, int] | None = None
        """The outcome, set before it is written: added attributes, those of the ``exception`` event, and the time."""
        # Of the reporter.
        self.is_lean = False
        """The step has no span but a lean one, which is nothing but ids."""
        self.is_missed = False
        """The step has no span, and its start could not be reported: its end reports both."""
        self.reported_span: Any = None
        """The span whose start was reported. Any other span that is started with this state is no step."""
        self.reporter: Any = None
        """The reporter, which takes the outcome where the span cannot carry it."""
        self.reference: Any = None
        """A weak reference to the holder; ``None``: the span was opened by other code."""
        self.span_context: Any = None
        self.ids = b""
        """Trace id, span id and parent."""
        self.running: bytes | None = None
        """The compact ``running`` record; ``None``: the records are made one by one."""
        self.start: Any = None
        """A ``StepStart``, where the records are made one by one."""
        self.content: Any = None
        """What the records contain: a ``RecordContent``."""
        self.pipeline: Any = None
        """The pipeline of both records."""
        self.running_ticket = 0
        """The ticket of the ``running`` record in the pipeline; 0: it was not accepted."""
        self.last_ticket = 0
        """The ticket of the record that came last; 0: it was refused."""
        self.outcome_reported = False
        """The outcome was accepted, or counted as lost."""

    def start_attributes(self) -> Mapping[str, Any]:
        """Return the start attributes of the step's span, made when they are first needed.

        Uncut: the host may limit the length of values, and the SDK applies that limit before any span processor runs.
        """
        attributes = self.attributes
        if attributes is None:
            definition: Any = self.definition  # there is one, or there would be attributes
            attributes = definition.attributes()
            if self.host_parent != NO_PARENT:
                attributes = {**attributes, PARENT_SPAN_ID: self.host_parent.hex()}
            self.attributes = attributes
        return attributes

    def enter(self, outer: "StepState | RunSpan") -> None:
        """Begin inside ``outer``: find the parent among the steps around it."""
        self.private_span = outer.private_span
        self.around = around = outer.lineage()
        for run, reported, of_host in around:
            if run.is_same(self.run):
                self.parent, self.host_parent = reported, of_host
                break

    def lineage(self) -> Lineage:
        """Return the lineage of what begins inside; of a step that was not reported, that around it."""
        reported = of_host = self.ids[16:24]
        if self.spans and (context := self.spans[0].get_span_context()).is_valid:
            of_host = context.span_id.to_bytes(8, "big")
        if not of_host:
            return self.around
        others = tuple(each for each in self.around if not each[0].is_same(self.run))
        return ((self.run, reported or of_host, of_host), *others[: _MAX_LINEAGE - 1])


class LazyAttributes(Mapping[str, Any]):
    """The start attributes of a step for a tracer that looks at none, as long as no provider is set."""

    __slots__ = ("_state",)

    def __init__(self, state: StepState) -> None:
        self._state = state

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of any type
        return self._state.start_attributes()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.start_attributes())

    def __len__(self) -> int:
        return len(self._state.start_attributes())

    def copy(self) -> dict[str, Any]:
        """Return a copy, as of the dictionary that older SDKs take this for."""
        return dict(self._state.start_attributes())
