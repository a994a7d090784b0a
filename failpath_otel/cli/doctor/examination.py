"""All checks, in the order in which they are shown."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from failpath_otel.cli.doctor.clock import check_clock
from failpath_otel.cli.doctor.endpoint import CHECK as ENDPOINT
from failpath_otel.cli.doctor.endpoint import check_endpoint
from failpath_otel.cli.doctor.event import new_test_event
from failpath_otel.cli.doctor.finding import Finding, collected_log
from failpath_otel.cli.doctor.installed import read_installed
from failpath_otel.cli.doctor.instrumentation import check_instrumentation
from failpath_otel.cli.doctor.journal import check_journal
from failpath_otel.cli.doctor.key import check_key
from failpath_otel.cli.doctor.network import check_certificates, check_proxy
from failpath_otel.cli.doctor.options import check_options
from failpath_otel.cli.doctor.report import without_secrets
from failpath_otel.cli.doctor.settings import Settings, read_settings
from failpath_otel.cli.doctor.versions import check_versions

_OPTIONS: Final = "options"


def examine(arguments: Mapping[str, object], *, send: bool) -> tuple[Settings, list[Finding]]:
    """Make all checks, and return the options with what was found.

    Args:
        arguments: options by arguments of the command.
        send: send a test event, which is said on stderr before.
    """
    with collected_log() as lines:
        settings = read_settings(arguments)
    installed = read_installed()
    logged = [_logged(_OPTIONS, line) for line in lines]
    found = [*_run("versions", lambda: check_versions(installed)), *_run("key", lambda: check_key(settings))]
    found += [*_run(_OPTIONS, lambda: check_options(settings)), *logged]
    if settings.url:
        found += _run("proxy", lambda: check_proxy(settings.url))
        found += _run("certificates", lambda: check_certificates(settings.url))
    found += _run(ENDPOINT, lambda: _ask(settings, send=send))
    found += _run("clock", check_clock)
    found += _run("journal", lambda: check_journal(settings))
    found += _run("opentelemetry", lambda: check_instrumentation(installed))
    return settings, found


def _run(name: str, check: Callable[[], list[Finding]]) -> Iterator[Finding]:
    """Make one check; what the package logs meanwhile belongs to it."""
    with collected_log() as lines:
        found = check()
    yield from found
    yield from (_logged(name, line) for line in lines)


def _logged(name: str, line: str) -> Finding:
    return Finding(name, "warning", line)


def _ask(settings: Settings, *, send: bool) -> list[Finding]:
    if not send or settings.options is None:
        return check_endpoint(settings, None)
    event = new_test_event(with_process=settings.values["send_process"])
    sys.stderr.write(
        f"failpath-otel: sends one test event to {without_secrets(settings.url, settings)}: flow {event.flow_key},"
        f" step {event.step_key}, run {event.run_id}\n"
    )
    sys.stderr.flush()
    return check_endpoint(settings, event)
