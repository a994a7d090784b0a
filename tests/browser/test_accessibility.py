"""No violation that axe-core knows, in any view, light and dark."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from failpath_otel.local.runs.fingerprint import fingerprint
from tests.browser.browsing import Browsing, find
from tests.browser.stories import DECLINED, begun, finished, now, record
from tests.receiver import Receiver, start_receiver

DECLINED_ERROR: Final = fingerprint("checkout", "charge-card", DECLINED.name, DECLINED.message)

VIEWS: Final = {
    "flows": ("/", "flow-row"),
    "flow": ("/flows/sample-checkout", "node"),
    "selected node over a day, whose charts have the day before": (
        "/flows/checkout?node=charge-card&range=24h",
        "chart",
    ),
    "runs": ("/runs", "run-row"),
    "filter that nothing matches": ("/runs?text=nothing-matches-this", "filter-text"),
    "runs with an error": (f"/runs?error={DECLINED_ERROR}&status=error&text=order", "run-row"),
    "running run": ("/runs/order-3", "bar"),
    "silent run": ("/runs/quiet", "bar"),
    "selected step": ("/runs/order-2?step=charge-card&attempt=1", "stack"),
    "long nested run": ("/runs/many", "stack"),
    "comparison": ("/compare/order-2?flow=checkout", "compare-step"),
    "run that is not there": ("/runs/nowhere", "connection"),
    "flow that is not there": ("/flows/nowhere", "connection"),
    "address that is not there": ("/flows/a/b/c", "connection"),
}
"""Each view's address, and what it shows when it has loaded; one that shows what two would stands for both."""

NARROW: Final = {"flows", "flow", "runs", "selected step", "comparison"}
"""Those that are looked at on a telephone as well."""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver with the sample, a failure, a long run, and runs that run, are silent and were skipped."""
    with start_receiver(tmp_path_factory.mktemp("furnished") / "local.db") as receiver:
        receiver.request("/api/page/sample", method="POST", body=b"", headers={"Origin": receiver.url})
        receiver.post(*finished("order-1"), *finished("order-2", start=10, fails="charge-card", cart={"items": [1, 2]}))
        receiver.post(*long_and_nested())
        receiver.post(begun("order-3"), begun("quiet") | {"timestamp": now(-3600)})
        yield receiver


def long_and_nested() -> list[dict[str, Any]]:
    """A run with more steps than are in the document at once, inside of one that failed after many attempts."""
    outer, *inner = finished(
        "many", "import", *(f"step-{number}" for number in range(250)), fails="step-249", seconds=1
    )
    tries = [
        record("error", number, step="step-249", span=f"try {number}", run="many", error=DECLINED)
        for number in range(9)
    ]
    return [outer, *(event | {"parentSpanId": "many/import"} for event in inner + tries)]


# Of the many rows of runs that succeeded, which differ in nothing but their texts, the first: half of the time.
_LOOKED_AT: Final = """{exclude: [['[data-testid="run-row"][data-kind="success"]:nth-child(n+16)']]}"""


def violations(page: Page, options: str = "{resultTypes: ['violations']}") -> list[str]:
    """What axe finds: the rule, and the places with what is wrong there."""
    found: dict[str, Any] = page.evaluate(f"axe.run({_LOOKED_AT}, {options})")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def violations_light_and_dark(page: Page) -> list[str]:
    """The same in both schemes, of which the second changes nothing but colours."""
    page.evaluate(AXE_SCRIPT)
    page.evaluate(_AT_ONCE)
    found = violations(page)
    background = page.evaluate(_BACKGROUND)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.evaluate(_CALM)
    assert page.evaluate(_BACKGROUND) != background
    return found + violations(page, "{runOnly: ['color-contrast', 'link-in-text-block'], resultTypes: ['violations']}")


# No colour passes into another, and what is out of sight changes with what is not.
_AT_ONCE: Final = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; content-visibility: visible !important }");
    document.adoptedStyleSheets.push(sheet);
}"""

# The colours pass into each other, and what inherits one follows.
_CALM: Final = """async () => {
    for (let calm = 0; calm < 3; ) {
        await new Promise(requestAnimationFrame);
        calm = document.getAnimations().some((each) => each instanceof CSSTransition) ? 0 : calm + 1;
    }
}"""
_BACKGROUND: Final = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_no_violation_and_on_a_telephone_none_and_is_no_wider(
    browsing: Browsing, furnished: Receiver, view: str
) -> None:
    browsing.expect_complaints("404")
    path, element = VIEWS[view]
    page = browsing.open(furnished, path, color_scheme="light")
    expect(find(page, element).first).to_be_attached()
    expect(page.locator("main h1")).to_have_count(1)
    assert violations_light_and_dark(page) == []
    if view in NARROW:
        page.set_viewport_size({"width": 400, "height": 800})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        # The colours are those of the wide page.
        assert violations(page, "{rules: {'color-contrast': {enabled: false}}, resultTypes: ['violations']}") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("path", ["/", "/runs"])
def test_an_empty_page_has_no_violation(browsing: Browsing, shared_receiver: Receiver, path: str) -> None:
    page = browsing.open(shared_receiver, path, color_scheme="light")
    expect(page.locator("main h1")).to_have_count(1)
    assert violations_light_and_dark(page) == []


def test_the_help_has_no_violation(browsing: Browsing, furnished: Receiver) -> None:
    page = browsing.open(furnished, "/runs", color_scheme="light")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations_light_and_dark(page) == []


def test_the_dialog_of_a_range_of_time_has_no_violation_and_closes(browsing: Browsing, furnished: Receiver) -> None:
    page = browsing.open(furnished, "/?range=24h", color_scheme="light", viewport={"width": 400, "height": 800})
    find(page, "from-to").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations_light_and_dark(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(find(page, "from-to")).to_be_focused()


def test_questions_a_folded_step_and_files_that_are_held_over_the_page_have_no_violation(
    browsing: Browsing, furnished: Receiver
) -> None:
    steps = [f"resize-{number:03}" for number in range(40)]
    same: list[dict[str, Any]] = [
        {"step": step, "span": f"fan/{step}", "run": "fan", "flow": "fan", "started": 1} for step in steps
    ]
    furnished.post(*finished("fan", "plan", flow="fan"), *(record("success", 2, **each) for each in same))
    context = browsing.context(furnished, color_scheme="light")
    context.add_init_script("Object.defineProperty(Notification, 'permission', {get: () => 'denied'})")
    page = context.new_page()
    page.goto("/runs/fan")
    find(page, "node", step="resize-*").click()
    expect(find(page, "step-row")).to_have_count(40)
    page.evaluate(AXE_SCRIPT)
    assert violations(page) == []
    find(page, "delete").click()
    expect(find(page, "delete-question")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.evaluate(_FILES_OVER_THE_PAGE)
    expect(find(page, "drop-zone")).to_be_visible()
    assert find(page, "notices").get_attribute("data-state") == "denied"
    assert violations(page) == []


_FILES_OVER_THE_PAGE: Final = """() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([""], "run.json"));
    window.dispatchEvent(new DragEvent("dragenter", {dataTransfer}));
}"""


def test_the_chosen_theme_outweighs_that_of_the_system_and_is_kept(browsing: Browsing, furnished: Receiver) -> None:
    page = browsing.open(furnished, "/", color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    find(page, "theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    # The colours pass into each other.
    expect(page.locator("body")).not_to_have_css("background-color", light)
    page.evaluate(AXE_SCRIPT)
    assert violations(page) == []
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(find(page, "flow-row").first).to_be_visible()
    expect(page.locator("body")).not_to_have_css("background-color", light)
