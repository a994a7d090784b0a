"""Since when a step fails: found where it began, and not where it is chance."""

from random import Random

import pytest

from failpath_otel.local.flows.failing import Ended, Failing, failing


def outcomes(letters: str) -> list[Ended]:
    """Outcomes a second apart: ``x`` failed, ``.`` did not."""
    return [Ended(at, letter == "x") for at, letter in enumerate(letters)]


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("", None),
        (".....", None),
        ("..x..", None),
        ("....x", None),  # one failure is no "since"
        ("...xx", Failing(3, 2, 2, 0, 3)),
        ("xxx", Failing(0, 3, 3, 0, 0)),  # perhaps since earlier
        ("x......xx", Failing(7, 2, 2, 1, 7)),
        ("." * 20 + "x..x.x..xx.x", Failing(20, 6, 12, 0, 20)),  # not all fail, and it still began there
        ("." * 20 + "x..x.x...xx", Failing(20, 5, 11, 0, 20)),  # two in a row are chance at that rate
        ("." * 20 + "x..x.x...xxxxxx", Failing(29, 6, 6, 3, 29)),  # six are not
        ("x" + "." * 30 + "x.xx.x.x", Failing(31, 5, 8, 1, 31)),  # a failure long ago is not where it began
        ("x..x....x..x.....x.x...x.x", None),  # as often as ever
        ("xxxx......", None),  # it is over
    ],
)
def test_a_step_fails_since_the_place_where_its_failures_begin(letters: str, expected: Failing | None) -> None:
    assert failing(outcomes(letters)) == expected


def test_a_step_that_fails_by_chance_is_seldom_said_to_fail_since_a_time() -> None:
    random = Random(7)
    found = [failing([Ended(at, random.random() < 0.04) for at in range(300)]) for _ in range(200)]
    assert sum(its is not None for its in found) <= 30


def test_a_fault_that_hits_a_fifth_of_the_runs_is_found_where_it_began() -> None:
    random = Random(7)
    places = []
    for _ in range(100):
        rates = [0.01] * 200 + [0.2] * 100
        its = failing([Ended(at, random.random() < rate) for at, rate in enumerate(rates)])
        assert its is not None
        places.append(its.first)
    assert sum(195 <= place <= 215 for place in places) >= 70
