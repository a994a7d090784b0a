"""The start without code: a program that knows nothing of us, started by ``opentelemetry-instrument``."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fault_server import FaultServer
from tests.integration.instrumented import KEY, RULES, SHOP, environment, run_instrumented, serving_shop
from tests.receiver import Receiver, start_receiver, wait_for

pytestmark = pytest.mark.process

ROOT: Final = Path(__file__).parents[2]
ANSWERED: Final = "200\n500\n"
STORY: Final = [
    *(("req-1", "charge-card", "running"), ("req-1", "save-payment", "running")),
    *(("req-1", "save-payment", "success"), ("req-1", "charge-card", "success")),
    *(("req-2", "charge-card", "running"), ("req-2", "charge-card", "error")),
]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with start_receiver(tmp_path / "local.db") as started:
        yield started


def given(tmp_path: Path, url: str, **more: str) -> dict[str, str]:
    """What a user sets: the key, the rules, and here the endpoint."""
    ours = {"FAILPATH_PROJECT_KEY": KEY, "FAILPATH_DEV_ENDPOINT": url, "FAILPATH_RULES": str(RULES)}
    return environment(tmp_path / "journal", **{**ours, **more})


def told(server: FaultServer) -> list[tuple[str, str, str]]:
    return [(event["runId"], event["stepKey"], event["status"]) for event in server.events]


def at_the_end(server: FaultServer) -> set[tuple[str, str]]:
    return {(event["stepKey"], event["status"]) for event in server.events}


def test_the_requests_of_an_instrumented_program_are_runs_on_the_receiver(tmp_path: Path, receiver: Receiver) -> None:
    done = run_instrumented(SHOP, given(tmp_path, receiver.url))
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWERED, "")
    run = wait_for(lambda: receiver.run("req-1") or {})
    assert [(step["stepKey"], step["status"]) for step in run["steps"]] == [
        ("charge-card", "success"),
        ("save-payment", "success"),
    ]
    failed = wait_for(lambda: receiver.run("req-2") or {})
    [step] = failed["steps"]
    assert (step["status"], failed["status"]) == ("error", "error")


def test_each_record_is_sent_once_in_order_and_without_secrets(tmp_path: Path, server: FaultServer) -> None:
    assert run_instrumented(SHOP, given(tmp_path, server.url)).stdout == ANSWERED
    assert told(server) == STORY
    assert server.events[-1]["error"] == {
        "name": "PermissionError",
        "message": "the bank declined the card, password=[redacted]",
    }
    assert all(event["metadata"] == {} for event in server.events)


def test_a_request_is_running_while_it_runs_and_stays_so_when_its_process_is_killed(
    tmp_path: Path, receiver: Receiver
) -> None:
    def charge(url: str, run_id: str, until: Path) -> int:
        query = f"?until={until}"
        request = urllib.request.Request(f"{url}/charge{query}", method="POST", headers={"X-Request-Id": run_id})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return int(answer.status)

    def status(run_id: str) -> dict[str, str]:
        run = receiver.run(run_id)
        return {} if run is None else {step["stepKey"]: step["status"] for step in run["steps"]}

    go, never = tmp_path / "go", tmp_path / "never"
    with serving_shop(given(tmp_path, receiver.url)) as (process, url), ThreadPoolExecutor() as pool:
        first, second = (pool.submit(charge, url, *each) for each in (("req-7", go), ("req-8", never)))
        for run_id in ("req-7", "req-8"):
            assert wait_for(lambda: status(run_id)) == {"charge-card": "running"}  # noqa: B023 - called at once
        go.touch()
        assert first.result(30) == 200
        ended = {"charge-card": "success", "save-payment": "success"}
        assert wait_for(lambda: status("req-7") == ended)
        process.send_signal(signal.SIGKILL)
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            second.result(30)
    assert status("req-8") == {"charge-card": "running"}


def test_steps_in_the_code_of_the_program_join_the_same_provider(tmp_path: Path, server: FaultServer) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import failpath_otel\n"
        "from opentelemetry import trace\n"
        "failpath = failpath_otel.Failpath()\n"
        "with failpath.run('checkout', run_id='order-1') as run:\n"
        "    run.step('pack', lambda: None)\n"
        "    with trace.get_tracer('opentelemetry.instrumentation.sqlalchemy').start_as_current_span('INSERT x'):\n"
        "        pass\n"
    )
    done = run_instrumented(program, given(tmp_path, server.url))
    assert (done.returncode, done.stderr) == (0, "")
    assert told(server) == [
        *(("order-1", "pack", "running"), ("order-1", "pack", "success")),
        *(("order-1", "save-payment", "running"), ("order-1", "save-payment", "success")),
    ]


def test_configure_in_the_code_of_the_program_changes_the_options_and_reports_once(
    tmp_path: Path, server: FaultServer
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import failpath_otel\n"
        "failpath = failpath_otel.configure(default_metadata={'release': '7'})\n"
        "failpath.run('checkout', run_id='order-1').step('pack', lambda: None)\n"
        "print(failpath.flush())\n"
    )
    done = run_instrumented(program, given(tmp_path, server.url))
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert [(event["status"], event["metadata"]) for event in server.events] == [
        ("running", {"release": "7"}),
        ("success", {"release": "7"}),
    ]


@pytest.mark.parametrize("exporter", ["none", "console"])
@pytest.mark.parametrize("key", ["", " "])
def test_without_a_key_nothing_happens_and_nothing_is_said(
    tmp_path: Path, server: FaultServer, exporter: str, key: str
) -> None:
    env = given(tmp_path, server.url, FAILPATH_PROJECT_KEY=key, OTEL_TRACES_EXPORTER=exporter)
    done = run_instrumented(SHOP, env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("200\n")
    assert not (tmp_path / "journal").exists()
    assert server.requests == []


def test_rules_without_the_variable_of_the_key_are_one_line(tmp_path: Path, server: FaultServer) -> None:
    env = given(tmp_path, server.url)
    del env["FAILPATH_PROJECT_KEY"]
    done = run_instrumented(SHOP, env)
    assert (done.returncode, done.stdout) == (0, ANSWERED)
    assert done.stderr == ("Failpath: no steps are reported: FAILPATH_RULES is set, and FAILPATH_PROJECT_KEY is not\n")
    assert server.requests == []


def test_the_disabled_instrumentations_can_name_ours(tmp_path: Path, server: FaultServer) -> None:
    env = given(tmp_path, server.url, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="requests , failpath")
    done = run_instrumented(SHOP, env)
    assert (done.stdout, done.stderr) == (ANSWERED, "")
    assert server.requests == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"FAILPATH_RULES": "no-such.toml"}, "FAILPATH_RULES: no-such.toml cannot be read: No such file or directory"),
        ({"FAILPATH_SEND_TIMEOUT": "soon"}, "FAILPATH_SEND_TIMEOUT must be a number of seconds"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
@pytest.mark.parametrize("exporters", ["console", "console,failpath"])
def test_bad_input_wrong_options_are_said_and_the_program_and_its_other_exporters_go_on(
    tmp_path: Path, server: FaultServer, wrong: dict[str, str], says: str, exporters: str
) -> None:
    done = run_instrumented(SHOP, given(tmp_path, server.url, OTEL_TRACES_EXPORTER=exporters, **wrong))
    assert done.returncode == 0
    assert done.stdout.startswith(ANSWERED[:4])
    assert '"name": "POST /charge"' in done.stdout
    lines = done.stderr.splitlines()
    assert f"Failpath: no steps are reported: {says}" in lines[-1]
    assert len(lines) == exporters.count(",") + 1
    assert server.requests == []


def test_the_spans_of_the_program_are_what_they_are_without_us(tmp_path: Path, server: FaultServer) -> None:
    def names(**more: str) -> list[str]:
        done = run_instrumented(SHOP, given(tmp_path, server.url, OTEL_TRACES_EXPORTER="console", **more))
        return sorted(line.strip() for line in done.stdout.splitlines() if '"name"' in line or '"http.' in line)

    assert names() == names(FAILPATH_PROJECT_KEY="")
    assert told(server) == STORY


def test_the_end_tells_which_spans_there_were_where_no_rule_has_matched_any(
    tmp_path: Path, server: FaultServer
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.read_text().replace("POST /", "POST /no-such-").replace("INSERT", "UPSERT"))
    done = run_instrumented(SHOP, given(tmp_path, server.url, FAILPATH_RULES=str(rules)))
    assert (done.returncode, done.stdout) == (0, ANSWERED)
    [line] = done.stderr.splitlines()
    assert line.startswith("Failpath: no rule has matched a span of this process. There were: ")
    assert "'POST /charge' of scope 'opentelemetry.instrumentation.flask'" in line
    assert server.requests == []


def test_without_a_provider_one_line_says_so(tmp_path: Path, server: FaultServer) -> None:
    done = run_instrumented(SHOP, given(tmp_path, server.url, OTEL_PYTHON_CONFIGURATOR="none-such"))
    assert done.stdout == ANSWERED
    assert "Failpath: OpenTelemetry has no tracer provider of its SDK yet" in done.stderr
    assert server.requests == []


def test_the_lines_of_the_readme_are_all_that_is_needed(tmp_path: Path, server: FaultServer) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## No code\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\$ (.*)$", section, re.MULTILINE)
    rules = re.search(r"^```toml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert rules is not None
    assert [line.partition(" ")[0] for line in lines] == ["pip", "export", "opentelemetry-instrument"]
    (tmp_path / "rules.toml").write_text(rules[1])
    (tmp_path / "app.py").write_text(
        "from flask import Flask\n"
        "app = Flask(__name__)\n"
        "app.post('/charge')(lambda: 'charged')\n"
        "print(app.test_client().post('/charge').text)\n"
    )
    env = environment(tmp_path / "journal", FAILPATH_DEV_ENDPOINT=server.url)
    for name in [name for name in env if name.startswith("OTEL")]:
        del env[name]
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines[1:])],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "charged\n", "")
    assert [(event["flowKey"], event["stepKey"], event["status"]) for event in server.events] == [
        ("checkout", "charge-card", "running"),
        ("checkout", "charge-card", "success"),
    ]


# The exporter.


def test_the_exporter_named_by_its_variable_sends_both_records_when_a_span_has_ended(
    tmp_path: Path, server: FaultServer
) -> None:
    off = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "failpath"}
    done = run_instrumented(SHOP, given(tmp_path, server.url, OTEL_TRACES_EXPORTER="failpath", **off))
    assert (done.stdout, done.stderr) == (ANSWERED, "")
    assert at_the_end(server) == {(step, status) for _, step, status in STORY}
    assert len(server.events) == len(STORY)


def test_exporter_and_processor_together_report_once_and_live(tmp_path: Path, server: FaultServer) -> None:
    done = run_instrumented(SHOP, given(tmp_path, server.url, OTEL_TRACES_EXPORTER="failpath"))
    assert (done.stdout, done.stderr) == (ANSWERED, "")
    assert told(server) == STORY  # in the order of the processor


def test_an_exporter_without_a_key_says_so_once_and_sends_nothing(tmp_path: Path, server: FaultServer) -> None:
    env = given(tmp_path, server.url, OTEL_TRACES_EXPORTER="failpath", FAILPATH_PROJECT_KEY="")
    done = run_instrumented(SHOP, env)
    assert done.stdout == ANSWERED
    assert done.stderr == (
        "Failpath: the exporter failpath sends nothing: the project key is missing: pass project_key=, or set"
        " FAILPATH_PROJECT_KEY\n"
    )


# OpenTelemetry's configuration file.

CONFIGURABLE: Final = any(
    importlib.util.find_spec(name) is not None
    for name in ("opentelemetry.configuration", "opentelemetry.sdk._configuration._sdk")
)
"""SDK 1.43 reads the file by itself; from 1.44 on the package opentelemetry-configuration does."""

with_configuration: Final = pytest.mark.skipif(not CONFIGURABLE, reason="nothing here reads OTEL_CONFIG_FILE")


def configured(tmp_path: Path, server: FaultServer, text: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "otel.yaml"
    path.write_text(text.replace("$URL", server.url).replace("$RULES", str(RULES)))
    env = given(tmp_path, server.url, OTEL_CONFIG_FILE=str(path), **more)
    for name in ("FAILPATH_DEV_ENDPOINT", "FAILPATH_RULES", *(() if more.get("FAILPATH_PROJECT_KEY") else (KEY_NAME,))):
        env.pop(name, None)
    return run_instrumented(SHOP, env)


KEY_NAME: Final = "FAILPATH_PROJECT_KEY"
EXPORTER: Final = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          failpath:
            project_key: fp_project_yaml
            endpoint: $URL
            rules: $RULES
propagator:
  composite:
    - tracecontext: {}
    - baggage: {}
"""


