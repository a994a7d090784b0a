"""What ``import failpath_otel`` loads: read in a fresh process, because this one has loaded everything already."""

import subprocess
import sys

import pytest

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


def test_opening_spans_alone_loads_nothing_that_delivers() -> None:
    steps = loaded_by("failpath_otel.steps.client") - loaded_by("opentelemetry.sdk.trace.export")
    assert "failpath_otel.steps.client" in steps
    assert not {"requests", "asyncio", "msgspec", "failpath_otel.spans.reporter"} & steps
