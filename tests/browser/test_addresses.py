"""Every selection is in the address: it survives Back, a reload, and being pasted elsewhere."""

from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, becomes, find, kinds, wait_until_live
from tests.browser.stories import begun, finished
from tests.receiver import Receiver


def furnish(receiver: Receiver) -> None:
    """Eight runs of two flows, of four looks; ``charge-card`` fails in two of them."""
    receiver.post(*finished("order-1", start=0), *finished("order-2", start=10, fails="charge-card"))
    receiver.post(*finished("order-3", start=20, fails="charge-card"), *finished("order-4", start=30, customer="Ada"))
    receiver.post(*finished("night-1", "load", "import", flow="nightly", start=40))
    receiver.post(*finished("night-2", "load", "import", flow="nightly", start=50, fails="import"))
    receiver.post(begun("order-5"), begun("night-3", "load", "nightly"))


def query(page: Page) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(page.url).query))


def shows_runs(page: Page, *runs: str) -> None:
    becomes(page, lambda: sorted(run for run, _ in kinds(page)), sorted(runs))


def holds_everywhere(page: Page, browsing: Browsing, receiver: Receiver, check: Callable[[Page], None]) -> None:
    """What is checked holds now, after a reload, and where the address is pasted into another browser."""
    check(page)
    page.reload()
    check(page)
    pasted = browsing.context(receiver).new_page()
    pasted.goto(page.url)
    check(pasted)


def test_the_filters_of_the_list_of_runs_survive_back_a_reload_and_a_pasted_address(
    browsing: Browsing, receiver: Receiver
) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs")
    shows_runs(page, *(f"order-{number}" for number in range(1, 6)), "night-1", "night-2", "night-3")

    find(page, "filter-status").select_option("error")
    shows_runs(page, "order-2", "order-3", "night-2")
    find(page, "filter-flow").select_option("checkout")
    shows_runs(page, "order-2", "order-3")
    find(page, "filter-text").fill("ORDER-3")
    shows_runs(page, "order-3")
    becomes(page, partial(query, page), {"status": "error", "flow": "checkout", "text": "ORDER-3"})

    def filtered(page: Page) -> None:
        shows_runs(page, "order-3")
        expect(find(page, "filter-status")).to_have_value("error")
        expect(find(page, "filter-flow")).to_have_value("checkout")
        expect(find(page, "filter-text")).to_have_value("ORDER-3")

    holds_everywhere(page, browsing, receiver, filtered)
    find(page, "run-row", run="order-3").click()
    expect(find(page, "run-header")).to_contain_text("order-3")
    page.go_back()
    filtered(page)


def test_the_text_filter_finds_what_stands_in_metadata_and_in_errors(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs?text=ada")
    shows_runs(page, "order-4")
    find(page, "filter-text").fill("declined")
    shows_runs(page, "order-2", "order-3", "night-2")
    find(page, "filter-text").fill("")
    find(page, "filter-status").select_option("running")
    shows_runs(page, "order-5", "night-3")


def test_a_filtered_list_takes_in_what_comes_to_match_and_gives_away_what_does_not_any_more(
    browsing: Browsing, receiver: Receiver
) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs?flow=checkout&status=running")
    shows_runs(page, "order-5")
    receiver.post(begun("order-6"), begun("night-4", "load", "nightly"))
    shows_runs(page, "order-5", "order-6")
    receiver.post(*finished("order-5", "charge-card"))
    receiver.post({**begun("order-5"), "id": "the end", "status": "success"})
    shows_runs(page, "order-6")


def test_the_selected_step_of_a_run_survives_back_a_reload_and_a_pasted_address(
    browsing: Browsing, receiver: Receiver
) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs/order-2")
    find(page, "bar", step="charge-card").click()
    becomes(page, lambda: (query(page).get("step"), query(page).get("attempt")), ("charge-card", "1"))

    def selected(page: Page) -> None:
        expect(find(page, "panel")).to_contain_text("the bank declined the card")

    holds_everywhere(page, browsing, receiver, selected)
    find(page, "bar", step="validate-cart").click()
    expect(find(page, "panel")).not_to_contain_text("the bank declined the card")
    page.go_back()
    selected(page)


def test_showing_only_what_failed_survives_a_reload_and_a_pasted_address(
    browsing: Browsing, receiver: Receiver
) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs/order-2")
    expect(find(page, "bar")).to_have_count(2)
    find(page, "only-failed").click()
    becomes(page, lambda: query(page).get("failed"), "1")

    def failed(page: Page) -> None:
        expect(find(page, "bar")).to_have_count(1)
        expect(find(page, "bar", step="charge-card", kind="error")).to_be_visible()

    holds_everywhere(page, browsing, receiver, failed)


def test_the_selected_node_of_a_flow_survives_back_a_reload_and_a_pasted_address(
    browsing: Browsing, receiver: Receiver
) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/flows/checkout")
    find(page, "node", step="charge-card").click()
    becomes(page, partial(query, page), {"node": "charge-card"})

    def selected(page: Page) -> None:
        expect(find(page, "node", step="charge-card")).to_have_attribute("aria-pressed", "true")

    holds_everywhere(page, browsing, receiver, selected)
    page.go_back()
    becomes(page, partial(query, page), {})
    expect(find(page, "node", step="charge-card")).to_have_attribute("aria-pressed", "false")


def test_back_goes_from_a_run_to_its_flow_and_to_the_flows(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver)
    find(page, "flow-row", flow="checkout").get_by_role("link").first.click()
    expect(find(page, "graph")).to_be_visible()
    find(page, "run-row", run="order-2").get_by_role("link").first.click()
    expect(find(page, "run-header")).to_be_visible()
    find(page, "previous-run").click()
    expect(find(page, "run-header")).to_contain_text("order-1")
    page.go_back()
    expect(find(page, "run-header")).to_contain_text("order-2")
    page.go_back()
    expect(find(page, "graph")).to_be_visible()
    page.go_back()
    expect(find(page, "flow-row")).to_have_count(2)


def test_a_run_and_a_flow_whose_names_are_addresses_themselves_have_pages(
    browsing: Browsing, receiver: Receiver
) -> None:
    run, flow = "2026/11/23?b=c#d&e=%41 +ü", "a/b?c#d %2F"
    receiver.post(*finished(run, "only step", flow=flow))
    page = browsing.open(receiver)
    find(page, "flow-row", flow=flow).get_by_role("link").first.click()
    expect(find(page, "node", step="only step")).to_be_visible()
    find(page, "run-row", run=run).get_by_role("link").first.click()
    expect(find(page, "bar", step="only step")).to_be_visible()
    page.reload()
    wait_until_live(page)
    expect(find(page, "bar", step="only step")).to_be_visible()
    expect(find(page, "run-header")).to_contain_text(run)
