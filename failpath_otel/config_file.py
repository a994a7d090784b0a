"""Our part of OpenTelemetry's configuration file: ``instrumentation/development: python: failpath:``."""

import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from failpath_otel.errors import ConfigurationError

CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
_VARIABLE: Final = re.compile(r"\$\$|\$\{(?:env:)?(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^\n}]*))?\}")


def file_options() -> dict[str, Any]:
    """Return our options in the file that ``OTEL_CONFIG_FILE`` names; none without the file or a YAML reader.

    Not every SDK that reads the file passes its instrumentations their part. Faults in the rest of the file are left to
    that SDK.

    Raises:
        ConfigurationError: our part of the file is no mapping.
    """
    path = config_file()
    try:
        found = read_file(path) if path else None
    except Exception:  # noqa: BLE001 - the SDK that reads the file reports it
        return {}
    for name in ("instrumentation/development", "python", "failpath"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        msg = f"instrumentation/development: python: failpath: in {path} must be a mapping of options"
        raise ConfigurationError(msg)
    return {str(name): _substituted(value) for name, value in found.items()}


def exporter_options() -> dict[str, Any]:
    """Return the options of the exporter ``failpath`` in the same file, which apply to a processor without its own."""
    try:
        processors = read_file(config_file())["tracer_provider"]["processors"]
        parts = [part for each in processors if isinstance(each, Mapping) for part in each.values()]
        exporters = [part["exporter"] for part in parts if isinstance(part, Mapping) and "exporter" in part]
        options = [each["failpath"] for each in exporters if "failpath" in each]
        return {str(name): _substituted(value) for name, value in (options[-1] or {}).items()}
    except Exception:  # noqa: BLE001 - as above
        return {}


def config_file() -> str:
    """Return the path of the file; empty if there is none."""
    return os.environ.get(CONFIG_FILE, "").strip()


def read_file(path: str) -> Any:  # noqa: ANN401 - the types of YAML
    """Return the contents of the file.

    Raises:
        Exception: there is no YAML reader, or the file cannot be read.
    """
    # Installed with the SDK that reads the file, and otherwise not needed.
    return import_module("yaml").safe_load(Path(path).read_text(encoding="utf-8"))


def _substituted(value: Any) -> Any:  # noqa: ANN401 - the types of YAML
    """Return a value with variables in place of ``${NAME}``, as in OpenTelemetry's file."""
    if isinstance(value, str):
        return _VARIABLE.sub(_variable, value)
    if isinstance(value, Mapping):
        return {name: _substituted(each) for name, each in value.items()}
    return [_substituted(each) for each in value] if isinstance(value, list) else value


def _variable(found: re.Match[str]) -> str:
    name = found["name"]
    return "$" if name is None else os.environ.get(name) or found["default"] or ""
