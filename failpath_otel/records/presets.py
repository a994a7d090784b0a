"""Rules that come with the package, for libraries whose spans are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from failpath_otel.errors import ConfigurationError
from failpath_otel.records.rules import StepRule
from failpath_otel.records.rules_document import RulesDocument, read_rules
from failpath_otel.scrubbing.values import text_of

CHANGES: Final = ("flow", "run_id", "max_keys")
"""What can be set for all rules of a preset."""

_FOLDER: Final = Path(__file__).parents[1] / "presets"


def preset_names() -> list[str]:
    """Return the names of all presets, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def preset_rules(
    name: object, *, flow: str | None = None, run_id: str | None = None, max_keys: int | None = None
) -> tuple[tuple[StepRule, ...], RulesDocument]:
    """Return the rules of a preset, and where they stand in its file.

    Args:
        name: one of :func:`preset_names`.
        flow: the flow of all of its rules.
        run_id: the run id of all of its rules.
        max_keys: that of all of its rules.

    Raises:
        ConfigurationError: there is no such preset, or ``flow``, ``run_id`` or ``max_keys`` cannot be one.
    """
    names = preset_names()
    if name not in names:
        raise ConfigurationError(f"there is no preset {text_of(name, 80)!r}, but {', '.join(names)}")
    rules, document = read_rules(f"preset:{name}", (_FOLDER / f"{name}.toml").read_bytes())
    given = {"flow": flow, "run_id": run_id, "max_keys": max_keys}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return tuple(replace(rule, **changes) for rule in rules) if changes else rules, document
