"""What can be set about the way to Failpath: keyword, then environment, then default."""

import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from failpath_otel import limits
from failpath_otel.clean import text_of
from failpath_otel.errors import ConfigurationError

DEFAULT_ENDPOINT: Final = "https://api.failpath.dev"
PROJECT_KEY_VARIABLE: Final = "FAILPATH_PROJECT_KEY"
ENDPOINT_VARIABLE: Final = "FAILPATH_DEV_ENDPOINT"


@dataclass(frozen=True, slots=True)
class Options:
    """Options that have been checked. The project key shows in no representation."""

    project_key: str = field(repr=False)
    endpoint: str = DEFAULT_ENDPOINT
    capture_stack: bool = False

    @classmethod
    def resolve(
        cls, project_key: str | None = None, endpoint: str | None = None, *, capture_stack: bool = False
    ) -> "Options":
        """Fills from the environment what was not given, and checks all of it.

        Raises:
            ConfigurationError: there is no project key, or an option cannot work.
        """
        return cls(
            _project_key(project_key if project_key is not None else os.environ.get(PROJECT_KEY_VARIABLE)),
            _endpoint(endpoint if endpoint is not None else os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT),
            _flag("capture_stack", capture_stack),
        )


def _project_key(given: object) -> str:
    if isinstance(given, str):
        key = given.strip()
        if key and key.isascii() and key.isprintable() and " " not in key:
            return key
    problem = "is missing"
    if given is not None and not isinstance(given, str):
        problem = f"must be a string, got a {type(given).__name__}"
    elif given and given.strip():
        problem = "has characters that no HTTP header can carry"
    msg = f"the project key {problem}: pass project_key=, or set {PROJECT_KEY_VARIABLE}"
    raise ConfigurationError(msg)


def _endpoint(given: object) -> str:
    if not isinstance(given, str):
        msg = f"endpoint must be an http:// or https:// URL, got a {type(given).__name__}"
        raise ConfigurationError(msg)
    endpoint = given.strip().rstrip("/")
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.username is not None or parts.password is not None:
        msg = "endpoint must not contain a user name or a password; the project key goes into project_key="
        raise ConfigurationError(msg)
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        shown = text_of(given.split("?")[0].split("#")[0].rpartition("@")[2], 200)
        msg = f"endpoint must be an http:// or https:// URL without a query, got {shown!r}"
        raise ConfigurationError(msg)
    return endpoint


def _flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        msg = f"{name} must be True or False, got {text_of(given, 80)!r}"
        raise ConfigurationError(msg)
    return given


def seconds(name: str, given: object) -> float:
    """A time to wait, as given.

    Raises:
        ConfigurationError: it is not a number of seconds of at least 0.
    """
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 <= given < limits.MAX_SECONDS:
        return float(given)
    msg = f"{name} must be a number of seconds from 0 to {limits.MAX_SECONDS:.0f}, got {text_of(given, 80)!r}"
    raise ConfigurationError(msg)
