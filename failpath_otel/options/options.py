"""The options of delivery: from the keyword, else the environment, else the default."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.options import checks
from failpath_otel.options.arguments import Compression, DeliveryMode, DeliveryOptions, OnError, Payload, Redact
from failpath_otel.options.checks import Check
from failpath_otel.options.endpoint import check_endpoint
from failpath_otel.options.variables import ENDPOINT_VARIABLES, warn_of_misspelt_variables
from failpath_otel.records.request import ROUTE
from failpath_otel.records.rules import StepRule
from failpath_otel.records.rules_file import check_rules
from failpath_otel.report import warn_once
from failpath_otel.scrubbing.values import Json, type_name

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from requests import Session

DEFAULT_ENDPOINT: Final = "https://api.failpath.dev"


class Option(NamedTuple):
    """One option: its keyword, its check, its environment variable if it has one, and its default."""

    name: str
    check: Check
    variable: str | None = None
    default: object = None
    synonym: str | None = None
    """Another variable with the same meaning; both may be set if they agree."""


OPTIONS: Final = (
    Option("project_key", checks.project_key, "FAILPATH_PROJECT_KEY"),
    Option("endpoint", check_endpoint, ENDPOINT_VARIABLES[0], DEFAULT_ENDPOINT, ENDPOINT_VARIABLES[1]),
    Option("enabled", checks.enabled, "FAILPATH_ENABLED", default=True),
    Option("default_metadata", checks.metadata),
    Option("capture_stack", checks.flag, "FAILPATH_CAPTURE_STACK", default=False),
    Option("send_error_messages", checks.flag, "FAILPATH_SEND_ERROR_MESSAGES", default=True),
    Option("send_process", checks.flag, "FAILPATH_SEND_PROCESS", default=True),
    Option("delivery", checks.one_of("background", "await"), "FAILPATH_DELIVERY", "background"),
    Option("throw_on_send_error", checks.flag, "FAILPATH_THROW_ON_SEND_ERROR", default=False),
    Option("send_timeout", checks.seconds, "FAILPATH_SEND_TIMEOUT", limits.SEND_TIMEOUT),
    Option("max_queue_size", checks.queue_size, "FAILPATH_MAX_QUEUE_SIZE", limits.MAX_QUEUE_RECORDS),
    Option("journal", checks.journal, "FAILPATH_JOURNAL", checks.DEFAULT_JOURNAL),
    Option("compression", checks.one_of("none", "gzip"), "FAILPATH_COMPRESSION", "none"),
    Option("on_error", checks.callback),
    Option("redact", checks.callback),
    Option("session", checks.session),
    Option("route", checks.route, default=ROUTE),
    Option("headers", checks.headers),
    Option("payload", checks.callback),
    Option("rules", check_rules, "FAILPATH_RULES"),
    Option("flows", checks.file, "FAILPATH_FLOWS"),
    Option("metrics", checks.metrics, "FAILPATH_METRICS", default=True),
)
"""Every option, in the order of the documentation."""
_KEY, _ENABLED = (next(option for option in OPTIONS if option.name == name) for name in ("project_key", "enabled"))


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options, as documented by :func:`failpath_otel.configure`. ``repr()`` shows no secret."""

    project_key: str = field(repr=False)
    endpoint: str = DEFAULT_ENDPOINT
    enabled: bool = True
    default_metadata: Mapping[str, Json] | None = None
    capture_stack: bool = False
    send_error_messages: bool = True
    send_process: bool = True
    delivery: DeliveryMode = "background"
    throw_on_send_error: bool = False
    send_timeout: float = limits.SEND_TIMEOUT
    max_queue_size: int = limits.MAX_QUEUE_RECORDS
    journal: str | None = None
    """The directory; ``None``: memory only."""
    compression: Compression = "none"
    on_error: OnError | None = field(default=None, repr=False, compare=False)
    redact: Redact | None = field(default=None, repr=False, compare=False)
    session: "Session | None" = field(default=None, repr=False, compare=False)
    route: str = ROUTE
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    payload: Payload | None = field(default=None, repr=False, compare=False)
    rules: tuple[StepRule, ...] | None = field(default=None, repr=False)
    flows: str | None = None
    """The file of declared flows, by which wrong keys are logged."""
    metrics: "MeterProvider | bool" = True

    @classmethod
    def resolve(cls, **given: object) -> "Options":
        """Complete the given options from environment and defaults, and check all of them.

        Raises:
            ConfigurationError: the project key is missing although delivery is enabled, or an option cannot work.
            TypeError: there is no such option.
        """
        warn_of_misspelt_variables()
        names = [option.name for option in OPTIONS]
        unknown = sorted(given.keys() - set(names))
        if unknown:
            raise TypeError(f"there is no option {', '.join(unknown)}; the options are {', '.join(names)}")
        if "journal" in given:  # where `None` means memory only
            journal = given.pop("journal")
            # Only a plain string is compared: other objects may raise.
            if not (type(journal) is str and journal == checks.DEFAULT_JOURNAL):
                given["journal"] = checks.OFF if journal is None else journal
        enabled = option_value(_ENABLED, given.get("enabled"))
        if enabled == checks.IF_KEY_PRESENT:
            given["enabled"] = enabled = _has_key(given.get("project_key"))
            if not enabled:
                given["project_key"] = None
        values = {option.name: option_value(option, given.get(option.name)) for option in OPTIONS}
        if values["project_key"] is None:
            values["project_key"] = checks.project_key("project_key", "") if enabled else ""
        if not enabled:
            values["journal"] = None
        elif values["journal"] == checks.DEFAULT_JOURNAL:
            values["journal"] = default_journal()
        return cls(**values)

    @classmethod
    def resolve_delivery(cls, **given: object) -> "Options":
        """Do :meth:`resolve` without the options of a client: ``delivery`` and ``throw_on_send_error``."""
        names = DeliveryOptions.__annotations__
        unknown = sorted(given.keys() - names.keys())
        if unknown:
            raise TypeError(f"there is no option {', '.join(unknown)} here; the options are {', '.join(names)}")
        return cls.resolve(**given)

    @property
    def binding(self) -> str:
        """A hash that ties a journal to its project and endpoint without revealing them."""
        # With another payload, records have another form.
        text = f"{self.project_key}\0{self.endpoint}\0{self.route}\0{'' if self.payload is None else 'payload'}"
        return blake2b(text.encode(), digest_size=8, person=b"failpath-journal").hexdigest()

    @property
    def wait_budget(self) -> float:
        """Seconds that suffice for the batch in flight and the next one."""
        return 2 * self.send_timeout + 1 if self.send_timeout else limits.MAX_SECONDS

    def same_as(self, other: "Options") -> bool:
        """Return whether all options are the same; objects of the application are compared by identity."""
        mine = (self.on_error, self.redact, self.session, self.payload)
        theirs = (other.on_error, other.redact, other.session, other.payload)
        return self == other and all(one is another for one, another in zip(mine, theirs, strict=True))


