"""The pipelines of a reporter that is configured anew, and what they count together."""

from typing import Any

import pytest

from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.pipelines import Pipelines
from tests.delivery.pipelines import HeldDelivery, numbered


class _TimeLimit(Exception):  # noqa: N818 - as Celery's
    pass


class _Interrupted(Pipeline):
    """Is interrupted once by a signal handler, as it has ended."""

    due = False

    def shutdown(self, timeout: float) -> bool:
        ended = super().shutdown(timeout)
        if self.due:
            self.due = False
            raise _TimeLimit
        return ended


def test_a_pipeline_whose_end_a_time_limit_interrupts_is_counted_once() -> None:
    pipelines = Pipelines(lambda _: _Interrupted(HeldDelivery()))
    options: Any = None
    pipelines.begin(options)
    first: Any = pipelines.all[0]
    first.put(numbered(1))
    assert first.flush(10)
    first.due = True
    pipelines.begin(options)
    with pytest.raises(_TimeLimit):
        pipelines.begin(options)
    assert pipelines.stats().accepted == 1
    pipelines.begin(options)
    assert pipelines.stats().accepted == 1
    assert first not in pipelines.all
    for pipeline in pipelines.all:
        pipeline.shutdown(10)
