"""Text is text wherever it comes from, and nothing leaves this machine."""

from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import begun, finished, now
from tests.receiver import Receiver

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SCRIPT: Final = "<script>window.broken=1</script>"
IMAGE: Final = '"><img src=x onerror="window.broken=1"><svg onload=window.broken=1>'
LINK: Final = "javascript:window.broken=1"
QUOTES: Final = "'\"`${window.broken=1}{{window.broken=1}}&lt;b&gt;"


def hostile(field: str) -> str:
    """A text that does harm in whatever place it is not text; ``field`` says where it was found."""
    return f"{field} {SCRIPT}{IMAGE}{QUOTES}{LINK}"


FLOW: Final = hostile("flow")
RUN: Final = hostile("run")
STEP: Final = hostile("step")


def hostile_events() -> list[dict[str, Any]]:
    same = {
        "flowKey": FLOW,
        "runId": RUN,
        "traceId": hostile("trace"),
        "spanId": hostile("span"),
        "metadata": {hostile("key"): hostile("value"), "nested": {hostile("inner key"): [hostile("inner value")]}},
        "process": {"pid": 1, "host": hostile("host"), "startTime": hostile("start time")},
    }
    error = {
        "name": hostile("name"),
        "message": hostile("message"),
        "stack": f'Traceback:\n  File "{hostile("file")}", line 1, in {hostile("function")}\n{hostile("stack")}',
    }
    started = {"startedAt": now(-62), "durationMs": 12}
    return [
        {"id": hostile("1"), "stepKey": STEP, "status": "running", "timestamp": now(-62), **same},
        {
            "id": hostile("2"),
            "stepKey": STEP,
            "status": "error",
            "timestamp": now(-61),
            "error": error,
            **started,
            **same,
        },
        {
            "id": hostile("3"),
            "stepKey": LINK,
            "status": "skipped",
            "timestamp": now(-60),
            **same,
            "spanId": "other",
        },
    ]


LONG: Final = "x" * 1_000
WIDTH: Final = "document.documentElement.scrollWidth"

NAMES: Final = (
    "__proto__",
    "constructor",
    "toString",
    "\u05e9\u05dc\u05d5\u05dd",
    "\U0001f468\u200d\U0001f469",
    "x" * 400,
)
"""Names that every object of JavaScript has, of letters that run from right to left, of many parts, of one word."""


def encoded(text: str) -> str:
    return quote(text, safe="")


VIEWS: Final = {
    "/": ("flow-row", [FLOW]),
    f"/flows/{encoded(FLOW)}": ("node", [FLOW, hostile("message")]),
    f"/flows/{encoded(FLOW)}?node={encoded(STEP)}": ("node", [FLOW]),
    "/runs": ("run-row", [FLOW, RUN]),
    f"/runs?text={encoded('flow ' + SCRIPT)}&flow={encoded(FLOW)}": ("run-row", [RUN]),
    f"/runs/{encoded(RUN)}": ("bar", [RUN, STEP]),
    f"/runs/{encoded(RUN)}?flow={encoded(FLOW)}&step={encoded(STEP)}&attempt=1": (
        "panel",
        [RUN, *(hostile(field) for field in ("name", "message", "key", "value", "inner key", "inner value"))],
    ),
}
"""The addresses, what each shows when it has loaded, and texts that it has to show as they are."""


def is_intact(page: Page) -> None:
    assert page.evaluate("window.broken") is None
    added = page.evaluate(
        """() => [...document.querySelectorAll('script, img, iframe, [onerror], [onload], a[href^="javascript" i]')]
             .map(one => one.outerHTML).filter(text => !/^<script (type="module" )?src="\\/page\\//.test(text))"""
    )
    assert added == []


@pytest.mark.parametrize("path", VIEWS, ids=["flows", "flow", "node", "runs", "filtered", "run", "panel"])
def test_markup_in_any_text_stays_text(browsing: Browsing, receiver: Receiver, path: str) -> None:
    answer = receiver.post(*hostile_events())
    assert answer.json() == {"accepted": 3, "rejected": []}
    page = browsing.open(receiver, path)
    element, texts = VIEWS[path]
    expect(find(page, element).first).to_be_visible()
    for text in texts:
        expect(page.locator("main")).to_contain_text(text)
    is_intact(page)
    # Also what arrives while the page is open.
    receiver.post({**hostile_events()[0], "id": "again", "spanId": "again"})
    expect(find(page, element).first).to_be_visible()
    is_intact(page)


