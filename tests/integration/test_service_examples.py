"""The examples of services, run as they stand: by the servers that their docstrings name, on free ports."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.processes.redis_server import open_redis
from tests.integration.test_examples import EXAMPLES, at, run_example, run_of, statuses
from tests.receiver import COMMAND, Receiver, start_receiver, wait_for


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with start_receiver(tmp_path / "local.db") as started:
        yield started


@contextmanager
def serving(log: Path, ready: str, *command: str, **environment: str) -> Generator[str, None, None]:
    """Starts a server as a docstring does, yields what ``ready`` finds in its output, and ends it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=EXAMPLES.parent,
            env=kept | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def found() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return re.search(ready, log.read_text())

    try:
        match = wait_for(found, 30, f"{command} is not ready")
        assert match is not None
        yield match[0]
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()


def post(url: str, **headers: str) -> Any:
    request = urllib.request.Request(url, b"", {name.replace("_", "-"): value for name, value in headers.items()})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return json.load(response)


def ended(receiver: Receiver, run_id: str, count: int) -> dict[str, Any]:
    """The run, once it has ``count`` steps that have ended."""

    def whole() -> dict[str, Any]:
        run = receiver.run(run_id)
        return run if run is not None and len(run["steps"]) == count and run["status"] != "running" else {}

    return wait_for(whole, 20)


def test_the_flask_service_goes_on_with_the_run_of_its_caller_or_begins_one(receiver: Receiver, tmp_path: Path) -> None:
    command = ("flask", "--app", "examples/flask_service.py", "run", "--port", "0")
    with serving(tmp_path / "log", r"http://127\.0\.0\.1:\d+", *command, **at(receiver)) as url:
        answer = post(f"{url}/orders", failpath_flow_key="web-shop", failpath_run_id="order-17")
        begun = post(f"{url}/orders")["run"]
        assert answer == {"run": "order-17", "charge": "ch_4999"}
        for run_id, flow in (("order-17", "web-shop"), (begun, "checkout")):
            run = ended(receiver, run_id, 2)
            assert (run["flowKey"], statuses(run)) == (flow, {"price-cart": "success", "charge-card": "success"})


@pytest.mark.parametrize("forged", ["x" * 201, "order%0D%0A17", "order-17,order-18", "\xfc"])
def test_the_flask_service_serves_who_forges_a_run_id_and_gives_the_run_another_one(
    receiver: Receiver, tmp_path: Path, forged: str
) -> None:
    command = ("flask", "--app", "examples/flask_service.py", "run", "--port", "0")
    with serving(tmp_path / "log", r"http://127\.0\.0\.1:\d+", *command, **at(receiver)) as url:
        run_id = post(f"{url}/orders", failpath_flow_key="web-shop", failpath_run_id=forged)["run"]
        assert re.fullmatch("[0-9a-f]{32}", run_id)
        assert ended(receiver, run_id, 2)["flowKey"] == "web-shop"
    assert (tmp_path / "log").read_text().count("a run id from another process is refused") == 1


def test_the_fastapi_service_calls_its_warehouse_in_the_same_run(receiver: Receiver, tmp_path: Path) -> None:
    command = ("uvicorn", "--app-dir", "examples", "fastapi_service:app", "--port", "0")
    address = r"http://127\.0\.0\.1:\d+"
    with (
        serving(tmp_path / "warehouse.log", address, *command, **at(receiver)) as warehouse,
        serving(tmp_path / "log", address, *command, **at(receiver), WAREHOUSE_URL=warehouse) as url,
    ):
        assert post(f"{url}/orders/order-17") == {"run": "order-17", "shelf": "B-7"}
    # They have ended, and delivered what there was.
    run = run_of(receiver, "order-17")
    assert (run["flowKey"], statuses(run)) == (
        "fulfilment",
        {"call-warehouse": "success", "reserve-stock": "success"},
    )
    assert run["steps"][0]["metadata"] == {"status": 200}


def test_the_celery_task_goes_on_with_the_run_of_who_has_asked_for_it(receiver: Receiver, tmp_path: Path) -> None:
    command = ("celery", "--workdir", "examples", "--app", "celery_tasks", "worker", "--concurrency", "1")
    (tmp_path / "redis").mkdir()
    with open_redis(tmp_path / "redis") as broker:
        environment = {**at(receiver), "CELERY_BROKER_URL": broker}
        with serving(tmp_path / "log", r" ready\.", *command, "--loglevel", "INFO", **environment):
            out = run_example("celery_tasks.py", "order-17", **environment)
            run = ended(receiver, "order-17", 3)
    assert out == "Asked for the receipt of order-17.\n"
    assert run["flowKey"] == "checkout"
    assert statuses(run) == {"order-receipt": "success", "render-receipt": "success", "send-mail": "success"}
    mail = next(step for step in run["steps"] if step["stepKey"] == "send-mail")
    assert mail["metadata"] == {"attempt": 0, "characters": 23}


def test_the_lambda_function_ships_when_it_is_called_by_hand(receiver: Receiver) -> None:
    assert run_example("aws_lambda.py", "order-17", **at(receiver)) == "{'batchItemFailures': []}\n"
    run = run_of(receiver, "order-17")
    assert (run["flowKey"], statuses(run)) == ("checkout", {"print-label": "success", "hand-over": "success"})


