"""Programs that are started by ``opentelemetry-instrument``, with an environment of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
INSTRUMENT: Final = Path(sys.executable).with_name("opentelemetry-instrument")
SHOP: Final = HERE / "shop.py"
RULES: Final = HERE / "shop.toml"
KEY: Final = "fp_project_no_code"


def command(program: Path, *arguments: str) -> list[str]:
    """Starts ``program`` as a user would by ``opentelemetry-instrument python program``."""
    return [str(INSTRUMENT), sys.executable, str(program), *arguments]


def environment(journal: Path, **more: str) -> dict[str, str]:
    """Nothing set by whoever runs the tests; OpenTelemetry exports nothing, and captures the header of a request."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL"))}
    return {
        **inherited,
        "FAILPATH_JOURNAL": str(journal),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-Request-Id",
        **more,
    }


def run_instrumented(program: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs ``program`` to its end."""
    return subprocess.run(command(program), env=env, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def serving_shop(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The shop as a server, and its URL."""
    with subprocess.Popen(command(SHOP, "serve"), env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
