"""The dashboard and the alerts ask for what gateways and receivers have: every name and label in their expressions."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.fault_server import fault_server
from tests.gateway.apps import gateway_app
from tests.gateway.requests import JSON, json_request, json_span
from tests.local.page import opened_page

DASHBOARD: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "failpath-servers.json"
ALERTS: Final = DASHBOARD.parents[1] / "prometheus" / "alerts.yaml"
NAME: Final = re.compile(r"\b(?:failpath|process)_[a-z0-9_]+")
SELECTOR: Final = re.compile(r"\b((?:failpath|process)_[a-z0-9_]+)\{([^}]*)\}")
GROUPS: Final = re.compile(r"\bby \(([^)]*)\)")
BY_PROMETHEUS: Final = {"job", "instance"}
"""The labels that Prometheus adds."""


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    [group] = msgspec.yaml.decode(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def queries() -> list[tuple[str, str, str]]:
    """The title of the panel, the expression and the legend, of all queries."""
    return [(panel["title"], each["expr"], each["legendFormat"]) for panel in panels() for each in panel["targets"]]


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of every metric that a gateway or a receiver has, by its name."""
    directory = tmp_path_factory.mktemp("scraped")
    found: dict[str, set[str]] = {}

    def scrape(client: Any) -> None:
        # Of each kind one, so that what is counted by its labels is there.
        client.post("/v1/traces", content=json_request(json_span()), headers={"Content-Type": JSON})
        client.post("/v1/traces", content=b"x", headers={"Content-Type": JSON})
        client.post(
            "/v1/events", content=b'{"events": []}', headers={"Content-Type": JSON, "Authorization": "Bearer x"}
        )
        for family in parse(client.get("/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)

    with fault_server() as failpath, gateway_app(failpath.url, directory / "journal") as app:
        scrape(app.client)
    with opened_page(directory / "page.db") as page:
        scrape(page.client)
    return found


@pytest.mark.parametrize(("title", "expression", "legend"), queries(), ids=[f"{t}: {x[:40]}" for t, x, _ in queries()])
def test_what_a_panel_asks_for_is_scraped(
    scraped: dict[str, set[str]], title: str, expression: str, legend: str
) -> None:
    names = asked_in(expression, scraped)
    assert names, title
    groups = {label.strip() for group in GROUPS.findall(expression) for label in group.split(",")}
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= groups


def asked_in(expression: str, scraped: dict[str, set[str]]) -> set[str]:
    """The names of the metrics in an expression, all of which are scraped, with the labels that it has for them."""
    names = set(NAME.findall(expression))
    assert names <= scraped.keys()
    assert {name for name, _ in SELECTOR.findall(expression)} == names, "each is limited to some servers"
    for name, matchers in SELECTOR.findall(expression):
        asked = {matcher.split("=")[0].strip() for matcher in matchers.split(", ")}
        assert asked <= scraped[name] | BY_PROMETHEUS
    groups = {label.strip() for group in GROUPS.findall(expression) for label in group.split(",")}
    assert groups <= set().union(*(scraped[name] for name in names)) | BY_PROMETHEUS
    # A counter that is not made a rate only says how long the server runs.
    for name in names:
        if name.endswith("_total"):
            assert re.search(rf"(rate|increase)\({name}\{{", expression), name
    return names


def test_what_an_alert_asks_for_is_scraped_and_it_says_what_is_wrong(scraped: dict[str, set[str]]) -> None:
    assert len({alert["alert"] for alert in alerts()}) == len(alerts())
    for alert in alerts():
        assert asked_in(alert["expr"], scraped) or alert["expr"].startswith("up{"), alert["alert"]
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "description"}
        groups = {label.strip() for group in GROUPS.findall(alert["expr"]) for label in group.split(",")}
        named = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
        assert named <= (groups or BY_PROMETHEUS), alert["alert"]


@pytest.mark.process
def test_prometheus_fires_the_alerts_when_it_should() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool")
    command = ["promtool", "test", "rules", str(ALERTS.with_name("alerts_test.yaml"))]
    tested = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_figure_of_ours_is_in_a_panel(scraped: dict[str, set[str]]) -> None:
    shown = {name for _, expression, _ in queries() for name in NAME.findall(expression)}
    assert {name for name in scraped if name.startswith("failpath_")} - shown == set()


def test_panels_say_what_they_show_and_have_a_place_of_their_own() -> None:
    assert len(panels()) > 15
    assert [panel["title"] for panel in panels() if not panel["description"]] == []
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
