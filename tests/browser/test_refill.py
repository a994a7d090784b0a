"""A filtered list stays full when runs no longer pass the filter."""

from playwright.sync_api import expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import begun, ended
from tests.receiver import Receiver


def test_older_runs_take_the_places_of_those_that_no_longer_pass_the_filter(
    browsing: Browsing, receiver: Receiver
) -> None:
    older, newer = [f"older-{n}" for n in range(5)], [f"newer-{n}" for n in range(100)]
    receiver.post(*(begun(run) for run in older))
    receiver.post(*(begun(run) for run in newer))
    page = browsing.open(receiver, "/runs?status=running")
    expect(find(page, "run-row")).to_have_count(100)
    receiver.post(*(ended(run) for run in newer))
    expect(find(page, "run-row")).to_have_count(len(older))
    expect(find(page, "run-row", run="older-0")).to_be_visible()
