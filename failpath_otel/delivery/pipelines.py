"""The pipelines of one reporter: the one at hand, and those that were there before it was configured anew."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from failpath_otel.delivery.figures.stats import Stats, add_up
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.errors import DeliveryError
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child

if TYPE_CHECKING:
    from failpath_otel.options.options import Options

NewPipeline = Callable[["Options"], Pipeline]
"""Makes the pipeline for options: in production :func:`failpath_otel.delivery.pipeline.pipeline_to_failpath`."""


class Pipelines:
    """The last one takes what begins; earlier ones deliver what they have, and the outcomes of what began there."""

    def __init__(self, new_pipeline: NewPipeline) -> None:
        self._new_pipeline: Final = new_pipeline
        self.all: Final[list[Pipeline]] = []
        """In the order in which they were made."""
        self._past = Stats(0, 0, 0)  # of pipelines that are gone
        after_fork_in_child(self._in_child)

    def _in_child(self) -> None:
        self._past = Stats(0, 0, 0)

    def begin(self, options: "Options") -> None:
        """Add the pipeline for ``options``; those before end when nothing waits in them."""
        self.all.append(self._new_pipeline(options))
        if len(self.all) > 1:
            self.all[-2].worker.retire()
        # Not the one that was retired just now: a step that begins on another thread may be about to use it.
        for pipeline in self.all[:-2]:
            if pipeline.admission.is_idle():
                pipeline.shutdown(0)
                past, left = add_up((self._past, pipeline.stats())), [each for each in self.all if each is not pipeline]
                # Without a call in between, where an exception of a signal handler could come: it counts once.
                self._past, self.all[:] = past, left

    def release(self) -> None:
        """Have each deliver what waits, and then release its journal, its connection and its thread.

        Only takes notes, so that the garbage collector can call it anywhere. What comes all the same is delivered too.
        """
        try:
            for pipeline in tuple(self.all):
                pipeline.worker.release()
        except Exception:  # noqa: BLE001 - the interpreter is being taken down, and what this needs is gone
            return

    __del__ = release
    """For a reporter that is gone without having been shut down."""

    def resume(self) -> None:
        """Take :meth:`release` back, for what begins from now on."""
        self.all[-1].worker.resume()

    def flush(self, deadline: float) -> bool:
        """Wait until ``deadline`` for all deliveries; return whether no record was ever lost."""
        complete = [pipeline.flush(max(deadline - monotonic(), 0)) for pipeline in tuple(self.all)]
        return all(complete) and not (self._past.dropped or self._past.waiting)

    async def aflush(self, deadline: float) -> bool:
        """:meth:`flush` for async code: waits without blocking the event loop and without another thread."""
        try:
            # Here, because importing it takes longer than all of this package; who awaits this has done so.
            from failpath_otel.delivery.waiters.async_waiters import settled  # noqa: PLC0415
        except ImportError:  # an upgrade has replaced the files of this process
            exception_once("waiting for all records")
            return False

        complete = [await settled(pipeline, max(deadline - monotonic(), 0)) for pipeline in tuple(self.all)]
        return all(complete) and not (self._past.dropped or self._past.waiting)

    def shutdown(self, deadline: float) -> bool:
        """Flush until ``deadline``, then accept no more records; return the result of the flush."""
        complete = [pipeline.shutdown(max(deadline - monotonic(), 0)) for pipeline in tuple(self.all)]
        return all(complete) and not (self._past.dropped or self._past.waiting)

    def take_error(self) -> DeliveryError | None:
        """Return the first loss since this was last asked; where there is none, the failure that is being retried."""
        errors = [pipeline.take_error() for pipeline in tuple(self.all)]
        return next((error for error in errors if error is not None), None)

    def stats(self) -> Stats:
        """Return how many records there were, and what became of them."""
        return add_up((self._past, *(pipeline.stats() for pipeline in tuple(self.all))))

    @property
    def max_records(self) -> int | None:
        """How many records may wait in the one at hand; ``None`` with a journal, which is bounded in bytes."""
        return self.all[-1].max_records
