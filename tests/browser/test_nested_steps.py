"""Steps that ran inside others are indented below them and can be folded, by mouse and by keys."""

from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import DECLINED, record
from tests.receiver import Receiver

DEEP = 60


def step(
    name: str, start: float, end: float, parent: str | None = None, *, fails: bool = False
) -> list[dict[str, Any]]:
    """A step whose span has the name of the step."""
    same: dict[str, Any] = {"step": name, "span": name, "run": "nested"}
    inside = {} if parent is None else {"parentSpanId": parent}
    outcome = record("error" if fails else "success", end, started=start, error=DECLINED if fails else None, **same)
    return [record("running", start, **same) | inside, outcome | inside]


def nested() -> list[dict[str, Any]]:
    """Two lanes in an import, one of them with a failure; a deep chain; and what hostile senders say of parents."""
    events = [
        *step("import", 0, 90),
        *step("lane 1", 1, 9, "import"),
        *step("load 1", 3, 5, "lane 1"),
        *step("lane 2", 2, 8, "import", fails=True),
        *step("load 2", 4, 6, "lane 2", fails=True),
        *step("egg", 91, 92, "hen"),
        *step("hen", 92, 93, "egg"),
        *step("self", 93, 94, "self"),
        *step("orphan", 94, 95, "nowhere"),
    ]
    for level in range(DEEP):
        events += step(f"level {level}", 10 + level, 80, f"level {level - 1}" if level else "import")
    return events


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("treeitem").filter(has=page.get_by_text(name, exact=True))


def names(page: Page) -> list[str]:
    return page.locator(".attempt-label").all_text_contents()


def test_nested_steps_stand_below_their_parents_and_fold_with_the_worst_state_inside(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*nested())
    page = browsing.open(receiver, "/runs/nested")
    expect(page.get_by_role("treeitem")).to_have_count(DEEP + 9)
    # Of what failed, where it began: the step around it failed by it.
    expect(row(page, "load 2")).to_have_attribute("aria-selected", "true")
    assert names(page)[:6] == ["import", "lane 1", "load 1", "lane 2", "load 2", "level 0"]
    # A parent that is not there, and steps that say to be inside each other, are shown too.
    assert sorted(names(page)[-4:]) == ["egg", "hen", "orphan", "self"]
    expect(row(page, "load 2")).to_have_attribute("aria-level", "3")
    expect(row(page, "self")).to_have_attribute("aria-level", "1")
    expect(row(page, "lane 2")).to_have_attribute("aria-expanded", "true")
    assert row(page, "load 2").get_attribute("aria-expanded") is None

    # However deep it is, the name stays in sight.
    deepest = row(page, f"level {DEEP - 1}")
    expect(deepest).to_have_attribute("aria-level", str(DEEP + 1))
    deepest.scroll_into_view_if_needed()
    label, whole = (box.bounding_box() for box in (deepest.locator(".attempt-label"), deepest.locator(".attempt-name")))
    assert label is not None
    assert whole is not None
    assert label["width"] > 40
    assert label["x"] + label["width"] < whole["x"] + whole["width"]

    # By keys: to the parent, folded, unfolded, to the first inside.
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(row(page, "load 1")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(row(page, "lane 1")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(row(page, "lane 1")).to_have_attribute("aria-expanded", "false")
    expect(row(page, "load 1")).to_have_count(0)
    expect(find(row(page, "lane 1"), "inside", kind="success")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(row(page, "load 1")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(row(page, "load 1")).to_have_attribute("aria-selected", "true")

    # By mouse: the fold shows the worst of what is in it; what was selected in it gives way to it.
    find(row(page, "import"), "fold").click()
    expect(row(page, "import")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("treeitem")).to_have_count(5)
    expect(find(row(page, "import"), "inside", kind="error")).to_contain_text(str(DEEP + 4))
    # What is looked for is not left in the fold.
    page.keyboard.press("e")
    expect(row(page, "lane 2")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("e")
    expect(row(page, "load 2")).to_have_attribute("aria-selected", "true")
    expect(row(page, "load 2")).to_be_in_viewport()

    page.set_viewport_size({"width": 400, "height": 800})
    expect(row(page, "load 2")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400

    # A list of what failed has no levels, and so is that of a run without parents.
    find(page, "only-failed").click()
    expect(page.get_by_role("option")).to_have_count(2)
    expect(page.get_by_role("treeitem")).to_have_count(0)
