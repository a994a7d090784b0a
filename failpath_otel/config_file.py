"""Our part of OpenTelemetry's configuration file: ``instrumentation/development: python: failpath:``."""

import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from failpath_otel.errors import ConfigurationError

_VARIABLE: Final = re.compile(r"\$\$|\$\{(?:env:)?(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^\n}]*))?\}")


def file_options() -> dict[str, Any]:
    """The options in the file that ``OTEL_CONFIG_FILE`` names; none where there is no such file, or nothing reads YAML.

    Not every SDK that reads the file hands its instrumentations their part of it. What is wrong with the rest of the
    file is not for us to say.

    Raises:
        ConfigurationError: our part of it is no mapping.
    """
    path = os.environ.get("OTEL_CONFIG_FILE", "").strip()
    if not path:
        return {}
    try:
        # Comes with what reads the file for OpenTelemetry, and else is not needed.
        found: Any = import_module("yaml").safe_load(Path(path).read_text(encoding="utf-8"))
    except Exception:  # noqa: BLE001 - whoever configures OpenTelemetry by the file has said so
        return {}
    for name in ("instrumentation/development", "python", "failpath"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        msg = f"instrumentation/development: python: failpath: in {path} must be a mapping of options"
        raise ConfigurationError(msg)
    return {str(name): _substituted(value) for name, value in found.items()}


def _substituted(value: Any) -> Any:  # noqa: ANN401 - what YAML has
    """Texts with variables in place of ``${NAME}``, as OpenTelemetry's file has them."""
    if isinstance(value, str):
        return _VARIABLE.sub(_variable, value)
    if isinstance(value, Mapping):
        return {name: _substituted(each) for name, each in value.items()}
    return [_substituted(each) for each in value] if isinstance(value, list) else value


def _variable(found: re.Match[str]) -> str:
    name = found["name"]
    return "$" if name is None else os.environ.get(name) or found["default"] or ""
