"""The options that a program started in this environment has, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from failpath_otel import config_file
from failpath_otel.errors import ConfigurationError
from failpath_otel.options import checks
from failpath_otel.options.options import OPTIONS, Options, default_journal, option_value, set_variables
from failpath_otel.options.variables import warn_of_misspelt_variables

DEFAULT: Final = "default"
ARGUMENT: Final = "argument"
_NEEDED: Final = ("project_key", "endpoint", "route")
"""Options without which no request can be made."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options; ``repr()`` shows no secret."""

    values: dict[str, Any] = field(repr=False)
    """The value of each option; its default where what is set cannot work."""

    sources: dict[str, str]
    """Where each value is from: :data:`ARGUMENT`, variables, ``OTEL_CONFIG_FILE``, or :data:`DEFAULT`."""

    errors: dict[str, str]
    """Why options cannot work, by their names."""

    options: Options | None
    """What requests are made with; ``None`` where there is no project key, or no usable address."""

    @property
    def url(self) -> str:
        """Where records are posted; empty where the endpoint or the route cannot work."""
        usable = not {"endpoint", "route"} & self.errors.keys()
        return f"{self.values['endpoint']}{self.values['route']}" if usable else ""


def read_settings(arguments: Mapping[str, object]) -> Settings:
    """Return the options by arguments of the command, OpenTelemetry's configuration file, the environment, defaults."""
    warn_of_misspelt_variables()
    errors: dict[str, str] = {}
    try:
        of_file = config_file.file_options() or config_file.exporter_options()
    except ConfigurationError as error:
        errors[config_file.CONFIG_FILE], of_file = str(error), {}
    names = {option.name for option in OPTIONS}
    errors.update({name: f"there is no option {name}" for name in of_file if name not in names})
    if "journal" in of_file and of_file["journal"] is None:  # memory only
        of_file["journal"] = checks.OFF
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        given = arguments.get(option.name)
        sources[option.name] = ARGUMENT
        if given is None:
            given = of_file.get(option.name)
            by_variables = " and ".join(set_variables(option)) or DEFAULT
            sources[option.name] = by_variables if given is None else config_file.CONFIG_FILE
        try:
            values[option.name] = option_value(option, given)
        except ConfigurationError as error:
            errors[option.name] = str(error)
            values[option.name] = option.default
    if values["project_key"] is None and "project_key" not in errors:
        errors["project_key"] = "it is missing"
    if values["journal"] == checks.DEFAULT_JOURNAL:
        values["journal"] = default_journal()
    usable: dict[str, Any] = {**values, "enabled": True}  # what waits for it is looked at also where it is turned off
    options = None if errors.keys() & set(_NEEDED) else Options(**usable)
    return Settings(values, sources, errors, options)
