"""What ``import failpath_otel`` loads: read in a fresh process, because this one has loaded everything already."""

import subprocess
import sys

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
