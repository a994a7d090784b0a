"""The options that are set, with their sources, and those that cannot work."""

import os
from collections.abc import Mapping
from typing import Any, Final

from failpath_otel import config_file
from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.cli.doctor.settings import DEFAULT, Settings
from failpath_otel.options.options import OPTIONS
from failpath_otel.scrubbing.text import redact_text
from failpath_otel.scrubbing.values import REDACTED

_CHECK: Final = "options"
_CODE: Final = "what a program passes to configure() comes before these, and is not seen here"


def check_options(settings: Settings) -> list[Finding]:
    """Show the options that are not the defaults, and check all of them."""
    found = [
        Finding(_CHECK, "problem", error, f"correct it ({settings.sources.get(name, config_file.CONFIG_FILE)})")
        for name, error in settings.errors.items()
        if name != "project_key"
    ]
    values: dict[str, Any] = {}
    shown: list[str] = []
    for option in OPTIONS:
        source = settings.sources[option.name]
        if option.name not in settings.errors:
            value = _shown(option.name, settings.values[option.name])
            values[option.name] = {"value": value, "source": source}
            if source != DEFAULT and option.name != "project_key":  # which has a line of its own
                shown.append(f"{option.name} = {value} ({source})")
    text = "; ".join(shown) or f"all {'others ' if found else ''}have their defaults"
    return [*found, Finding(_CHECK, "ok", text, "", {"options": values}), Finding(_CHECK, "note", _CODE)]


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - each option has a type of its own
    """Return what may be shown of a value, as JSON."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if name == "project_key":
        return REDACTED
    if isinstance(value, Mapping):  # headers and metadata: their names alone
        return sorted(map(str, value))
    if name == "rules":
        files = os.environ.get("FAILPATH_RULES", "").strip()
        return f"{len(value)} rules{f' of {redact_text(files)}' if files else ''}"
    return redact_text(str(value))
