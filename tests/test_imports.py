"""What ``import failpath_otel`` and the servers load: in fresh processes, because this one has loaded everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.delivery.programs import succeed
from tests.fault_server import FaultServer

pytestmark = pytest.mark.process

_LOADED = "import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"


def loaded_by(module: str) -> set[str]:
    """The modules that a fresh interpreter has loaded once it has imported ``module``."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(module=module)], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    # What OpenTelemetry loads by itself differs between its versions, and is not for us to say.
    found = loaded_by("failpath_otel") - loaded_by("opentelemetry.sdk.trace.export")
    assert "failpath_otel.configure" in found
    return found


@pytest.mark.parametrize(
    "unwanted",
    [
        "requests",
        "urllib3",
        "http.client",
        "ssl",
        "hashlib",
        "asyncio",
        "msgspec",
        "starlette",
        "uvicorn",
        "anyio",
        "platformdirs",
        "pytest",
        "failpath_otel.local",
        "failpath_otel.cli.main",
        "failpath_otel.delivery.http.client",
        "failpath_otel.spans.processor",
        "failpath_otel.spans.exporter",
        "failpath_otel.private_tracer_provider",
    ],
)
def test_the_import_does_not_load_what_only_its_use_needs(loaded: set[str], unwanted: str) -> None:
    assert {name for name in loaded if f"{name}.".startswith(f"{unwanted}.")} == set()


_DELIVERING = """
import sys
import failpath_otel
client = failpath_otel.configure()
client.run("checkout").skip("pack")
assert client.flush(20)
print(*sorted({"requests", "urllib3", "certifi", "gevent"} & set(sys.modules)), flush=True)
print("end", flush=True)
"""


@pytest.mark.usefixtures("real_starts")
@pytest.mark.parametrize(
    ("variables", "loaded"),
    [
        ({}, ""),
        ({"NO_PROXY": "*"}, ""),
        ({"http_proxy": "http://127.0.0.1:9", "NO_PROXY": "*"}, "certifi requests urllib3"),
    ],
    ids=["no proxy", "NO_PROXY alone", "a proxy"],
)
def test_a_delivery_loads_requests_only_where_a_variable_names_a_proxy(
    server: FaultServer, variables: dict[str, str], loaded: str
) -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "")
    assert succeed(_DELIVERING, server.url, **{**proxies, **variables}).lines == [loaded, "end"]


def test_opening_spans_alone_loads_nothing_that_delivers() -> None:
    steps = loaded_by("failpath_otel.steps.client") - loaded_by("opentelemetry.sdk.trace.export")
    assert "failpath_otel.steps.client" in steps
    assert not {"requests", "asyncio", "msgspec", "failpath_otel.spans.reporter"} & steps


def test_the_import_does_not_load_the_sdk_which_a_provider_brings_or_configure_loads() -> None:
    assert not {name for name in loaded_by("failpath_otel") if name.startswith("opentelemetry.sdk")}
    named = loaded_by("failpath_otel; failpath_otel.FailpathSpanProcessor; failpath_otel.FailpathSpanExporter")
    assert "opentelemetry.sdk.trace" in named


_SERVES = """
import sys
from failpath_otel.cli.main import main

class Out:
    def write(self, text):
        if " at http" in text:
            raise KeyboardInterrupt
    def flush(self): pass
    def isatty(self): return False

sys.stdout = Out()
code = main()
sys.stderr.write(f"{code}\\n" + " ".join(sys.modules))
"""


def loaded_to_serve(command: str, directory: Path, *arguments: str) -> set[str]:
    """The modules that a server has loaded when it says that it listens."""
    variables = {
        "FAILPATH_PROJECT_KEY": "fp_project_x",
        "FAILPATH_DEV_ENDPOINT": "http://127.0.0.1:9",
        "FAILPATH_JOURNAL": str(directory / "journal"),
    }
    done = subprocess.run(
        [sys.executable, "-c", _SERVES, command, "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **variables},
    )
    code, _, modules = done.stderr.partition("\n")
    assert code == "0", done.stderr
    return set(modules.split())


def test_a_gateway_that_listens_has_loaded_nothing_that_only_a_request_or_another_command_needs(tmp_path: Path) -> None:
    loaded = loaded_to_serve("gateway", tmp_path)
    assert "failpath_otel.gateway.server" in loaded
    unwanted = (
        "google",
        "opentelemetry.proto",
        "opentelemetry.sdk",
        "sqlite3",
        "failpath_otel.cli.local_client",
        "failpath_otel.local.",
    )
    assert {name for name in loaded if f"{name}.".startswith(unwanted)} <= {
        "google",  # the folder, which shows that protobuf is there
        "opentelemetry.proto",
        *("failpath_otel.local", "failpath_otel.local.store", "failpath_otel.local.store.defaults"),
    }
    assert "failpath_otel.otlp.json" not in loaded


def test_a_local_receiver_that_listens_has_loaded_nothing_that_delivers(tmp_path: Path) -> None:
    loaded = loaded_to_serve("local", tmp_path, "--db", str(tmp_path / "runs.db"))
    assert "failpath_otel.local.server" in loaded
    unwanted = ("google", "opentelemetry.proto", "opentelemetry.sdk", "requests", "urllib3", "urllib.request")
    assert {name for name in loaded if f"{name}.".startswith(tuple(f"{each}." for each in unwanted))} == set()
    assert not {"failpath_otel.delivery.pipeline", "failpath_otel.spans.reporter", "failpath_otel.otlp.json"} & loaded


def test_a_gateway_says_at_its_start_that_protobuf_is_missing() -> None:
    program = """
import sys
from importlib import util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name == "google.protobuf" else find(name, *rest)
from failpath_otel.cli.main import main
sys.exit(main(["gateway"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        'failpath-otel: the gateway is an extra; install it with: pip install "failpath-otel[gateway]"\n',
    )
