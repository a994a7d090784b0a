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
    problem = _endpoint_problem(endpoint)
    if problem:
        # The text itself is not shown: people put keys and passwords there.
        allowed = "endpoint must be an http:// or https:// URL without user name, password and query"
        msg = f"{allowed}, got {problem} (endpoint= or {ENDPOINT_VARIABLE})"
        raise ConfigurationError(msg)
    return endpoint


def _endpoint_problem(endpoint: str) -> str:
    """What is wrong with an endpoint, in words that repeat nothing of it but its scheme; empty if nothing is."""
    scheme, separator, _ = endpoint.partition("://")
    problem = ""
    if "@" in endpoint:
        problem = "one with a user name or a password; the project key goes into project_key="
    elif not endpoint.isprintable() or " " in endpoint:
        problem = "one with spaces or control characters"
    elif not separator:
        problem = "a text without a scheme"
    elif scheme.lower() not in ("http", "https"):
        problem = f"one that begins with {scheme[:20]!r}" if scheme.isalnum() else "another scheme"
    elif "?" in endpoint or "#" in endpoint:
        problem = "one with a query or a fragment"
    elif not _has_host(endpoint):
        problem = "one whose host or port cannot be read"
    return problem


def _has_host(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


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
