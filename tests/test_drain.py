"""``failpath-otel drain``, as a process of its own."""

import glob
import os
import re
import signal
import time
from email.utils import formatdate
from pathlib import Path
from unittest.mock import patch

import pytest

from failpath_otel import limits
from failpath_otel.cli.main import main
from failpath_otel.journal import current as current_module
from failpath_otel.journal.journal import Journal
from failpath_otel.options.options import Options
from tests.delivery.pipelines import a_record
from tests.delivery.programs import start_program
from tests.fault_server import (
    Behaviour,
    FaultServer,
    answer,
    html,
    redirect,
    refusing_where,
    rejecting,
    silent,
    status,
    tls_only,
)
from tests.faults import knowing_key
from tests.forge import run
from tests.ports import unused_url
from tests.receiver import COMMAND, wait_for

KEY = "fp_project_of_a_drain"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def leave(journal: Path, endpoint: str, *names: str, key: str = KEY) -> None:
    """What a process leaves that has recorded these and is gone."""
    made = Journal(str(journal), Options(key, endpoint).binding, lambda _: None)
    for name in names:
        assert made.append(a_record(step_key=name, id=f"{name:0>32}"))
    made.reset_in_child()


def drain(journal: Path | None, endpoint: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """The exit code, what was said, and what was complained about."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAILPATH_")}
    where = [] if journal is None else ["--journal", str(journal)]
    variables = {**kept, "FAILPATH_PROJECT_KEY": KEY, "FAILPATH_DEV_ENDPOINT": endpoint, **environment}
    ended = run([*COMMAND, "drain", *where, *arguments], env=variables)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def names(server: FaultServer) -> list[str]:
    return [event["stepKey"] for event in server.taken]


def left(journal: Path) -> int:
    """How many records there are on disk."""
    # Unlike a path's own `glob`, this one does not mind a directory that gets its name at this moment.
    return sum(Path(path).read_bytes().count(b'"stepKey"') for path in glob.glob(f"{journal}/*/*.records"))  # noqa: PTH207


@pytest.mark.process
def test_everything_is_delivered_and_deleted(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a", "b")
    leave(journal, server.url, "c")
    assert drain(journal, server.url) == (0, "failpath-otel: 3 records delivered\n", "")
    assert sorted(names(server)) == ["a", "b", "c"]
    assert list(journal.iterdir()) == []
    assert drain(journal, server.url) == (0, "", "")


@pytest.mark.process
def test_the_journal_may_come_from_the_environment_and_the_endpoint_from_an_argument(
    server: FaultServer, journal: Path
) -> None:
    leave(journal, server.url, "a")
    code, said, _ = drain(None, unused_url(), "--endpoint", server.url, FAILPATH_JOURNAL=str(journal))
    assert (code, said) == (0, "failpath-otel: 1 record delivered\n")


@pytest.mark.process
@pytest.mark.parametrize("there", [False, True])
def test_where_nothing_is_nothing_is_said_and_nothing_is_made(server: FaultServer, journal: Path, there: bool) -> None:
    if there:
        journal.mkdir()
        assert drain(journal, server.url) == (0, "", "")
    # That of the environment is made by the first program that records something.
    assert drain(None, server.url, FAILPATH_JOURNAL=str(journal)) == (0, "", "")
    assert journal.exists() is there
    assert server.requests == []


@pytest.mark.process
@pytest.mark.parametrize("below", ["typo", "no/such/typo", "a-file/typo"])
def test_a_directory_that_is_named_and_does_not_exist_is_a_mistake_in_the_arguments(
    server: FaultServer, tmp_path: Path, below: str
) -> None:
    (tmp_path / "a-file").touch()
    where = tmp_path / below
    assert drain(where, server.url) == (2, "", f"failpath-otel: the journal directory {where} does not exist\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file"]
    assert server.requests == []


@pytest.mark.process
def test_a_directory_that_is_named_is_looked_for_where_home_is(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    assert drain(Path("~/journal"), server.url, HOME=str(tmp_path)) == (0, "", "")
    code, _, complained = drain(Path("~/typo"), server.url, HOME=str(tmp_path))
    assert (code, complained) == (2, f"failpath-otel: the journal directory {tmp_path}/typo does not exist\n")


@pytest.mark.process
def test_a_directory_that_cannot_be_looked_at_is_not_said_to_be_missing(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, said, complained = drain(tmp_path / "loop" / "journal", server.url)
    assert "does not exist" not in said + complained
    assert code != 2


@pytest.mark.process
@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"FAILPATH_PROJECT_KEY": ""}, "the project key is missing: set FAILPATH_PROJECT_KEY"),
        ({}, "there is no journal"),
    ],
)
def test_what_is_missing_is_one_clear_line(server: FaultServer, variables: dict[str, str], complaint: str) -> None:
    code, said, complained = drain(None, server.url, FAILPATH_JOURNAL="off", **variables)
    assert (code, said, complained.count("\n")) == (1, "", 1)
    assert complaint in complained


@pytest.mark.parametrize("seconds", ["-1", "x", "1e3", "", "100000"])
def test_a_timeout_that_is_none_is_refused(journal: Path, seconds: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["drain", "--journal", str(journal), "--timeout", seconds])
    assert caught.value.code == 2


@pytest.mark.process
def test_rules_that_are_for_programs_and_lie_elsewhere_do_not_matter(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a")
    drained = drain(journal, server.url, FAILPATH_RULES="no-such.toml")
    assert drained == (0, "failpath-otel: 1 record delivered\n", "")


@pytest.mark.process
def test_what_is_for_another_project_or_endpoint_stays_until_it_is_moved_on_purpose(
    server: FaultServer, journal: Path
) -> None:
    leave(journal, unused_url(), "elsewhere")
    leave(journal, server.url, "theirs", key="fp_project_of_others")
    leave(journal, server.url, "ours")
    code, said, complained = drain(journal, server.url)
    assert (code, said) == (0, "failpath-otel: 1 record delivered\n")
    assert complained.count(" (1)") == 2
    assert "for another project key, endpoint or route" in complained
    assert names(server) == ["ours"]
    assert drain(journal, server.url, "--rebind") == (0, "failpath-otel: 2 records delivered\n", "")
    assert sorted(names(server)) == ["elsewhere", "ours", "theirs"]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


@pytest.mark.process
def test_what_is_moved_can_be_what_was_recorded_for_one_of_several(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "theirs", key="fp_project_of_others")
    leave(journal, server.url, "wrong", key="fp_project_that_was_wrong")
    wrong = Options("fp_project_that_was_wrong", server.url).binding
    _, _, complained = drain(journal, server.url)
    assert f"{wrong} (1)" in complained
    assert drain(journal, server.url, "--rebind", wrong) == (0, "failpath-otel: 1 record delivered\n", "")
    assert names(server) == ["wrong"]
    assert left(journal) == 1


@pytest.mark.parametrize("mistyped", ["", "nonsense", "25D3BF6DA0CAEC5B", "25d3bf6da0caec5", "--rebind"])
def test_bad_input_a_hash_that_no_journal_can_have_is_a_mistake_and_not_nothing_to_deliver(
    mistyped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["drain", f"--rebind={mistyped}"])
    assert caught.value.code == 2
    assert "expected a hash of 16 digits" in capsys.readouterr().err


@pytest.mark.process
def test_a_route_is_a_part_of_what_a_journal_is_for(server: FaultServer, journal: Path) -> None:
    made = Journal(str(journal), Options(KEY, server.url, route="/ingest").binding, lambda _: None)
    assert made.append(a_record(step_key="a", id=f"{'a':0>32}"))
    made.reset_in_child()
    assert "(1)" in drain(journal, server.url)[2]
    assert drain(journal, server.url, "--route", "/ingest") == (0, "failpath-otel: 1 record delivered\n", "")
    assert [request.path for request in server.requests] == ["/ingest"]


@pytest.mark.process
def test_what_is_left_counts_the_journals_too_that_were_not_begun(server: FaultServer, journal: Path) -> None:
    for number in range(limits.MAX_LOCKED_ORPHANS + 5):
        leave(journal, server.url, f"step-{number}")
    server.answer_with(status(503))
    code, said, _ = drain(journal, server.url, "--timeout", "0.2")
    assert code == 1
    assert said.startswith(f"failpath-otel: {limits.MAX_LOCKED_ORPHANS + 5} left in {journal}; "), said


@pytest.mark.process
@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (status(404), "404"),
        (status(401), "refused the project key"),
        (redirect("http://127.0.0.1:9/"), "redirects"),
        (status(421), "421"),
        (html, "something other than JSON"),
    ],
    ids=["404", "401", "redirect", "421", "html"],
)
def test_an_answer_that_is_about_the_key_or_the_way_ends_it_at_once_and_loses_nothing(
    server: FaultServer, journal: Path, behaviour: object, why: str
) -> None:
    leave(journal, server.url, "a", "b", "c")
    server.answer_with(behaviour)  # type: ignore[arg-type]
    code, said, logged = drain(journal, server.url)
    assert code == 1
    assert re.fullmatch(f"failpath-otel: 3 left in {re.escape(str(journal))}; .*{why}.*\n", said), said
    assert "stay in the journal" in logged
    assert "sent again" not in logged
    assert len(server.requests) == 1
    assert left(journal) == 3


@pytest.mark.process
def test_an_endpoint_that_refuses_whatever_it_is_asked_to_take_ends_it_and_loses_nothing(
    server: FaultServer, journal: Path
) -> None:
    leave(journal, server.url, *"abcdefghij")
    server.answer_with(tls_only)
    code, said, _ = drain(journal, server.url)
    assert (code, said.count("\n")) == (1, 1)
    assert "10 left in" in said
    assert "(400), whatever record it is asked to take" in said
    assert len(server.requests) == 5
    assert left(journal) == 10


@pytest.mark.process
def test_records_that_are_refused_for_what_they_contain_are_lost_and_their_neighbours_are_not(
    server: FaultServer, journal: Path
) -> None:
    leave(journal, server.url, *"abcdefghij")
    server.answer_with(refusing_where(lambda event: event["stepKey"] == "d"))
    assert drain(journal, server.url)[:2] == (0, "failpath-otel: 9 records delivered; 1 lost (send_failed)\n")
    assert sorted(set(names(server))) == list("abcefghij")


@pytest.mark.process
@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem", "REQUESTS_CA_BUNDLE names /nowhere/ca.pem, which does not exist"),
        ("ALL_PROXY", "http://", "ALL_PROXY is not the URL of a proxy"),
    ],
)
def test_a_set_up_by_which_nothing_can_be_asked_ends_it_at_once_names_the_variable_and_loses_nothing(
    journal: Path, variable: str, value: str, why: str
) -> None:
    endpoint = unused_url().replace("http://", "https://")
    leave(journal, endpoint, "a", "b")
    code, said, _ = drain(journal, endpoint, "--timeout", "20", **{variable: value})
    assert code == 1
    assert "2 left in" in said
    assert why in said
    assert left(journal) == 2


@pytest.mark.process
def test_the_right_key_delivers_what_a_wrong_one_has_left(server: FaultServer, journal: Path) -> None:
    server.answer_with(knowing_key(KEY))
    leave(journal, server.url, "a", key="fp_project_that_was_wrong")
    assert drain(journal, server.url, "--rebind")[:2] == (0, "failpath-otel: 1 record delivered\n")


@pytest.mark.process
def test_an_outage_ends_it_after_the_timeout_and_loses_nothing(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a")
    server.answer_with(status(503))
    code, said, complained = drain(journal, server.url, "--timeout", "0.7")
    assert code == 1
    assert "1 left in" in said
    assert "503" in said
    assert complained == ""
    assert 2 <= len(server.requests) <= 4
    server.answer_with(silent)
    assert drain(journal, server.url, "--timeout", "0.3")[0] == 1
    assert drain(journal, server.url, "--timeout", "0")[0] == 1
    assert left(journal) == 1


@pytest.mark.process
def test_an_endpoint_that_comes_back_in_time_gets_everything(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a")
    server.answer_with(status(503), status(500), rejecting())
    assert drain(journal, server.url)[:2] == (0, "failpath-otel: 1 record delivered\n")


@pytest.mark.process
def test_records_that_are_rejected_are_reported_as_lost(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a", "b", "c")
    server.answer_with(rejecting(1))
    code, said, _ = drain(journal, server.url)
    assert (code, said) == (0, "failpath-otel: 2 records delivered; 1 lost (rejected)\n")
    assert names(server) == ["a", "c"]


@pytest.mark.process
def test_processes_that_live_are_left_alone(server: FaultServer, journal: Path) -> None:
    program = """
        import time, failpath_otel
        failpath_otel.configure(send_timeout=60).run("checkout", run_id="r").step("alive", lambda: time.sleep(60))
    """
    server.answer_with(silent)
    with start_program(program, server.url, FAILPATH_JOURNAL=str(journal), FAILPATH_PROJECT_KEY=KEY) as living:
        try:
            wait_for(lambda: left(journal) == 1)
            assert drain(journal, server.url) == (0, "", "")
            assert left(journal) == 1
            living.send_signal(signal.SIGKILL)
            living.wait(10)
            server.answer_with()
            assert drain(journal, server.url)[:2] == (0, "failpath-otel: 1 record delivered\n")
        finally:
            living.kill()
    assert [(event["stepKey"], event["status"]) for event in server.taken] == [("alive", "running")]


@pytest.mark.process
@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_a_place_that_is_no_directory_is_said_and_is_a_failure(server: FaultServer, journal: Path, kind: str) -> None:
    if kind == "file":
        journal.touch()
    else:
        journal.with_name("elsewhere").mkdir()
        journal.symlink_to(journal.with_name("elsewhere"))
    code, said, complained = drain(journal, server.url)
    assert (code, said, complained.count("\n")) == (1, "", 1)
    assert str(journal) in complained


def dated(times: int) -> list[Behaviour]:
    """Answers of a server that shows its clock."""
    return [answer(202, b"", (), Date=formatdate(usegmt=True))] * times


def the_file(journal: Path) -> Path:
    [path] = journal.glob("*/*.records")
    return path


@pytest.mark.process
def test_a_flipped_bit_costs_one_record_which_is_said_and_makes_it_fail(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, *(f"step-{number}" for number in range(200)))
    path = the_file(journal)
    content = bytearray(path.read_bytes())
    content[content.index(b"step-77")] ^= 1
    path.write_bytes(content)
    code, said, complained = drain(journal, server.url)
    assert (code, said) == (1, "failpath-otel: 199 records delivered; 1 lost (damaged)\n")
    assert names(server) == [f"step-{number}" for number in range(200) if number != 77]
    assert "damaged and lost: at least 1" in complained
    assert "cut off" not in complained
    assert drain(journal, server.url) == (0, "", "")


@pytest.mark.process
def test_a_damaged_header_costs_no_record_is_said_and_makes_it_fail(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a", "b")
    with the_file(journal).open("r+b") as file:
        file.seek(8)
        file.write(b"\xff" * 8)
    code, said, complained = drain(journal, server.url)
    assert (code, said) == (1, "failpath-otel: 2 records delivered; 1 damaged file\n")
    assert names(server) == ["a", "b"]
    assert "header" in complained


@pytest.mark.process
def test_a_record_that_was_cut_off_by_the_end_of_its_process_is_no_failure(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, "a", "torn")
    path = the_file(journal)
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(content.rstrip(b"\0")) - 30)
        file.write(b"\0" * 30)
    code, said, complained = drain(journal, server.url)
    assert (code, said) == (0, "failpath-otel: 1 record delivered\n")
    assert "cut off when its process ended" in complained


# The figures of `getrusage` for a program include the memory of the process that started it.
@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")
def test_a_file_that_is_larger_than_a_segment_is_refused_by_name_and_not_read(
    server: FaultServer, journal: Path
) -> None:
    leave(journal, server.url, "a")
    path = the_file(journal)
    large = path.with_name("00000002.records")
    large.write_bytes(path.read_bytes())
    os.truncate(large, 20 << 30)
    program = f"""
        from pathlib import Path
        from failpath_otel.cli.main import main
        code = main(["drain", "--journal", {str(journal)!r}])
        [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        print(code, peak.split()[1])
    """
    with start_program(program, server.url, FAILPATH_PROJECT_KEY=KEY) as draining:
        said, complained = draining.communicate(timeout=30)
    assert said.splitlines()[0] == "failpath-otel: 1 record delivered; 1 damaged file"
    code, kilobytes = map(int, said.splitlines()[1].split())
    assert code == 1
    assert kilobytes < 300_000
    assert f"00000002.records in {large.parent.name} is left alone: it is larger than any segment" in complained
    assert large.exists()


@pytest.mark.process
def test_a_clock_that_stands_years_ahead_costs_no_record(server: FaultServer, journal: Path) -> None:
    leave(journal, server.url, *(f"step-{number}" for number in range(1_200)))
    server.answer_with(*dated(3))
    program = f"""
        import time
        now = time.time
        time.time = lambda: now() + 3 * 365 * 86_400
        from failpath_otel.cli.main import main
        print(main(["drain", "--journal", {str(journal)!r}]))
    """
    with start_program(program, server.url, FAILPATH_PROJECT_KEY=KEY) as draining:
        said, _ = draining.communicate(timeout=30)
    assert said == "failpath-otel: 1200 records delivered\n0\n"
    assert len(names(server)) == 1_200


@pytest.mark.process
@pytest.mark.parametrize("date", [True, False])
def test_records_that_are_too_old_by_a_clock_that_the_endpoint_confirms_are_given_up(
    server: FaultServer, journal: Path, date: bool
) -> None:
    long_ago = time.time() - limits.MAX_AGE_SECONDS - 100
    with patch.object(current_module, "time", lambda: long_ago):
        leave(journal, server.url, *(f"step-{number}" for number in range(1_200)))
    os.utime(the_file(journal), (long_ago, long_ago))
    if date:
        server.answer_with(*dated(3))
    code, said, _ = drain(journal, server.url)
    assert code == 0
    expected = "512 records delivered; 688 lost (too_old)" if date else "1200 records delivered"
    assert said == f"failpath-otel: {expected}\n"