def default_journal() -> str | None:
    """Return the journal directory of this user, existing or not; ``None`` if there can be none, and on Windows."""
    if sys.platform == "win32":
        warn_once(
            "journal",
            "Failpath: records wait in memory only: on Windows, the journal is off by default. To use one, set "
            "FAILPATH_JOURNAL to a directory; to do without one, set it to off.",
        )
        return None
    # Imported on use: a named directory does not need it (decision 0005).
    from platformdirs import user_state_path  # noqa: PLC0415

    try:
        path = user_state_path("failpath-otel", appauthor=False) / "journal"
        if not path.is_absolute():  # older platformdirs return `~/…`
            msg = "the user has no home directory"
            raise RuntimeError(msg)  # noqa: TRY301 - as its newer versions do
        return str(path)
    except (OSError, RuntimeError) as error:  # the user has no home directory
        warn_once(
            "journal",
            "Failpath: records wait in memory only; there is no place for a journal: %s. To use one, set "
            "FAILPATH_JOURNAL to a directory; to do without one, set it to off.",
            error,
        )
        return None


def _has_key(given: object) -> bool:
    """Return whether there is a project key, valid or not; an empty argument or variable is none."""
    if given is None:
        given = os.environ.get(_KEY.variable or "", "")
    return not isinstance(given, str) or bool(str.__str__(given).strip())


def set_variables(option: Option) -> list[str]:
    """Return the names of the environment variables that set an option."""
    # As in OpenTelemetry, an empty variable counts as unset.
    return [name for name in (option.variable, option.synonym) if name and os.environ.get(name, "").strip()]


def option_value(option: Option, given: object) -> Any:  # noqa: ANN401 - each option has a type of its own
    """Return the checked value of an option: the given one, else that of its variables, else the default.

    Raises:
        ConfigurationError: it cannot work.
    """
    if given is not None:
        return _checked(option, option.name, given)
    variables = set_variables(option)
    values = [_checked(option, name, os.environ[name]) for name in variables]
    if not values:
        return option.default
    if values[0] != values[-1]:
        msg = f"the environment variables {' and '.join(variables)} mean the same, and differ; unset one of them"
        raise ConfigurationError(msg)
    return values[0]


def _checked(option: Option, source: str, given: object) -> Any:  # noqa: ANN401 - as above
    try:
        return option.check(source, given)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - an object of the user's may raise anything from anything
        reraise_if_from_handler(error)
        msg = f"{source} cannot be read: a {type_name(given)} that raised {type_name(error)}"
        raise ConfigurationError(msg) from None
