"""All of it without a mouse: keys only, and always a focus that can be seen."""

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, find, kinds
from tests.browser.stories import begun, finished
from tests.receiver import Receiver

SELECTED = '[aria-selected="true"]'

FOCUSED = """() => {
  const element = document.activeElement;
  if (element === document.body) return null;
  const shown = element.closest('[aria-selected]') ?? element;
  const told = ['outline', 'boxShadow', 'stroke', 'strokeWidth', 'border', 'backgroundColor'];
  const look = () => [shown, ...shown.querySelectorAll('*')].flatMap(one => [null, '::before', '::after'].map(part => {
    const style = getComputedStyle(one, part);
    return told.map(name => style[name]).join();
  })).join();
  const focused = look();
  element.blur();
  const seen = focused !== look();
  element.focus();
  return element.outerHTML.slice(0, 160) + (seen ? '' : ' SHOWS NO FOCUS');
}"""
"""What has the focus, and whether it, or the row that it is in, looks other than without it."""


def furnish(receiver: Receiver) -> None:
    receiver.post(*finished("order-1", start=0), *finished("order-2", start=10, fails="charge-card"))
    receiver.post(*finished("order-3", start=20), *finished("night-1", "load", flow="nightly", start=30))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def selected_run(page: Page, run: str) -> None:
    expect(page.locator(f'[data-testid="run-row"]{SELECTED}')).to_have_attribute("data-run", run)


def test_keys_alone_lead_from_the_list_to_the_stack_of_what_failed(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver)
    expect(find(page, "flow-row")).to_have_count(2)
    press(page, "g", "r")
    expect(find(page, "run-row")).to_have_count(4)
    press(page, "e")
    selected_run(page, "order-2")
    press(page, "Enter")
    expect(find(page, "run-header", kind="error")).to_contain_text("order-2")
    press(page, "e")
    expect(find(page, "stack")).to_contain_text("bank.py")
    expect(find(page, "panel")).to_contain_text("the bank declined the card")
    first = find(page, "frame").first
    expect(first).to_have_attribute("data-application", "true")
    expect(first).to_contain_text("bank.py")

    press(page, "Escape")
    expect(find(page, "panel")).to_have_count(0)
    press(page, "g", "f")
    expect(find(page, "flow-row")).to_have_count(2)


def test_j_and_k_move_through_a_list_and_enter_opens_what_is_selected(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs")
    expect(find(page, "run-row")).to_have_count(4)
    runs = [run for run, _ in kinds(page)]
    press(page, "j")
    selected_run(page, runs[0])
    press(page, "j", "j")
    selected_run(page, runs[2])
    press(page, "k")
    selected_run(page, runs[1])
    expect(page.locator(SELECTED)).to_have_count(1)
    press(page, "Enter")
    expect(find(page, "run-header")).to_contain_text(runs[1])


def test_the_flows_are_walked_by_keys_down_to_a_step_of_a_run(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver)
    expect(find(page, "flow-row")).to_have_count(2)
    flows = find(page, "flow-row").evaluate_all("rows => rows.map(row => row.dataset.flow)")
    press(page, *("j" for _ in range(flows.index("checkout") + 1)))
    press(page, "Enter")
    expect(find(page, "graph")).to_be_visible()
    expect(find(page, "run-row")).to_have_count(3)
    press(page, "e")
    selected_run(page, "order-2")
    press(page, "Enter")
    expect(find(page, "bar")).to_have_count(2)
    press(page, "j", "j")
    expect(find(page, "panel")).to_contain_text("the bank declined the card")
    press(page, "k")
    expect(find(page, "panel")).not_to_contain_text("the bank declined the card")


def test_the_filter_is_reached_by_a_key_and_takes_letters_as_letters(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs")
    expect(find(page, "run-row")).to_have_count(4)
    press(page, "/")
    expect(find(page, "filter-text")).to_be_focused()
    page.keyboard.type("jek-p?")
    expect(find(page, "filter-text")).to_have_value("jek-p?")
    expect(page.locator(f'[data-testid="run-row"]{SELECTED}')).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    press(page, *("Backspace" for _ in range(6)))
    page.keyboard.type("order-2")
    expect(find(page, "run-row")).to_have_count(1)
    press(page, "Escape")
    expect(find(page, "filter-text")).not_to_be_focused()


def test_help_opens_and_closes_by_keys_and_gives_the_focus_back(browsing: Browsing, receiver: Receiver) -> None:
    page = browsing.open(receiver)
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    for key in ("/", "j", "k", "Enter", "Esc", "e", "p", "?"):
        expect(page.get_by_role("dialog").get_by_text(key, exact=True).first).to_be_visible()
    press(page, "Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_paused_list_stands_still_and_counts_what_comes(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/runs")
    expect(find(page, "run-row")).to_have_count(4)
    before = find(page, "run-row").all_inner_texts()
    press(page, "p")
    receiver.post(*finished("order-4", start=40), begun("order-5"))
    expect(find(page, "paused-count")).to_contain_text("2")
    assert find(page, "run-row").all_inner_texts() == before
    press(page, "p")
    expect(find(page, "run-row")).to_have_count(6)
    expect(find(page, "paused-count")).to_have_count(0)


def test_every_stop_of_the_tab_key_can_be_seen(browsing: Browsing, receiver: Receiver) -> None:
    furnish(receiver)
    for path in ("/", "/flows/checkout", "/runs", "/runs/order-2?step=charge-card&attempt=1"):
        page = browsing.open(receiver, path)
        expect(page.locator("h1")).to_be_visible()
        stops: list[str] = []
        for _ in range(60):
            press(page, "Tab")
            stop = page.evaluate(FOCUSED)
            if stop is None or stop in stops:
                break
            stops.append(stop)
        assert len(stops) >= 4, stops
        assert [stop for stop in stops if stop.endswith("SHOWS NO FOCUS")] == []
