"""What is logged reaches the application also where its logging is set up after ``configure()``."""

from pathlib import Path

import pytest

from tests.delivery.programs import KEY, run_program
from tests.fault_server import FaultServer, status

pytestmark = pytest.mark.process

PROGRAM = """
    import logging, logging.config
    import failpath_otel
    client = failpath_otel.configure()
    if "WHEN" == "after the first line":
        client.run_from_headers({})
    LATE
    client.run("checkout").skip("ship")
    client.flush(5)
    print("end", flush=True)
"""

DICT = """logging.config.dictConfig({
        "version": 1,
        "formatters": {"short": {"format": "%(levelname)s %(name)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "short"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
        MORE
    })"""
INI = """[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=short
[logger_root]
level=WARNING
handlers=console
[handler_console]
class=StreamHandler
formatter=short
args=(sys.stderr,)
[formatter_short]
format=%(levelname)s %(name)s %(message)s
"""


def lines_of(server: FaultServer, late: str, when: str = "at once") -> list[str]:
    server.answer_with(status(401))
    code = PROGRAM.replace("LATE", late).replace("WHEN", when).replace("MORE", "")
    ended = run_program(code, server.url)
    assert ended.lines == ["end"], ended.errors
    return ended.errors.splitlines()


@pytest.mark.parametrize("when", ["at once", "after the first line"])
@pytest.mark.parametrize("kind", ["dictConfig", "fileConfig"])
def test_a_refused_key_is_said_where_logging_was_configured_after_us_and_disables_existing_loggers(
    server: FaultServer, tmp_path: Path, kind: str, when: str
) -> None:
    path = tmp_path / "logging.ini"
    path.write_text(INI)
    lines = lines_of(server, DICT if kind == "dictConfig" else f"logging.config.fileConfig({str(path)!r})", when)
    refused = [line for line in lines if "refused the project key" in line]
    assert refused, lines
    assert all(line.startswith("WARNING failpath_otel Failpath: ") for line in refused)
    assert KEY not in "".join(lines)


@pytest.mark.parametrize(
    "late",
    [
        DICT.replace("MORE", '"loggers": {"failpath_otel": {"level": "CRITICAL"}},'),
        DICT.replace("MORE", '"loggers": {"failpath_otel": {"propagate": False, "handlers": ["none"]}},').replace(
            '"handlers": {', '"handlers": {"none": {"class": "logging.NullHandler"}, ', 1
        ),
        f"{DICT}; logging.getLogger('failpath_otel').setLevel('CRITICAL')",
        "logging.basicConfig(); logging.getLogger('failpath_otel').disabled = True",
    ],
    ids=["level", "no handler", "level by hand", "disabled by hand"],
)
def test_an_application_that_silences_our_logger_by_its_name_hears_nothing(server: FaultServer, late: str) -> None:
    assert lines_of(server, late) == []
