"""A retry is an attempt after a failed one, and nothing else."""

import pytest

from failpath_otel.local.runs.retries import retries_by_step
from failpath_otel.local.runs.summary import AttemptSummary
from tests.local.flows.summaries import attempt


@pytest.mark.parametrize(
    ("attempts", "retries"),
    [
        ([attempt("pay", 0, 5, "error")], 0),
        ([attempt("pay", 0, 5, "error"), attempt("pay", 6, 9)], 1),
        ([attempt("pay", 0, 5, "error"), attempt("pay", 5, 9, "error"), attempt("pay", 9, None)], 2),
        # A loop: of three that follow a failed one, the first is a retry.
        ([attempt("pay", 0, 5, "error"), attempt("pay", 6, 7), attempt("pay", 8, 9), attempt("pay", 10, 11)], 1),
        # Side by side: none began after the failed one.
        ([attempt("pay", 0, 5, "error"), attempt("pay", 1, 9), attempt("pay", 2, 9)], 0),
        # Two that failed, and one more.
        ([attempt("pay", 0, 5, "error"), attempt("pay", 1, 5, "error"), attempt("pay", 6, 9)], 1),
        # Given up.
        ([attempt("pay", 0, 5, "error"), attempt("pay", None, 6)], 0),
        # By hand, without a start; and by a clock that was set back.
        ([attempt("pay", None, 5, "error"), attempt("pay", None, 6, "error")], 1),
        ([attempt("pay", 5, 3, "error"), attempt("pay", 6, 7)], 1),
    ],
)
def test_a_retry_began_after_a_failed_attempt_had_ended(attempts: list[AttemptSummary], retries: int) -> None:
    assert retries_by_step(attempts) == retries_by_step(attempts[::-1]) == {"pay": retries}


def test_the_retries_of_steps_are_their_own_and_steps_without_a_failure_have_none() -> None:
    attempts = [attempt("pay", 0, 5, "error"), attempt("ship", 6, 9), attempt("ship", 10, 11), attempt("pay", 12, 13)]
    assert retries_by_step(attempts) == {"pay": 1}
    assert retries_by_step([]) == {}
