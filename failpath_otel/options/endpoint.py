"""The base URL of Failpath. Messages contain none of it: users put keys and passwords there."""

from typing import Final
from urllib.parse import urlsplit

from failpath_otel.addresses import is_loopback
from failpath_otel.errors import ConfigurationError
from failpath_otel.report import warn_once
from failpath_otel.scrubbing.values import type_name

_ALLOWED: Final = "must be an http:// or https:// URL without user name, password and query"


def check_endpoint(source: str, given: object) -> str:
    """Return the URL without surrounding blanks and without a slash at its end; a path is kept.

    Raises:
        ConfigurationError: it is no URL to which a route can be added. The message contains its scheme at most.
    """
    if not isinstance(given, str):
        raise ConfigurationError(f"{source} {_ALLOWED}, got {type_name(given)}")
    endpoint = given.strip().rstrip("/")
    problem = _problem(endpoint)
    if problem:
        raise ConfigurationError(f"{source} {_ALLOWED}, got {problem}")
    return endpoint


def _problem(endpoint: str) -> str:
    """Return what is wrong with an endpoint; empty if nothing is."""
    scheme, separator, _ = endpoint.partition("://")
    problem = ""
    if "@" in endpoint:
        problem = "one with a user name or a password; the project key goes into project_key="
    elif "fp_project" in endpoint:
        problem = "one with a project key in it; that goes into project_key="
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


def warn_of_plain_http(endpoint: str) -> None:
    """Warn once for each host that requests are not encrypted, unless they stay on this machine."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        warn_once(
            f"plain {host}",
            "Failpath: the endpoint http://%s is not encrypted; the project key and all records can be read in transit",
            f"[{host}]" if ":" in host else host,
        )
