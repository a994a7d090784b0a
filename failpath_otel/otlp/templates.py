"""The templates of one record content: which there are, and when one is made (decision 0023)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from failpath_otel import limits
from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
from failpath_otel.otlp.slots import Shape, UnusualSpanError
from failpath_otel.otlp.span import OtlpSpan, process_json
from failpath_otel.otlp.template import EncodedRecord, Template, new_template
from failpath_otel.records.content import RecordContent
from failpath_otel.records.span_translation import span_records

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MAX_STEPS: Final = 4_096
"""Steps, by their keys, that have templates; the least recently used are dropped first."""

MAX_SPAN_BYTES: Final = limits.MAX_METADATA_TEXT_CHARS
"""A longer span has no template. In so many bytes, metadata is within all limits if each value by itself is clean."""

_MAX_SHAPES: Final = 8
"""Shapes of one step."""

_MAX_KEY_BYTES: Final = 1_024
_FIRST_WALKS: Final = 4
_WALKS_PER_TEMPLATE: Final = 32
"""Spans that are walked before another template is made, which takes as long as some twenty."""


class _Step:
    """The templates of a step, the most recently used first, with the parts of a span; and how many were walked."""

    __slots__ = ("templates", "walks")

    def __init__(self) -> None:
        self.templates: tuple[tuple[Template, int], ...] = ()
        self.walks = 0


class StepTemplates:
    """Templates; used on any thread.

    A span whose shape has none is walked. Of a step that was walked some times, a template is made.

    Args:
        content: what the records contain; metadata is not changed by it.
    """

    def __init__(self, content: RecordContent) -> None:
        # Steps by rules have no templates, because the scope that decides on them is not in the span; nor have errors.
        self._content: Final = RecordContent(send_process=content.process)
        self._names_process: Final = content.process
        self._steps: Final[OrderedDict[bytes, _Step]] = OrderedDict()
        self._walks = 0
        self._next_at = 0

    def records(  # noqa: PLR0917 - on the hot path, where a keyword costs
        self, key: bytes, body: bytes, begin: int, end: int, process: str, budget: ReadingBudget
    ) -> list[EncodedRecord] | None:
        """Return the records of the span there, in order of time; ``None`` if it has to be walked.

        Args:
            key: what follows the name of the step key in the span.
            body: the body of a request.
            begin: where the span begins in it.
            end: where the span ends.
            process: the process that the resource names, as JSON; empty if there is none.
            budget: what may still be read of the request.
        """
        step = self._steps.get(key)
        if step is None or end - begin > MAX_SPAN_BYTES:
            return None
        if not self._names_process:
            process = ""
        found = None
        try:
            for template, parts in step.templates:
                found = template(body, begin, end, process)
                if found is not None:
                    budget.begin(parts)
                    if template is not step.templates[0][0]:
                        self._move_to_front(step, template)
                    self._steps.move_to_end(key)
                    break
        except KeyError:  # another thread has just dropped the step
            return found
        except (UnusualSpanError, TooManyPartsError, ValueError):
            return None
        return found

    @staticmethod
    def _move_to_front(step: _Step, template: Template) -> None:
        step.templates = tuple(sorted(step.templates, key=lambda each: each[0] is not template))

    def learn(self, key: bytes, text: bytes, span: OtlpSpan | None, shape_of: Callable[[bytes], Shape]) -> None:
        """Make a template of a span that is walked, if it is time for one.

        Args:
            key: as in :meth:`records`.
            text: the span as it came.
            span: the same, parsed; ``None`` if it is no step after all.
            shape_of: takes the bytes of a span apart.
        """
        self._walks += 1
        if len(key) > _MAX_KEY_BYTES:
            return
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = _Step()
            if len(self._steps) > MAX_STEPS:
                self._steps.popitem(last=False)
        step.walks += 1
        walks = step.walks
        if walks < _FIRST_WALKS or walks & (walks - 1) or self._walks < self._next_at or len(text) > MAX_SPAN_BYTES:
            return
        self._next_at = self._walks + _WALKS_PER_TEMPLATE
        if span is None:
            return
        try:
            shape = shape_of(text)
            records = span_records(cast("ReadableSpan", span), span.process, self._content)
            process = process_json(span.process) if self._names_process else ""
            template = new_template(shape.pieces, text, process, records)
        except Exception:  # noqa: BLE001 - then it is walked, as this one is, which reports what is wrong
            return
        step.templates = ((template, shape.parts), *step.templates[: _MAX_SHAPES - 1])
