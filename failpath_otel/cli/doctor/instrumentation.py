"""What ``opentelemetry-instrument`` would load: distribution, configurator, provider, processors, instrumentations.

Nothing of it is imported: entry points and variables say what OpenTelemetry's own loader chooses.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from failpath_otel import config_file
from failpath_otel.cli.doctor.exporters import check_exporters, chosen_exporters
from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.cli.doctor.installed import Installed

_CHECK: Final = "opentelemetry"
_LOADER: Final = "opentelemetry-instrumentation"
_OURS: Final = "failpath"
_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_CONFIGURATOR: Final = "OTEL_PYTHON_CONFIGURATOR"
_SAFE: Final = (
    *(config_file.CONFIG_FILE, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"),
    *("OTEL_LOGS_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_PROPAGATORS"),
    *("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_PYTHON_DISTRO", _CONFIGURATOR),
    *("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_ID_GENERATOR", _DISABLED),
)
"""Variables whose values are names and numbers; of all others, only the names are shown."""

_OWN_PACKAGE_SINCE: Final = (1, 44)
"""The SDK from which a package of its own reads the configuration file."""


def check_instrumentation(installed: Installed) -> list[Finding]:
    """Check what is loaded without code, and show the variables of OpenTelemetry."""
    found = [*_check_sdk(), *_check_loader(installed), *_check_file(installed.packages)]
    variables = {
        name: value if name in _SAFE else None
        for name, value in sorted(os.environ.items())
        if name.startswith("OTEL_") and value
    }
    shown = ", ".join(name if value is None else f"{name}={value}" for name, value in variables.items())
    return [*found, Finding(_CHECK, "ok", f"variables: {shown or 'none'}", "", {"variables": variables})]


def _check_sdk() -> list[Finding]:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true":
        return []
    return [Finding(_CHECK, "problem", "OTEL_SDK_DISABLED is true: no step is recorded", "unset it")]


def _check_loader(installed: Installed) -> list[Finding]:
    if _LOADER not in installed.packages:
        text = "opentelemetry-instrument is not installed; a program that calls configure() does not need it"
        return [Finding(_CHECK, "note", text, "", {"instrument": None})]
    distro = _chosen(installed.names_of("distro"), os.environ.get("OTEL_PYTHON_DISTRO", ""))
    configurator = _chosen(installed.names_of("configurator"), os.environ.get(_CONFIGURATOR, ""))
    exporters = [] if config_file.config_file() else chosen_exporters(distro)
    disabled = [each.strip() for each in os.environ.get(_DISABLED, "").split(",") if each.strip()]
    instrumentors = [each for each in installed.names_of("instrumentor") if not {each, "*"} & set(disabled)]
    joins = _OURS in instrumentors
    found: list[Finding] = []
    if configurator is None:
        found.append(_check_no_provider(installed))
    found += check_exporters(_CHECK, exporters, installed)
    if not joins:
        found.append(_check_not_joined(installed))
    processors = [*[f"a batch processor for {each}" for each in exporters], *(["that of failpath"] if joins else [])]
    source = f"as in {config_file.config_file()}" if config_file.config_file() else "the SDK's"
    provider = f"the provider: {source}" if configurator else "no provider"
    others = len(instrumentors) - joins
    text = (
        f"opentelemetry-instrument would load distro: {distro or 'none'}; configurator: {configurator or 'none'};"
        f" {provider}; processors: {', '.join(processors) or 'none'}; {others} other instrumentations"
    )
    facts = {
        "distro": distro,
        "configurator": configurator,
        "exporters": exporters,
        "joins": joins,
        "instrumentors": instrumentors,
    }
    return [*found, Finding(_CHECK, "ok", text, "", {"instrument": facts})]


def _chosen(names: Sequence[str], named: str) -> str | None:
    """Return the component that the loader takes: the named one, else the first."""
    return next((each for each in names if not named or each == named), None)


def _check_no_provider(installed: Installed) -> Finding:
    named = os.environ.get(_CONFIGURATOR, "")
    if named:
        text = f"{_CONFIGURATOR} names {named}, which is not installed: no tracer provider is made"
        known = ", ".join(installed.names_of("configurator"))
        return Finding(_CHECK, "problem", text, f"unset it{f', or name one of: {known}' if known else ''}")
    text = "no configurator is installed: opentelemetry-instrument makes no tracer provider"
    advice = "pip install opentelemetry-distro, or call configure() once the program has set its provider"
    return Finding(_CHECK, "warning", text, advice)


def _check_not_joined(installed: Installed) -> Finding:
    if _OURS in installed.names_of("instrumentor"):
        text = f"{_DISABLED} turns failpath off: opentelemetry-instrument reports no steps"
        return Finding(_CHECK, "warning", text, "take failpath away there, unless the program calls configure()")
    text = "the entry point `failpath` is not installed: opentelemetry-instrument reports no steps"
    return Finding(_CHECK, "warning", text, "install this package by pip in this environment")


def _check_file(packages: Mapping[str, str]) -> list[Finding]:
    path = config_file.config_file()
    if not path:
        return []
    if not Path(path).is_file():
        text = f"{config_file.CONFIG_FILE} names {path}, which is no file"
        return [Finding(_CHECK, "problem", text, "correct it, or unset it")]
    needs_package = _version(packages.get("opentelemetry-sdk", "")) >= _OWN_PACKAGE_SINCE
    if needs_package and "opentelemetry-configuration" not in packages:
        text = f"{config_file.CONFIG_FILE} is set, and nothing is installed that reads it: nothing is instrumented"
        return [Finding(_CHECK, "problem", text, "pip install opentelemetry-configuration, or unset it")]
    try:
        config_file.read_file(path)
    except Exception as error:  # noqa: BLE001 - of the YAML reader, whichever that is
        text = f"{path} cannot be read ({type(error).__name__})"
        return [Finding(_CHECK, "problem", text, "correct its YAML; PyYAML has to be installed")]
    return []


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version: its release and its minor version."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isascii() and part.isdigit())
