"""``failpath-otel rules``: checks rules, and tries them on the spans of a running program."""

import argparse
import re
import sys
from typing import Final

from failpath_otel.addresses import LOOPBACK
from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, cannot_serve, counted, fail
from failpath_otel.cli.commands.receiver import DEFAULT, add_token_option, default_url, receiver_url
from failpath_otel.cli.printable import printable

_EXTRA: Final = ("anyio", "google", "opentelemetry", "starlette", "uvicorn")
_RULES: Final = "a file of rules, preset:NAME, or several of these separated by commas"


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "rules",
        help="check rules, and try them on the spans of a running program",
        description="Checks rules, and tries them on the spans of a running program.",
        examples={
            "what is wrong with a file of rules": "failpath-otel rules check rules.toml",
            "which spans they turn into steps": "failpath-otel rules try rules.toml",
        },
    )
    commands = parser.add_subparsers(dest="rules_command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="check files of rules",
        description="Checks files of rules. Prints each mistake with file and line, and exits with 2 if there is one,"
        " otherwise with 0.",
        examples={"your own rules, and a preset": "failpath-otel rules check rules.toml preset:django"},
    )
    check.add_argument("rules", nargs="+", metavar="FILE", help=_RULES)
    check.set_defaults(action=_check)
    trial = commands.add_parser(
        "try",
        help="show which spans of a running program match which rules",
        description="Receives the spans of a running program for a while, and prints which rules match them, which"
        " nearly do, and which steps and runs would result. Does not deliver anything.",
        examples={
            "try them on the spans that arrive at a local receiver, until Ctrl-C": "failpath-otel rules try rules.toml",
            "try them on the spans that a program sends to port 4318, for half a minute": (
                "failpath-otel rules try rules.toml preset:celery --otlp-port 4318 --seconds 30"
            ),
        },
    )
    trial.add_argument("rules", nargs="+", metavar="FILE", help=_RULES)
    source = trial.add_mutually_exclusive_group()
    source.add_argument("--url", default=default_url(), help=f"a local receiver to which the program sends; {DEFAULT}")
    source.add_argument(
        "--otlp-port",
        type=kinds.number(0, 65_535),
        metavar="PORT",
        help="accept OTLP/HTTP at this port of 127.0.0.1 instead; 0 picks a free one",
    )
    add_token_option(trial)
    trial.add_argument("--seconds", type=kinds.number(1, 86_400), help="for how long; default: until Ctrl-C")
    trial.add_argument("--format", choices=("text", "json"), default="text", help="default %(default)s")
    trial.set_defaults(action=_try)


def _check(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands read no rules, or other ones.
    from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
    from failpath_otel.records.rules_file import rule_sources  # noqa: PLC0415

    code = 0
    for given in arguments.rules:
        errors: list[ConfigurationError] = []
        count = 0
        try:
            sources = list(rule_sources(_SOURCE, given, errors.append))
            count = sum(len(source.rules) for source in sources)
            if not errors:
                for source in sources:
                    source.check()
        except ConfigurationError as error:
            errors.append(error)
        for found in errors:
            sys.stderr.write(f"{printable(_with_line(str(found)))}\n")
        if errors:
            code = 2
        else:
            sys.stdout.write(f"{printable(given)}: {counted(count, 'rule')}\n")
    return code


def _try(arguments: argparse.Namespace) -> int:
    try:
        # Imported here, because it needs an extra.
        from failpath_otel.cli.local_client import ReceiverError  # noqa: PLC0415
        from failpath_otel.cli.trial.receiver import receive  # noqa: PLC0415
        from failpath_otel.cli.trial.report import format_trial  # noqa: PLC0415
        from failpath_otel.cli.trial.trial import NamedRule, Trial  # noqa: PLC0415
        from failpath_otel.cli.trial.watching import watch  # noqa: PLC0415
        from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
        from failpath_otel.records.record import encode_json  # noqa: PLC0415
        from failpath_otel.records.rules_file import rule_sources  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        return fail('rules try needs an extra; install it with: pip install "failpath-otel[gateway]"')
    try:
        sources = list(rule_sources(_SOURCE, arguments.rules))
        for source in sources:
            source.check()
    except ConfigurationError as error:
        return fail(_with_line(str(error)), 2)
    trial = Trial(
        [
            NamedRule(rule, _with_line(source.position_of(place)))
            for source in sources
            for place, rule in enumerate(source.rules)
        ]
    )
    try:
        if arguments.otlp_port is not None:
            receive(trial, arguments.otlp_port, arguments.seconds, lambda url: _say(f"send spans to {url}", arguments))
        else:
            url = receiver_url(arguments.url)
            watch(trial, url, arguments.token, arguments.seconds, lambda: _say(f"watching spans at {url}", arguments))
    except ReceiverError as error:
        return fail(str(error), error.exit_code)
    except OSError as error:
        holders = "a gateway, or an OpenTelemetry Collector"
        return fail(cannot_serve(LOOPBACK, arguments.otlp_port or 0, error, holders, "--otlp-port"))
    except KeyboardInterrupt:
        pass  # the end of the trial
    result = trial.result()
    sys.stdout.write(f"{encode_json(result).decode()}\n" if arguments.format == "json" else format_trial(result))
    sys.stdout.flush()
    return 0


def _say(text: str, arguments: argparse.Namespace) -> None:
    until = "Ctrl-C ends it" if arguments.seconds is None else f"for {arguments.seconds} s"
    sys.stderr.write(f"failpath-otel: {printable(text)}; {until}\n")
    sys.stderr.flush()


_SOURCE: Final = "rules"


def _with_line(text: str) -> str:
    """Return an error or a position as ``file:line``, which editors and terminals can follow."""
    return re.sub(r"^(.+?), line (\d+)", r"\1:\2", text.removeprefix(f"{_SOURCE}: "), count=1)