STEERING: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of the text around them."""


def steered(event: dict[str, Any]) -> dict[str, Any]:
    """The same with such characters in every text that a user can choose."""
    error = event.get("error")
    return {
        **event,
        **{name: f"{name} {STEERING}gnp.exe" for name in ("flowKey", "runId", "stepKey")},
        "metadata": {f"key {STEERING}": f"value {STEERING}"},
        **({} if error is None else {"error": {name: f"{name} {STEERING}\n" for name in error}}),
    }


@pytest.mark.parametrize("path", VIEWS, ids=["flows", "flow", "node", "runs", "filtered", "run", "panel"])
def test_characters_that_change_the_direction_of_text_are_shown_and_not_obeyed(
    browsing: Browsing, receiver: Receiver, path: str
) -> None:
    receiver.post(*(steered(event) for event in hostile_events()))
    for plain, field in ((FLOW, "flowKey"), (RUN, "runId"), (STEP, "stepKey")):
        path = path.replace(encoded(plain), encoded(f"{field} {STEERING}gnp.exe"))
    page = browsing.open(receiver, path.replace(encoded("flow " + SCRIPT), encoded("gnp")))
    expect(page.locator("main")).to_contain_text("\\u202e")
    receiver.post({**steered(hostile_events()[0]), "id": "again", "spanId": "again"})
    expect(page.locator("main")).to_contain_text("\\u200f")
    shown = page.evaluate(
        """() => document.title + document.body.innerText
             + [...document.querySelectorAll("[title], [aria-label]")].map(one => one.title + one.ariaLabel).join()"""
    )
    assert [character for character in STEERING if character in shown] == []


def test_an_address_that_names_nothing_shows_its_text_as_text(browsing: Browsing, receiver: Receiver) -> None:
    browsing.expect_complaints("404")
    page = browsing.context(receiver, viewport={"width": 400, "height": 800}).new_page()
    long = f"/runs?error={0:016}&pinned=1&meta={encoded(f'{STEERING}{IMAGE}={LONG[:150]}')}"
    nothing = (f"/runs/{encoded(RUN)}", f"/flows/{encoded(FLOW)}", f"/runs?text={encoded(IMAGE)}")
    for path in (*nothing, "/runs/100%", f"/compare/{LONG}", long):
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        is_intact(page)
        assert page.evaluate(WIDTH) <= 400, path


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/runs/any", "/flows/any", "/page/app.js", "/page/lib/stream-worker.js"]
)
def test_every_answer_of_the_page_has_the_policy_and_the_headers(shared_receiver: Receiver, path: str) -> None:
    answer = shared_receiver.request(path)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert answer.status == 200
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_name_that_every_object_has_is_one_like_any_other(browsing: Browsing, receiver: Receiver) -> None:
    flow = "constructor"
    for number, run in enumerate(("before", "after")):
        fails = NAMES[-1] if number == 1 else None
        events = finished(run, *NAMES, flow=flow, start=10 * number, fails=fails, toString=LONG, valueOf="")
        receiver.post(
            *(event | {"error": {"name": LONG, "message": LONG}} if event.get("error") else event for event in events)
        )
    receiver.post(begun("first", "__proto__", flow="toString"), begun("first", "hasOwnProperty", flow="toString"))
    page = browsing.open(receiver, viewport={"width": 400, "height": 800})
    views = {
        "/": "flow-row",
        f"/flows/{flow}?node=__proto__": "node-detail",
        f"/runs/after?flow={flow}&step={NAMES[-1]}": "panel",
        f"/compare/after?flow={flow}": "compare-step",
        "/runs/first?step=__proto__": "panel",
    }
    for path, element in views.items():
        page.goto(path)
        expect(find(page, element).first).to_be_visible()
        assert page.evaluate(WIDTH) <= 400, path
        assert "NaN" not in page.inner_text("body")
    # Of a step that has never ended there is no usual duration.
    expect(find(page, "panel")).not_to_contain_text("p50")
