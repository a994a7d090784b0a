"""FastAPI, Celery and gunicorn as they are, started by ``opentelemetry-instrument`` with rules in a file: no code."""

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.integration.instrumented import INSTRUMENT
from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Program, Site

APPS: Final = "tests.integration.processes.apps.unaware"
RULES: Final = """
[[rules]]
flow = "$FLOW"
step = "charge-card"
span_name = "POST /charge"
scope = "opentelemetry.instrumentation.flask"
run_id = "http.request.header.x_request_id"

[[rules]]
flow = "$FLOW"
step = "accept-order"
span_name = "POST /orders/*"
scope = "opentelemetry.instrumentation.fastapi"

[[rules]]
flow = "$FLOW"
step = "ship-order"
span_name = "run/ship"
scope = "opentelemetry.instrumentation.celery"
"""
BY_HEADER: Final = RULES.replace('fastapi"\n', 'fastapi"\nrun_id = "http.request.header.x_request_id"\n')


@pytest.fixture
def broker(site: Site, tmp_path: Path) -> Iterator[str]:
    directory = tmp_path / "redis"
    directory.mkdir()
    with open_redis(directory) as url:
        site.variables["BROKER"] = url
        yield url


def use(site: Site, rules: str) -> None:
    """Sets what a user sets."""
    path = site.directory / "rules.toml"
    path.write_text(rules.replace("$FLOW", site.flow))
    site.variables |= {
        "FAILPATH_RULES": str(path),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-Request-Id",
    }
    site.variables.setdefault("BROKER", "redis://127.0.0.1:9/0")


def start_instrumented(site: Site, *module: str) -> Program:
    return site.start(str(INSTRUMENT), sys.executable, "-m", *module)


def start_api(site: Site) -> tuple[Program, str]:
    program = start_instrumented(site, "uvicorn", "--port", "0", f"{APPS}.api:app")
    said = r"running on (http://127\.0\.0\.1:\d+)"
    return program, site.wait_for(lambda: "".join(re.findall(said, program.output())), "uvicorn")


def start_worker(site: Site, pool: str = "prefork") -> Program:
    program = start_instrumented(
        site,
        *("celery", "--app", f"{APPS}.tasks", "worker", "--pool", pool, "--concurrency", "2"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"),
    )
    site.wait_for(lambda: " ready." in program.output(), "worker")
    return program


def post(url: str, run_id: str) -> tuple[int, str]:
    request = urllib.request.Request(url, method="POST", headers={"X-Request-Id": run_id})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def steps(site: Site, run_id: str) -> list[tuple[str, str]]:
    run = site.receiver.run(run_id, flow=site.flow)
    return [] if run is None else [(step["stepKey"], step["status"]) for step in run["steps"]]


def ended_steps(site: Site) -> list[str]:
    return sorted(event["stepKey"] for event in site.events() if event["status"] == "success")


def attempts(site: Site) -> set[str]:
    return {event["spanId"] for event in site.events()}


def nothing_was_said(site: Site) -> bool:
    return not [program.output() for program in site.programs if "Failpath" in program.output()]


def test_a_request_to_fastapi_is_one_step_running_while_it_runs(site: Site) -> None:
    use(site, BY_HEADER)
    api, url = start_api(site)
    go, never = site.directory / "go", site.directory / "never"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(post, f"{url}/orders/slow?until={go}", "req-1")
        second = pool.submit(post, f"{url}/orders/slow?until={never}", "req-2")
        for run_id in ("req-1", "req-2"):
            site.wait_for(lambda: steps(site, run_id) == [("accept-order", "running")], run_id)  # noqa: B023 - called at once
        assert post(f"{url}/orders/declined", "req-3")[0] == 500
        go.touch()
        assert first.result(30)[0] == 200
        site.wait_for(lambda: steps(site, "req-1") == [("accept-order", "success")], "end of the request")
        site.wait_for(lambda: steps(site, "req-3") == [("accept-order", "error")], "end of the request that fails")
        api.end()
        assert second.exception(30) is not None
    assert steps(site, "req-2") == [("accept-order", "running")]
    assert len(attempts(site)) == 3  # what is sent and received inside of a request has spans of its own
    [failed] = [event for event in site.events() if event["status"] == "error"]
    assert failed["error"] == {"name": "PermissionError", "message": "no goods, password=[redacted]"}
    assert nothing_was_said(site)


def test_a_task_of_celery_is_in_the_run_of_the_request_that_has_sent_it(site: Site, broker: str) -> None:
    use(site, RULES)
    start_worker(site)
    _, url = start_api(site)
    assert post(f"{url}/orders/ship", "req-1")[0] == 200

    ended = ["accept-order", "ship-order"]
    site.wait_for(lambda: ended_steps(site) == ended, "run of both services")
    [run] = site.receiver.runs(flow=site.flow)
    assert [step for step, _ in steps(site, run["runId"])] == ended
    assert len({event["process"]["pid"] for event in site.events()}) == 2
    assert {event["runId"] for event in site.events()} == {event["traceId"] for event in site.events()}
    assert nothing_was_said(site)


def test_tasks_of_celery_that_hold_that_fail_and_whose_process_dies(site: Site, broker: str) -> None:
    use(site, RULES)
    worker = start_worker(site)
    go = site.directory / "go"

    def send(way: str) -> None:
        code = f"from {APPS}.tasks import ship; ship.delay({way!r})"
        assert site.start(sys.executable, "-c", code).wait() == 0

    def told() -> list[str]:
        return sorted(event["status"] for event in site.events())

    send(str(go))
    site.wait_for(lambda: told() == ["running"], "task that runs")
    go.touch()
    site.wait_for(lambda: told() == ["running", "success"], "task that has ended")
    send("declined")
    site.wait_for(lambda: told() == ["error", *["running"] * 2, "success"], "task that has failed")
    send("vanish")
    site.wait_for(lambda: told() == ["error", *["running"] * 3, "success"], "task whose process is gone")
    [failed] = [event for event in site.events() if event["status"] == "error"]
    assert failed["error"] == {"name": "PermissionError", "message": "no lorry, password=[redacted]"}
    worker.process.terminate()
    worker.wait()
    assert len(attempts(site)) == 3
    assert told() == ["error", *["running"] * 3, "success"]
    assert nothing_was_said(site)


@pytest.mark.parametrize("preload", [True, False])
def test_each_worker_of_gunicorn_reports_its_requests(site: Site, preload: bool) -> None:
    use(site, RULES)
    go = site.directory / "go"
    program = start_instrumented(
        site,
        *("gunicorn", "--bind", "127.0.0.1:0", "--workers", "2", "--no-control-socket"),
        *(["--preload"] if preload else []),
        f"{APPS}.web:app",
    )
    said = r"Listening at: (http://127\.0\.0\.1:\d+)"
    url = site.wait_for(lambda: "".join(re.findall(said, program.output())), "gunicorn")
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(post, f"{url}/charge?until={go}", f"req-{number}") for number in range(2)]
        for number in range(2):
            site.wait_for(lambda: steps(site, f"req-{number}") == [("charge-card", "running")], "request")  # noqa: B023
        go.touch()
        pids = {answer.result(30)[1] for answer in answers}
    for number in range(2):
        site.wait_for(lambda: steps(site, f"req-{number}") == [("charge-card", "success")], "end")  # noqa: B023 - as above
    assert len(pids) == 2
    assert {str(event["process"]["pid"]) for event in site.events()} == pids
    program.process.terminate()
    assert program.wait() == 0
    assert len(site.events()) == 4
    assert nothing_was_said(site)


