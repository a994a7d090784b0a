"""Long lists have the rows in sight in the document, in the page and in a box that scrolls, and lose nothing by it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect

import failpath_otel.local
from tests.browser.browsing import becomes
from tests.browser.chromium import DEADLINE_MS, Outside
from tests.browser.module_server import serving

LIBRARY: Final = Path(failpath_otel.local.__file__).parent / "page"

PAGE: Final = """<!doctype html>
<meta charset="utf-8"><title>Lists</title>
<style>
  .row { height: 30px }
  #box { height: 200px; overflow-y: auto }
  table { border-collapse: collapse }
  td { padding: 0 }
</style>
<div id="app"></div>
<script type="module">
import { html, render, useState } from "/modules/page/lib/html.js";
import { useRows } from "/modules/page/lib/rows.js";
import { useVirtual } from "/modules/page/lib/virtual.js";

function Long({ count }) {
  const items = Array.from({ length: count }, (_, index) => ({ key: `item ${index}`, failed: index === 9000 }));
  const { row, selected } = useRows(items, { failed: (item) => item.failed, open: () => {} });
  const rows = useVirtual(count, { height: 20, keyOf: (index) => items[index].key, keep: [selected] });
  return html`<div role="list" id="long" ref=${rows.ref} ...${rows.list}>${rows.render(
    (index, place) => html`<div class="row" role="listitem" ...${place} ...${row(items[index].key)}>
      <a href="#" data-row-link>${items[index].key}</a>
    </div>`,
  )}</div>`;
}

function Boxed() {
  const rows = useVirtual(5000, { height: 20, measured: true, table: true });
  const high = (index) => ({ height: `${20 + (index % 7) * 5}px` });
  return html`<div id="box"><table role="table" ...${rows.list}><tbody ref=${rows.ref}>${rows.render(
    (index, place) => html`<tr ...${place}><td style=${high(index)}>row ${index}</td></tr>`,
  )}</tbody></table></div>`;
}

function App() {
  const [count, setCount] = useState(10_000);
  window.setCount = setCount;
  return html`<${Boxed} /><${Long} count=${count} />`;
}
render(html`<${App} />`, document.getElementById("app"));
</script>
"""

IN_SIGHT: Final = """id => {
  const box = document.getElementById(id).getBoundingClientRect();
  const at = (y) => document.elementFromPoint(box.left + 5, y)?.closest("[data-at]")?.dataset.at ?? null;
  return [Math.max(box.top, 0) + 2, Math.min(box.bottom, innerHeight) - 2].map(at);
}"""
"""Which rows are at the upper and at the lower end of what is seen of a list; nothing where there is a gap."""


def number_of_rows(page: Page, selector: str) -> int:
    return page.locator(f"{selector} [data-at]").count()


def test_rows_out_of_sight_are_not_in_the_document_and_come_by_scrolling_by_keys_and_with_the_focus(
    chromium: tuple[Browser, Outside], tmp_path: Path
) -> None:
    for folder in ("lib", "vendor"):
        shutil.copytree(LIBRARY / folder, tmp_path / "page" / folder)
        (tmp_path / "page" / folder / "package.json").write_text(json.dumps({"name": folder}), encoding="utf-8")
    with serving(PAGE, tmp_path) as port:
        context = chromium[0].new_context(viewport={"width": 600, "height": 800})
        page = context.new_page()
        page.set_default_timeout(DEADLINE_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_text("item 0", exact=True)).to_be_visible()

        # In the page: as high as all of them, with those of the screen in the document.
        assert number_of_rows(page, "#long") < 100
        becomes(page, lambda: page.evaluate("document.getElementById('long').scrollHeight"), 300_000)
        first = page.get_by_text("item 0", exact=True)
        assert first.locator("..").get_attribute("aria-setsize") == "10000"
        assert first.locator("..").get_attribute("aria-posinset") == "1"
        first.focus()
        page.evaluate("window.scrollTo(0, 150_000)")
        becomes(page, lambda: None in page.evaluate(IN_SIGHT, "long"), False)
        # Rows that take the place of a spacer do not move what is around it.
        assert page.evaluate("window.scrollY") == 150_000
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        becomes(page, lambda: page.evaluate(IN_SIGHT, "long")[1], "9999")
        assert number_of_rows(page, "#long") < 100
        expect(first).to_be_focused()

        # By keys: what is selected is there, in sight, and has the focus, wherever it was.
        page.keyboard.press("j")
        page.keyboard.press("e")
        expect(page.get_by_text("item 9000", exact=True)).to_be_focused()
        expect(page.get_by_text("item 9000", exact=True)).to_be_in_viewport()
        page.keyboard.press("j")
        expect(page.get_by_text("item 9001", exact=True)).to_be_focused()

        # In a box, with rows of different heights, in a table.
        expect(page.locator("#box table")).to_have_attribute("aria-rowcount", "5001")
        assert number_of_rows(page, "#box") < 60
        page.evaluate("document.getElementById('box').scrollIntoView()")
        page.evaluate("document.getElementById('box').scrollTop = 40_000")
        becomes(page, lambda: None in page.evaluate(IN_SIGHT, "box"), False)
        becomes(page, scrolled_to_the_end(page), "4999")
        expect(page.locator("#box [data-at='4999']")).to_have_attribute("aria-rowindex", "5001")
        assert number_of_rows(page, "#box") < 60

        # A short list is what it would be without.
        page.evaluate("setCount(200)")
        expect(page.locator("#long .row")).to_have_count(200)
        assert page.locator("#long [data-at], #long .space, #long [aria-posinset]").count() == 0
        page.evaluate("setCount(201)")
        expect(page.locator("#long .space")).not_to_have_count(0)
        assert errors == []
        context.close()


def scrolled_to_the_end(page: Page) -> Callable[[], str | None]:
    """Scrolls; again and again, because rows that come in are higher than was thought."""

    def look() -> str | None:
        page.evaluate("(box => box.scrollTop = box.scrollHeight)(document.getElementById('box'))")
        found: str | None = page.evaluate(IN_SIGHT, "box")[1]
        return found

    return look
