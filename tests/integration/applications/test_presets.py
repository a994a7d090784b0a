"""Django, Celery and gRPC by presets, started by ``opentelemetry-instrument``: no step in code, and a kill in one."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.integration.applications.examples import EXAMPLES, kill, post, run_example, said
from tests.integration.instrumented import INSTRUMENT
from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Program, Site

UNAWARE = "tests.integration.processes.apps.unaware"


def start(site: Site, preset: str, *command: str) -> Program:
    """What a user sets, and starts."""
    site.variables |= {
        "FAILPATH_RULES": f"preset:{preset}",
        "OTEL_SERVICE_NAME": site.flow,
        **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
    }
    return site.start(str(INSTRUMENT), sys.executable, *command)


def steps(site: Site) -> list[tuple[str, str]]:
    """The steps of all runs of the service, in the order of their runs; a step whose process is gone, as such."""
    runs: list[dict[str, Any]] = sorted(site.receiver.runs(flow=site.flow), key=lambda run: str(run["startedAt"]))
    found = [step for run in runs for step in run["steps"]]
    return [(step["stepKey"], "gone" if step["liveness"] == "gone" else step["status"]) for step in found]


def wait_for(site: Site, *expected: tuple[str, str]) -> None:
    site.wait_for(lambda: steps(site) == list(expected), f"{expected}, but {steps(site)}")


def kill_running(site: Site) -> None:
    all_steps = [step for run in site.receiver.runs(flow=site.flow) for step in run["steps"]]
    [pid] = {step["process"]["pid"] for step in all_steps if step["status"] == "running"}
    kill(pid)


def test_a_route_of_django_is_a_step_and_gone_when_its_worker_is_killed(site: Site) -> None:
    site.variables["DJANGO_SETTINGS_MODULE"] = f"{UNAWARE}.django_shop"
    gunicorn = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket")
    server = start(site, "django", *gunicorn, "django.core.wsgi:get_wsgi_application()")
    url = said(site, server, r"(http://127\.0\.0\.1:\d+)")
    assert post(f"{url}/orders/17/charge") == "17"
    charge = "POST orders/<str:order>/charge"
    wait_for(site, (charge, "success"))
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, f"{url}/orders/18/charge?until={site.directory / 'never'}")
        wait_for(site, (charge, "success"), (charge, "running"))
        kill_running(site)
        wait_for(site, (charge, "success"), (charge, "gone"))
        assert answer.exception(30)


def test_a_task_of_celery_is_a_step_and_gone_when_its_process_is_killed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with open_redis(tmp_path / "redis") as broker:
        site.variables["BROKER"] = broker
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        start(site, "celery", "-m", "celery", "--app", f"{UNAWARE}.tasks", "worker", "--concurrency", "2", *quiet)
        code = f"from {UNAWARE}.tasks import ship; ship.delay('now'); ship.delay({str(tmp_path / 'never')!r})"
        assert site.start(sys.executable, "-c", code).wait() == 0
        site.wait_for(lambda: sorted(steps(site)) == [("ship", "running"), ("ship", "success")], "tasks")
        kill_running(site)
        site.wait_for(lambda: sorted(steps(site)) == [("ship", "gone"), ("ship", "success")], "task that is gone")


def test_a_method_of_grpc_is_a_step_and_gone_when_its_server_is_killed(site: Site, order: str) -> None:
    server = start(site, "grpc", str(EXAMPLES / "grpc_service.py"), "serve", "0")
    port = said(site, server, r"at 127\.0\.0\.1:(\d+)")
    run_example(site, "grpc_service.py", "call", port, order)
    whole = (("shop.Warehouse/Reserve", "success"), ("shop.Warehouse/Track", "success"))
    wait_for(site, *whole)
    site.start(sys.executable, str(EXAMPLES / "grpc_service.py"), "call", port, order, "--slow")
    wait_for(site, *whole, ("shop.Warehouse/Reserve", "running"))
    kill_running(site)
    wait_for(site, *whole, ("shop.Warehouse/Reserve", "gone"))