def test_a_worker_of_gevent_reports_the_requests_that_it_takes_at_the_same_time(site: Site) -> None:
    use(site, RULES)
    go = site.directory / "go"
    program = start_instrumented(
        site,
        *("gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "gevent", "--no-control-socket", f"{APPS}.web:app"),
    )
    said = r"Listening at: (http://127\.0\.0\.1:\d+)"
    url = site.wait_for(lambda: "".join(re.findall(said, program.output())), "gunicorn")
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(post, f"{url}/charge?until={go}", f"req-{number}") for number in range(2)]
        for number in range(2):
            site.wait_for(lambda: steps(site, f"req-{number}") == [("charge-card", "running")], "request")  # noqa: B023
        go.touch()
        assert len({answer.result(30) for answer in answers}) == 1
    for number in range(2):
        site.wait_for(lambda: steps(site, f"req-{number}") == [("charge-card", "success")], "end")  # noqa: B023 - as above
    program.process.terminate()
    assert program.wait() == 0
    assert len(site.events()) == 4
    assert nothing_was_said(site)


def test_a_worker_of_celery_on_gevent_reports_the_tasks_that_it_runs_at_the_same_time(site: Site, broker: str) -> None:
    use(site, RULES)
    # Without it Celery is imported, to be instrumented, before it patches; then it runs no task, with us or without.
    site.variables["OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH"] = "patch_all"
    worker = start_worker(site, "gevent")
    go = site.directory / "go"
    code = f"from {APPS}.tasks import ship; [ship.delay({str(go)!r}) for _ in range(2)]; ship.delay('declined')"
    assert site.start(sys.executable, "-c", code).wait() == 0

    def told() -> list[str]:
        return sorted(event["status"] for event in site.events())

    # One task begins when another has ended, while the delivery goes on: the pool has two greenlets.
    site.wait_for(lambda: told() == ["running"] * 2, "tasks that run")
    go.touch()
    site.wait_for(lambda: told() == ["error", *["running"] * 3, *["success"] * 2], "tasks that have ended")
    worker.process.terminate()
    assert worker.wait() == 0
    assert len(attempts(site)) == 3
    assert nothing_was_said(site)
