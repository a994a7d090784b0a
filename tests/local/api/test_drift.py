"""What the receiver answers about how runs differ from the file of declared flows."""

import json
from pathlib import Path

from failpath_otel.local.receiver import ReceiverSettings
from failpath_otel.records.record import Record
from tests.local.events import event
from tests.local.page import Page, opened_page

FLOWS = [
    {
        "slug": "checkout",
        "nodes": [{"sdkStepKey": "charge-card"}, {"sdkStepKey": "ship"}, {"sdkStepKey": "mail"}],
        "edges": [{"source": "charge-card", "target": "ship"}],
    }
]


def a_run(run: str, *steps: str, flow: str = "checkout") -> list[Record]:
    return [
        event("success", number + 0.5, started=number, step=step, span=f"{run}/{step}", run=run, flow=flow)
        for number, step in enumerate(steps)
    ]


def test_the_flows_that_were_seen_are_answered_as_their_runs_show_them(page: Page) -> None:
    assert page.client.get("/api/flows").json() == {"flows": [], "next": None}
    page.add(*a_run("1", "charge-card", "ship"), *a_run("2", "charge-card"), *a_run("3", "x", flow="other"))
    page.client.post("/api/page/sample")
    page.add(*a_run("4", "test-event", flow="failpath-doctor"))

    assert page.client.get("/api/flows").json()["flows"] == [
        {
            "flowKey": "checkout",
            "runs": 2,
            "steps": [{"stepKey": "charge-card", "runs": 2}, {"stepKey": "ship", "runs": 1}],
            "edges": [{"source": "charge-card", "target": "ship", "runs": 1}],
        },
        {"flowKey": "other", "runs": 1, "steps": [{"stepKey": "x", "runs": 1}], "edges": []},
    ]


def test_what_was_seen_is_the_same_where_a_file_declares_another_graph(tmp_path: Path) -> None:
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps({"flows": FLOWS}))
    with opened_page(tmp_path / "x.db", ReceiverSettings(flows)) as page:
        page.add(*a_run("1", "ship", "charge-card"))
        (seen,) = page.client.get("/api/flows").json()["flows"]

    assert [step["stepKey"] for step in seen["steps"]] == ["ship", "charge-card"]
    assert seen["edges"] == [{"source": "ship", "target": "charge-card", "runs": 1}]


def test_the_view_of_a_flow_says_how_its_runs_differ_from_the_file(tmp_path: Path) -> None:
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps({"flows": FLOWS}))
    with opened_page(tmp_path / "x.db", ReceiverSettings(flows)) as page:
        assert page.flow("checkout")["drift"] == []
        page.add(*a_run("1", "ship", "charge-card", "chrage-card"), *a_run("2", "ship", flow="chekout"))

        assert [(each["code"], each["suggestion"]) for each in page.flow("checkout")["drift"]] == [
            ("unknown-step", "charge-card"),
            ("unseen-step", None),
            ("other-order", None),
        ]
        assert page.flow("chekout")["drift"] == [
            {
                "code": "unknown-flow",
                "message": "seen in 1 run: there is no flow 'chekout'; did you mean 'checkout'?",
                "stepKey": None,
                "suggestion": "checkout",
            }
        ]
        page.client.post("/api/page/sample")
        page.add(*a_run("3", "test-event", flow="failpath-doctor"))
        assert page.flow("sample-checkout")["drift"] == page.flow("failpath-doctor")["drift"] == []


def test_without_a_file_nothing_differs(page: Page) -> None:
    page.add(*a_run("1", "ship"))

    assert page.flow("checkout")["drift"] == []