@with_configuration
@pytest.mark.parametrize("live", [True, False])
def test_the_configuration_file_names_the_exporter_with_its_options(
    tmp_path: Path, server: FaultServer, live: bool
) -> None:
    off = {} if live else {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "failpath"}
    done = configured(tmp_path, server, EXPORTER, **off)
    assert done.stdout == ANSWERED, done.stderr
    assert "Failpath" not in done.stderr
    assert len(server.events) == len(STORY)
    if live:  # by the processor, which has the options of the exporter
        assert told(server) == STORY
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer fp_project_yaml"}


PROCESSOR: Final = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          console: {}
propagator:
  composite:
    - tracecontext: {}
    - baggage: {}
instrumentation/development:
  python:
    failpath:
      project_key: ${OUR_KEY:-fp_project_yaml}
      endpoint: $URL
      rules: $RULES
"""


@with_configuration
@pytest.mark.parametrize("variable", ["", "fp_project_variable"])
def test_the_configuration_file_names_the_processor_with_its_options(
    tmp_path: Path, server: FaultServer, variable: str
) -> None:
    done = configured(tmp_path, server, PROCESSOR, OUR_KEY=variable)
    assert done.stdout.startswith("200\n"), done.stderr
    assert "Failpath" not in done.stderr
    assert told(server) == STORY
    keys = {request.headers["authorization"] for request in server.requests}
    assert keys == {f"Bearer {variable or 'fp_project_yaml'}"}


@with_configuration
def test_bad_input_options_in_the_configuration_file_that_cannot_work_are_one_line(
    tmp_path: Path, server: FaultServer
) -> None:
    done = configured(tmp_path, server, PROCESSOR.replace("rules:", "colour:"))
    assert done.stdout.startswith("200\n"), done.stderr
    assert [line for line in done.stderr.splitlines() if "Failpath" in line] == [
        "Failpath: no steps are reported: configure() got an unexpected keyword argument 'colour'"
    ]
    assert server.requests == []


# What loaders do with it.

LOADED: Final = """
import sys
from failpath_otel.instrumentor import FailpathInstrumentor
one = FailpathInstrumentor()
one.instrument({arguments})
one.instrument(skip_dep_check=True)
print(one is FailpathInstrumentor(), one.is_instrumented_by_opentelemetry, *one.instrumentation_dependencies())
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{"requests", "msgspec", "asyncio", "starlette"}}))
one.uninstrument()
print(one.is_instrumented_by_opentelemetry)
"""


def loaded(arguments: str, env: dict[str, str]) -> Any:
    code = LOADED.format(arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_loader_that_has_no_key_for_it_loads_nothing_that_delivers(tmp_path: Path) -> None:
    done = loaded("", environment(tmp_path / "journal"))
    assert (done.stdout, done.stderr) == ("True False\n\nFalse\n", "")


def test_a_loader_can_hand_over_options(tmp_path: Path, server: FaultServer) -> None:
    arguments = f"project_key='fp_project_x', endpoint={server.url!r}, skip_dep_check=True"
    done = loaded(arguments, environment(tmp_path / "journal"))
    assert done.stdout.splitlines()[0] == "True True"
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("wrong", ["colour=1", "send_timeout='soon'", "rules=7", "endpoint='http://a:b@127.0.0.1'"])
def test_bad_input_options_of_a_loader_that_cannot_work_are_one_line(tmp_path: Path, wrong: str) -> None:
    done = loaded(f"project_key='fp_project_secret', {wrong}", environment(tmp_path / "journal"))
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert line.startswith("Failpath: no steps are reported: ")
    assert wrong.partition("=")[0] in line
    assert "fp_project_secret" not in line