@contextmanager
def program(code: str, receiver: Receiver, **environment: str) -> "Generator[subprocess.Popen[str], None, None]":
    """Starts a program that has the example as a module; kills what is left of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL"))}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=EXAMPLES,
        env=kept | at(receiver) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_frozen(process: "subprocess.Popen[str]") -> None:
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def printed(process: "subprocess.Popen[str]") -> str:
    """What the program has printed, once it has ended well."""
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 0, text
    return text


LAMBDA: Final = """
import os, signal
from aws_lambda import delivers, failpath, handler, queued


class Context:
    def __init__(self, seconds):
        self.get_remaining_time_in_millis = lambda: int(seconds * 1000)


def freeze():
    os.kill(os.getpid(), signal.SIGSTOP)


messages = [queued("order-17", "1 High Street"), queued("order-18", "")]
"""

FROZEN: Final = """
print(handler({"Records": messages}, Context(3)))
freeze()
failpath.run("checkout", run_id="order-19").step("thawed", lambda: None)
handler({"Records": []}, Context(3))
freeze()
"""


def test_the_lambda_function_has_delivered_all_steps_whenever_it_is_frozen(receiver: Receiver) -> None:
    with program(LAMBDA + FROZEN, receiver) as process:
        wait_until_frozen(process)
        assert statuses(run_of(receiver, "order-17")) == {"print-label": "success", "hand-over": "success"}
        assert statuses(run_of(receiver, "order-18")) == {"print-label": "error"}
        process.send_signal(signal.SIGCONT)
        wait_until_frozen(process)
        assert statuses(run_of(receiver, "order-19")) == {"thawed": "success"}
        process.send_signal(signal.SIGCONT)
        assert "{'batchItemFailures': [{'itemIdentifier': 'message of order-18'}]}" in printed(process)


RAISING: Final = """
@delivers
def raising(event, context):
    failpath.run("checkout", run_id="order-17").step("print-label", lambda: 1 / 0)


try:
    raising({}, Context(3))
except ZeroDivisionError:
    freeze()
"""


def test_a_lambda_function_that_raises_has_delivered_its_steps_when_it_is_frozen(receiver: Receiver) -> None:
    with program(LAMBDA + RAISING, receiver) as process:
        wait_until_frozen(process)
        assert statuses(run_of(receiver, "order-17")) == {"print-label": "error"}


LATE: Final = """
flush, waits = failpath.flush, []
failpath.flush = lambda timeout: waits.append(round(timeout, 3)) or flush(timeout)
for seconds in (60, 0.8, 0.2):
    assert handler({"Records": messages[:1]}, Context(seconds)) == {"batchItemFailures": []}
print(waits)
"""


def test_a_lambda_function_answers_before_its_time_is_over_where_nothing_can_be_delivered(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        away = {"FAILPATH_DEV_ENDPOINT": f"http://127.0.0.1:{gone.getsockname()[1]}"}
    with program(LAMBDA + LATE, receiver, **away, FAILPATH_THROW_ON_SEND_ERROR="true") as process:
        assert "[1.0, 0.3, 0.0]" in printed(process).splitlines()


# Somewhere it is always another day than in Greenwich.
@pytest.mark.parametrize(("zone", "hours"), [("EAST-14", 14), ("WEST+12", -12)])
def test_the_nightly_job_has_delivered_its_run_when_it_ends(receiver: Receiver, zone: str, hours: int) -> None:
    here = timezone(timedelta(hours=hours))
    before = datetime.now(here)
    assert run_example("cron_job.py", **at(receiver), TZ=zone) == "3 sales, 65.49 in all.\n"
    [run] = receiver.runs()
    assert run["runId"] in {f"{moment:%Y-%m-%d}" for moment in (before, datetime.now(here))}
    assert statuses(run) == {"load-sales": "success", "write-report": "success"}


FAILING: Final = """
import cron_job

def flush(timeout):
    print("flushed" if deliver(timeout) else "not flushed")
    return True

deliver, cron_job.failpath.flush = cron_job.failpath.flush, flush
cron_job.write_report = cron_job.failpath.step("write-report")(lambda _: 1 / 0)
try:
    cron_job.main()
except ZeroDivisionError:
    print("failed")
"""


def test_a_nightly_job_that_fails_delivers_its_run_too(receiver: Receiver) -> None:
    with program(FAILING, receiver) as process:
        assert printed(process).splitlines() == ["flushed", "failed"]
    [run] = receiver.runs()
    assert statuses(run) == {"load-sales": "success", "write-report": "error"}


def test_what_a_killed_nightly_job_has_left_is_delivered_by_the_second_command_of_its_line(receiver: Receiver) -> None:
    killed = "import builtins, os, cron_job; builtins.print = lambda _: os.kill(os.getpid(), 9); cron_job.main()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL"))}
    environment = kept | at(receiver)
    job = subprocess.run([sys.executable, "-c", killed], cwd=EXAMPLES, env=environment, check=False, timeout=30)
    assert job.returncode == -signal.SIGKILL

    drained = subprocess.run([*COMMAND, "drain", "--timeout", "60"], env=environment, check=False, capture_output=True)
    assert drained.returncode == 0, drained.stderr
    [run] = receiver.runs()
    assert statuses(run) == {"load-sales": "success", "write-report": "running"}
