"""A change of a rate is found where it is, and hardly ever where there is none."""

import random

import pytest

from failpath_otel.local.store.flow_queries import EndedRun
from failpath_otel.local.trends.change_point import last_change
from failpath_otel.local.trends.changes import Change, changes_of, failure_change, p95_change

MINUTE = 60_000_000


def random_runs(chance: random.Random, rate: float, size: int, begin: int = 0, scale: float = 1.0) -> list[EndedRun]:
    return [
        EndedRun((begin + number) * MINUTE, chance.random() < rate, 1000 * scale * chance.lognormvariate(0, 0.6))
        for number in range(size)
    ]


@pytest.mark.parametrize(("size", "rate"), [(30, 0.2), (100, 0.04), (300, 0.5), (300, 0.01)])
def test_random_runs_of_one_rate_give_hardly_ever_a_sentence(size: int, rate: float) -> None:
    chance = random.Random(size)
    series = [random_runs(chance, rate, size) for _ in range(400)]
    assert sum(failure_change(runs) is not None for runs in series) <= 1
    assert sum(p95_change(runs) is not None for runs in series[:150]) <= 1


@pytest.mark.parametrize(
    ("before", "after", "sizes"),
    [
        (0.04, 0.19, (900, 300)),
        (0.0, 1.0, (20, 5)),
        (0.04, 1.0, (300, 10)),
        (0.3, 0.01, (200, 300)),
        (0, 0.5, (99, 20)),
    ],
)
def test_a_planted_change_of_the_failure_rate_is_found_within_some_runs(
    before: float, after: float, sizes: tuple[int, int]
) -> None:
    misses = []
    for seed in range(20):
        chance = random.Random(seed)
        runs = random_runs(chance, before, sizes[0]) + random_runs(chance, after, sizes[1], sizes[0])
        change = failure_change(runs)
        assert change is not None
        assert change.worse is (after > before)
        assert change.runs + change.runs_before <= sum(sizes)
        misses.append(abs(change.since // MINUTE - sizes[0]))
    # As far as a rate can be told from another one by single runs.
    assert sorted(misses)[10] <= (1 if abs(after - before) > 0.5 else 12), misses


def test_the_rates_and_the_numbers_of_runs_before_and_since_are_those_counted_by_hand() -> None:
    runs = [EndedRun(number * MINUTE, number % 25 == 0, 100.0) for number in range(100)]
    runs += [EndedRun((100 + number) * MINUTE, number % 2 == 0, 100.0) for number in range(30)]
    assert changes_of(runs) == [Change("failureRate", 100 * MINUTE, 0.5, 0.04, 30, 100)]


def test_a_change_of_p95_is_found_where_all_runs_or_one_in_four_became_slow() -> None:
    for share, around in ((1.0, 3), (0.25, 12)):
        misses = []
        for seed in range(10):
            chance = random.Random(seed)
            slow = random_runs(chance, 0, 200, 400)
            slow = [
                run._replace(duration_ms=4 * (run.duration_ms or 0)) if chance.random() < share else run for run in slow
            ]
            change = p95_change(random_runs(chance, 0, 400) + slow)
            assert change is not None
            assert change.worse
            assert change.value > 1.5 * change.before
            misses.append(abs(change.since // MINUTE - 400))
        assert sorted(misses)[5] <= around, misses


def test_of_several_changes_the_last_counts_and_what_was_just_before_it() -> None:
    flags = [0] * 200 + [1, 0] * 50 + [0] * 100
    split = last_change(flags)
    assert split is not None
    assert (split.begin, split.at) == (200, 299)


def test_a_long_series_is_searched_coarsely_and_still_split_at_the_run() -> None:
    runs = [EndedRun(number, number >= 60_123, 1.0) for number in range(70_000)]
    change = failure_change(runs)
    assert change is not None
    assert (change.since, change.runs, change.value, change.before) == (60_123, 9_877, 1.0, 0.0)


def test_what_differs_little_or_has_few_failures_is_no_news() -> None:
    little = [EndedRun(number, number % 100 == 0, 1.0) for number in range(30_000)]
    little += [EndedRun(30_000 + number, number % 40 == 0, 1.0) for number in range(30_000)]
    assert failure_change(little) is None  # 1 % and 2.5 %
    assert failure_change([EndedRun(number, number >= 500, None) for number in range(503)]) is None
    assert changes_of([]) == changes_of([EndedRun(1, True, None)] * 50) == []
