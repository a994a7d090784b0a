"""A shop in Python that sends by gRPC, in a process of its own: gRPC has threads, and the processes of tests fork."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]

STEPS: Final = {"validate": ["running", "success"], "charge": ["running", "error"], "receipt": ["skipped"]}

_UNTOUCHED: Final = """
import sys
import failpath_otel

run = failpath_otel.Failpath().run("checkout", run_id=sys.argv[1])
run.step("validate", lambda: None)
try:
    run.step("charge", lambda: 1 / 0)
except ZeroDivisionError:
    run.skip("receipt")
"""
_EXPORT: Final = """
import json, sys, time
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import failpath_otel

kept = InMemorySpanExporter()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(kept))
failpath_otel.Failpath(tracer_provider=provider).run("checkout", run_id=sys.argv[1]).step("charge", lambda: None)
exporter = OTLPSpanExporter()
began = time.monotonic()
taken = exporter.export(kept.get_finished_spans()).name
print(json.dumps({"taken": taken, "seconds": time.monotonic() - began}))
exporter.shutdown()
"""


@dataclass(frozen=True)
class Exported:
    """How an export has ended, after how long, and what the exporter has said."""

    taken: str
    seconds: float
    errors: str


def _run(command: list[str], variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FAILPATH_"))}
    # The package as it is here, and not as it is installed.
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        command, env={**kept, "PYTHONPATH": path, **variables}, capture_output=True, text=True, timeout=60, check=False
    )


def run_untouched(run_id: str, **variables: str) -> str:
    """Acts :data:`STEPS` below ``opentelemetry-instrument``; returns what was said of it."""
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, "-c", _UNTOUCHED]
    if not Path(command[0]).exists():
        module = "opentelemetry.instrumentation.auto_instrumentation"
        program = f"import sys; sys.argv[0] = 'opentelemetry-instrument'; from {module} import run; run()"
        command[:1] = [sys.executable, "-c", program]
    done = _run([*command, run_id], variables)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def export(run_id: str, endpoint: str, **variables: str) -> Exported:
    """Exports one step by OpenTelemetry's exporter for Python."""
    done = _run([sys.executable, "-c", _EXPORT, run_id], {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **variables})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Exported(told["taken"], told["seconds"], done.stderr)


def run_example(name: str, endpoint: str) -> str:
    """Runs an example that sends to ``endpoint``; returns what it prints."""
    done = _run([sys.executable, str(ROOT / "examples" / name)], {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
