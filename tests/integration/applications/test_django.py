"""The shop in Django, as it stands: under gunicorn and uvicorn, and its management command."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected

from tests.integration.applications.examples import (
    EXAMPLES,
    kill_inside,
    post,
    run_example,
    said,
    shown,
    start_example,
    start_module,
    wait_until_shown,
)
from tests.integration.processes.site import Site

GUNICORN = ("gunicorn", "--chdir", str(EXAMPLES), "--bind", "127.0.0.1:0", "--no-control-socket")
UVICORN = ("uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "django_shop:asgi_application")
ADDRESS = r"(http://127\.0\.0\.1:\d+)"


def test_a_request_to_gunicorn_is_the_run_of_its_header_and_a_killed_worker_leaves_the_step_gone(
    site: Site, order: str
) -> None:
    url = said(site, start_module(site, *GUNICORN, "django_shop:application"), ADDRESS)
    assert json.loads(post(f"{url}/orders", order)) == {"run": order, "charge": "ch_4999"}
    wait_until_shown(site, order, "take-order", [("charge-card", "success")])

    assert post(f"{url}/report.csv", f"report-{order}", method="GET") == "order-0\norder-1\norder-2\n"
    wait_until_shown(site, f"report-{order}", "export-report", [("export-rows", "success")])

    assert re.fullmatch("[0-9a-f]{32}", json.loads(post(f"{url}/orders", "x" * 201))["run"])

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, f"{url}/orders?bank=slow", f"slow-{order}")
        kill_inside(site, f"slow-{order}", "take-order", [], "charge-card")
        assert isinstance(answer.exception(30), RemoteDisconnected)
    # The next worker serves.
    assert json.loads(post(f"{url}/orders", f"next-{order}"))["run"] == f"next-{order}"


def test_requests_to_uvicorn_at_the_same_time_are_runs_of_their_own_and_all_are_gone_with_the_server(
    site: Site, order: str
) -> None:
    url = said(site, start_module(site, *UVICORN), rf"running on {ADDRESS}")
    with ThreadPoolExecutor() as pool:
        parcels = [pool.submit(post, f"{url}/parcels", f"{number}-{order}") for number in range(4)]
        assert [json.loads(each.result(30)) for each in parcels] == [{"run": f"{n}-{order}"} for n in range(4)]
        orders = [pool.submit(post, f"{url}/orders", f"{number}-{order}") for number in range(2)]
        assert [json.loads(each.result(30))["run"] for each in orders] == [f"{n}-{order}" for n in range(2)]
        for number in range(4):
            wait_until_shown(site, f"{number}-{order}", "take-parcel", [("book-courier", "success")])

        slow = [
            pool.submit(post, f"{url}/orders?bank=slow", f"slow-{order}"),  # in a thread
            pool.submit(post, f"{url}/parcels?courier=slow", f"slow-{order}"),  # on the event loop
        ]
        wait_until_shown(site, f"slow-{order}", "take-order", [("charge-card", "running")])
        kill_inside(site, f"slow-{order}", "take-parcel", [], "book-courier")
        wait_until_shown(site, f"slow-{order}", "take-order", [("charge-card", "gone")])
        assert all(each.exception(30) for each in slow)


def test_a_management_command_has_delivered_its_run_at_its_end_and_a_killed_one_leaves_the_step_gone(
    site: Site, order: str
) -> None:
    start_example(site, "django_shop.py", "close_day", "--day", f"slow-{order}", "--slow")
    assert run_example(site, "django_shop.py", "close_day", "--day", order) == "3 orders.\n"
    assert shown(site, order, "close-day") == [("export-rows", "success"), ("charge-card", "success")]
    kill_inside(site, f"slow-{order}", "close-day", [("export-rows", "success")], "charge-card")
