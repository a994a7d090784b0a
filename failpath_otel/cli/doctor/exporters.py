"""The exporters of spans that OpenTelemetry's own start loads beside our processor."""

import os
from typing import Final

from failpath_otel.cli.doctor.finding import Finding, Level
from failpath_otel.cli.doctor.installed import Installed

VARIABLE: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_BY_PROTOCOL: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http", "http/json": "otlp_json_http"}
_PACKAGES: Final = {
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "otlp_proto_http": "opentelemetry-exporter-otlp-proto-http",
    "otlp_json_http": "opentelemetry-exporter-otlp-json-http",
}
_NOTHING_ELSE: Final = "where one is missing, opentelemetry-instrument loads no instrumentation at all"


def chosen_exporters(distro: str | None) -> list[str]:
    """Return the exporters that the environment asks for, ``distro`` sets, or none."""
    default = "otlp" if distro == "distro" else ""  # OpenTelemetry's own; others are not known
    named = (os.environ.get(VARIABLE, "").strip() or default).split(",")
    names = [each.strip() for each in named if each.strip() and each.strip().lower() != "none"]
    return [_of_protocol() if each == "otlp" else each for each in names]


def _of_protocol() -> str:
    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name, "").strip())), "grpc")
    return _BY_PROTOCOL.get(protocol, f"otlp over {protocol!r}")


def check_exporters(check: str, exporters: list[str], installed: Installed) -> list[Finding]:
    """Check that the exporters are installed."""
    missing = [each for each in exporters if each not in installed.names_of("traces_exporter")]
    if not missing:
        return []
    packages = [_PACKAGES[each] for each in missing if each in _PACKAGES]
    install = f"pip install {' '.join(packages)}, or " if packages else ""
    # What a distribution asks for matters only to programs that are started by it.
    level: Level = "problem" if os.environ.get(VARIABLE, "").strip() else "warning"
    text = f"the exporter {', '.join(missing)} is not installed; {_NOTHING_ELSE}"
    advice = f"{install}correct {VARIABLE}; without an OTLP backend, {VARIABLE}=none"
    return [Finding(check, level, text, advice, {"missingExporters": missing})]
