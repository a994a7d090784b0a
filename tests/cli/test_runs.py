"""``failpath-otel runs``: one run, runs by filters, JSON, and what happens as it happens."""

import io
import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import pytest
from msgspec.structs import replace

from failpath_otel.cli import following
from failpath_otel.cli.following import follow
from failpath_otel.cli.local_client import RunQuery
from failpath_otel.cli.main import main
from failpath_otel.records.record import ErrorInfo, Status
from tests.cli.receiver import Served, served
from tests.forge import Started, start
from tests.local.events import EPOCH_NS, GONE_PROCESS, event, wire
from tests.ports import unused_port, unused_url
from tests.receiver import COMMAND, start_receiver

POSIX: Final = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
STACK: Final = 'Traceback (most recent call last):\n  File "shop.py", line 3, in charge\nCardDeclined: no\x1b[2J money'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A receiver with one run of each kind; no test of the module changes it."""
    with served(tmp_path_factory.mktemp("shop") / "runs.db") as receiver:
        declined = ErrorInfo("CardDeclined", "no\x1b[2J money", STACK)
        receiver.add(
            event("success", 91, step="validate", run="order-17", started=90, cart=7, items=["a", "ä"]),
            event("error", 93, step="charge", span="b", run="order-17", started=92, error=declined, bank="first"),
            replace(event("running", 94, run="order-18", flow="delivery"), process=GONE_PROCESS),
            event("skipped", 95, run="-x"),
        )
        seconds, receiver.page.seconds = receiver.page.seconds, time.time() - EPOCH_NS / 1e9
        receiver.add(event("success", receiver.page.seconds, run="just-now"))
        receiver.page.seconds = seconds
        yield receiver


@pytest.fixture
def ask(shop: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def runs(*arguments: str) -> tuple[int, str, str]:
        code = main(["runs", "--port", str(shop.port), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return runs


def _names(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:] if not line.startswith(" ")]


def test_one_run_shows_its_steps_with_metadata_error_and_stack(ask: Any) -> None:
    code, out, _ = ask("order-17")
    assert code == 0
    _, line, *below = out.splitlines()
    assert re.fullmatch(r"order-17 +checkout +error +\S+ \S+ +3\.00 s", line)
    assert below == [
        "  validate                                                  success                           1.00 s",
        "      cart: 7",
        '      items: ["a", "ä"]',
        "  charge                                                    error                             1.00 s",
        r"      CardDeclined: no\x1b[2J money",
        "        Traceback (most recent call last):",
        '          File "shop.py", line 3, in charge',
        r"        CardDeclined: no\x1b[2J money",
        "      bank: first",
    ]


def test_a_run_that_has_lost_its_process_shows_which_that_was(ask: Any) -> None:
    assert f"      process {GONE_PROCESS.pid} on {GONE_PROCESS.host}\n" in ask("order-18")[1]


def test_a_run_that_is_not_there_is_said_in_words_and_exits_with_1(ask: Any, shop: Served) -> None:
    assert ask("none") == (1, "", f"failpath-otel: no such run at {shop.url}: 'none'\n")
    assert ask("order-17", "--flow", "delivery")[2].startswith("failpath-otel: no such run of flow 'delivery' at ")


def test_an_option_names_the_run_too_also_one_that_looks_like_an_option(ask: Any) -> None:
    assert _names(ask("--run", "order-17")[1]) == ["order-17"]
    assert _names(ask("--run=-x")[1]) == _names(ask("--", "-x")[1]) == ["-x"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--flow", "delivery"], ["order-18"]),
        (["--status", "error", "--status", "gone"], ["order-18", "order-17"]),
        (["--status", "skipped"], ["-x"]),
        (["--since", "1h"], ["just-now"]),
        (["--limit", "2"], ["just-now", "-x"]),
        (["--since", "5m", "--status", "error"], []),
    ],
)
def test_runs_are_chosen_by_flow_status_and_age(ask: Any, arguments: list[str], names: list[str]) -> None:
    code, out, _ = ask(*arguments)
    assert (code, _names(out)) == (0, names)
    if not names:
        assert out == "No runs that match.\n"


def test_json_is_one_object_a_line_in_ascii(ask: Any, shop: Served) -> None:
    _, out, _ = ask("--json")
    lines = out.splitlines()
    assert [json.loads(line)["runId"] for line in lines] == ["just-now", "-x", "order-18", "order-17"]
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    (whole,) = ask("order-17", "--json")[1].splitlines()
    assert json.loads(whole) == shop.page.client.get("/api/runs/order-17").json()
    assert ask("--flow", "none", "--json")[1] == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["order-17"], 1),
        (["order-18"], 1),
        (["just-now"], 0),
        (["--flow", "checkout"], 1),
        (["--since", "5m"], 0),
        (["--flow", "none"], 0),
        (["none"], 1),
    ],
)
def test_the_exit_status_says_whether_a_run_failed_or_is_gone(ask: Any, arguments: list[str], code: int) -> None:
    assert ask(*arguments, "--exit-status", "--json")[0] == code
    assert ask(*arguments)[0] == (1 if "none" in arguments[0] else 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["order-17", "--status", "error"],
        ["order-17", "--since", "1h"],
        ["order-17", "--run", "order-18"],
        ["--status", "failed"],
        ["--since", "yesterday"],
    ],
)
def test_what_makes_no_question_is_a_mistake_in_the_arguments(ask: Any, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        ask(*arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("url", ["127.0.0.1:3001", "ftp://x", "http://", "http://x:port", "http://a b/", ""])
@pytest.mark.parametrize("command", [["runs"], ["runs", "--follow"], ["flows"]])
def test_what_is_no_url_is_a_mistake_in_the_arguments(
    command: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--url", url]) == 2
    assert capsys.readouterr().err == f"failpath-otel: expected a URL like http://127.0.0.1:3001, got {url!r}\n"


@pytest.mark.parametrize(
    ("host", "hint"), [("127.0.0.1", "; start one with: failpath-otel local --port {port}"), ("host.invalid", "")]
)
def test_a_command_that_starts_a_receiver_is_named_for_this_machine_only(
    host: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = unused_port()
    assert main(["runs", "--url", f"http://{host}:{port}"]) == 1
    line = capsys.readouterr().err
    assert re.fullmatch(rf"failpath-otel: no receiver at http://{host}:{port} \([^][]+\).*\n", line), line
    assert line.endswith(f"){hint.format(port=port)}\n")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_and_width_are_those_of_the_terminal(
    shop: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(stdout: Any, **variables: str) -> str:
        with monkeypatch.context() as patch:
            for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            if stdout is not None:
                patch.setattr(sys, "stdout", stdout)
            main(["runs", "--port", str(shop.port), "--limit", "1"])
            return str(stdout.getvalue()) if stdout is not None else capsys.readouterr().out

    assert "\x1b[32m" in shown(_Terminal())
    assert "\x1b" not in shown(_Terminal(), NO_COLOR="1", FORCE_COLOR="1")
    assert "\x1b" not in shown(_Terminal(), TERM="dumb")
    assert "\x1b" not in shown(None, COLUMNS="200")
    assert "\x1b[32m" in shown(None, FORCE_COLOR="1")
    for columns, width in (("80", 80), ("140", 140), ("40", 72), ("999", 180)):
        heading, run, _ = shown(_Terminal(), NO_COLOR="1", COLUMNS=columns).splitlines()
        assert len(heading) == len(run) == width
    assert len(shown(None, COLUMNS="140").splitlines()[0]) == 100


def test_following_begins_with_what_there_is_and_goes_on_with_what_changes(tmp_path: Path) -> None:
    with served(tmp_path / "runs.db") as receiver:
        receiver.add(event("success", 1, run="old"), event("success", 2, run="new"))
        followed = follow(receiver.url, RunQuery(), limit=10, token=None, notice=str)
        assert [run.run_id for run in next(followed)] == ["old", "new"]
        receiver.add(event("running", 3, run="next"))
        assert [(run.run_id, run.status) for run in next(followed)] == [("next", "running")]
        receiver.add(event("error", 4, run="next", started=3))
        assert [(run.run_id, run.status) for run in next(followed)] == [("next", "error")]


@pytest.mark.parametrize("database", ["runs.db", "another.db"])
def test_a_receiver_that_is_away_for_a_while_is_waited_for_and_nothing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setattr(following, "_RETRY_SECONDS", 0.01)
    port = unused_port()
    said: list[str] = []
    with ExitStack() as stack:

        def notice(text: str) -> None:
            said.append(text)
            if "no receiver" in text:
                stack.enter_context(served(tmp_path / database, port)).add(event("success", 9, run="meanwhile"))

        with served(tmp_path / "runs.db", port) as receiver:
            receiver.add(event("success", 3, run="first"))
            followed = follow(receiver.url, RunQuery(), limit=10, token=None, notice=notice)
            assert [run.run_id for run in next(followed)] == ["first"]
        assert [run.run_id for run in next(followed)] == ["meanwhile"]
    assert said[0] == f"following runs at {receiver.url}; Ctrl-C ends it"
    assert said[1].endswith("; waiting for it")
    assert said[2:] == [f"the receiver at {receiver.url} is back"]


def test_a_run_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    with served(tmp_path / "runs.db") as receiver:
        receiver.add(event("success", 1, run="other"))

        def notice(text: str) -> None:
            said.append(text)
            if "no such run" in text:
                receiver.add(event("running", 2, run="other"), event("running", 3, run="order-17"))

        followed = follow(receiver.url, RunQuery(run_id="order-17"), limit=10, token=None, notice=notice)
        assert [run.run_id for run in next(followed)] == ["order-17"]
    assert said[1] == f"no such run at {receiver.url} yet: 'order-17'; waiting for it"


def test_without_a_receiver_nothing_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--url", unused_url(), "--follow"]) == 1
    assert "start one with: failpath-otel local" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (0, 2)),
        (["--exit-status"], (1, 2)),
        (["--exit-status", "--flow", "ship"], (0, 1)),
        (["none", "--json"], (1, 0)),
    ],
)
def test_ctrl_c_ends_it_with_what_the_runs_were_last(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: tuple[int, int],
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "sleep", interrupt)
    with served(tmp_path / "runs.db") as receiver:
        receiver.add(event("error", 1, run="bad"), event("success", 2, flow="ship"))
        assert main(["runs", "--url", receiver.url, "--follow", *arguments]) == expected[0]
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == expected[1]
    assert said.err.splitlines()[0] == f"failpath-otel: following runs at {receiver.url}; Ctrl-C ends it"


@pytest.mark.process
@POSIX
def test_steps_are_printed_as_they_happen_until_ctrl_c(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        command = [*COMMAND, "runs", "--url", receiver.url, "--follow"]
        with _following([*command, "--exit-status"]) as lines, _following([*command, "order-17", "--json"]) as objects:
            begin = time.time() - EPOCH_NS / 1e9
            statuses: list[Status] = ["running", "error"]
            for status in statuses:
                receiver.post(wire(event(status, begin, run="order-17")))
                assert f"  {status}  " in (line := _line(lines))
                assert "  checkout  order-17  pay" in line
                run = json.loads(_line(objects))
                assert (run["runId"], run["status"]) == ("order-17", status)
            for process, code in ((lines, 1), (objects, 0)):
                process.send_signal(signal.SIGINT)
                assert process.wait(10) == code
                assert process.stdout is not None
                assert process.stdout.read() == ""
                assert process.stderr is not None
                assert "Traceback" not in process.stderr.read()


@contextmanager
def _following(command: list[str]) -> Iterator[Started]:
    """Start a command that follows, and wait until it does."""
    with start(command, stdout=PIPE, stderr=PIPE) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().endswith("; Ctrl-C ends it\n")
            yield process
        finally:
            process.kill()


def _line(process: Started) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
