"""What nearly all runs with an error have in common is found, and hardly ever where chance alone made it so."""

import random

import pytest

from failpath_otel.local.trends.cause import Common
from failpath_otel.local.trends.whom import common_of


def random_pairs(chance: random.Random, customers: int) -> list[str]:
    return [f"customer=c-{chance.randrange(customers)}", f"region={chance.choice('ab')}", f"order={chance.random()}"]


@pytest.mark.parametrize(("customers", "failures"), [(3, 8), (6, 5), (6, 40), (1_000, 4), (1_000, 200)])
def test_a_customer_that_all_failures_have_is_named_also_with_a_stranger_among_many(
    customers: int, failures: int
) -> None:
    chance = random.Random(failures)
    others = [random_pairs(chance, customers) for _ in range(200)]
    failed = [["customer=c-1", f"region={chance.choice('ab')}", f"order={chance.random()}"] for _ in range(failures)]
    assert common_of(failed, others) == Common("customer", "c-1", failures, failures)
    strangers = [["customer=c-2"]] * (failures // 12)
    assert common_of([*failed, *strangers], others) == Common("customer", "c-1", failures, failures + len(strangers))


def test_random_failures_hardly_ever_have_anything_in_common() -> None:
    chance, alarms = random.Random(1), 0
    for _ in range(1_500):
        customers, failures = chance.choice((2, 3, 6, 30, 500)), chance.randrange(4, 30)
        others = [random_pairs(chance, customers) for _ in range(chance.choice((10, 40)))]
        alarms += common_of([random_pairs(chance, customers) for _ in range(failures)], others) is not None
    assert alarms <= 2


def test_what_most_other_runs_have_too_and_what_few_runs_were_compared_with_is_not_named() -> None:
    failed = [["a=1", "version=2=3"]] * 50
    assert common_of(failed, [["a=1", "version=2=3"]] * 60 + [["a=2"]] * 40) is None
    assert common_of(failed, [["a=2"]] * 9) is None
    assert common_of(failed[:3], [["a=2"]] * 200) is None
    assert common_of(failed, [["a=1"]] * 200) == Common("version", "2=3", 50, 50)
