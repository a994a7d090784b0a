"""gevent and eventlet, whose patches come before, after or in the midst of a delivery: all of it goes on.

Each program has a process of its own, because a patch cannot be taken back. That no greenlet waits for us is shown by
an order of events: a server answers, or a flush ends, only once other greenlets have had their turns.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest
import trustme

from tests.delivery.programs import start_program, succeed
from tests.delivery.test_tls import TlsServer
from tests.fault_server import FaultServer, accepted, held, status, trickling
from tests.forge import Started

# What is patched before what is imported is what these are about.
pytestmark = pytest.mark.usefixtures("real_starts")

DEADLINE: Final = 30.0
PATCH: Final = """
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's own, of a patch that comes late
    import gevent.monkey
    gevent.monkey.patch_all()
"""
START: Final = """
import os, time
import failpath_otel
from failpath_otel import limits
limits.POLLING_SECONDS = 0.1
failpath = failpath_otel.configure()
pipeline = failpath._join.reporter._pipelines[-1]
"""
FIRST: Final = """
failpath.run("checkout").step("first", lambda: None)
assert failpath.flush(20)
while not pipeline.wakeup.asleep:
    time.sleep(0.01)
"""
COMMON: Final = """
import gevent
run = failpath.run("checkout")
turns = 0

def turn():
    global turns
    while True:
        gevent.sleep(0.001)
        turns += 1

def let_turn(count=100):
    wanted = turns + count
    until(lambda: turns >= wanted)

def until(predicate):
    while not predicate():
        gevent.sleep(0.001)

def until_exists(name):
    until(lambda: os.path.exists(os.path.join(os.environ["PLACE"], name)))

gevent.spawn(turn)
"""
ORDERS: Final = {
    "before the import": PATCH + START,
    "after configure()": START + PATCH,
    "while the thread sleeps": START + FIRST + PATCH,
}


@contextmanager
def running(code: str, server: FaultServer, place: Path) -> Iterator[Started]:
    """A program, killed with this block or when it hangs."""
    with start_program(code, server.url, PLACE=str(place)) as process:
        hanging = threading.Timer(DEADLINE, process.kill)
        hanging.start()
        try:
            yield process
        finally:
            hanging.cancel()
            process.kill()


def next_line(process: Started) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().strip()
    return line or pytest.fail(f"the program has ended: {process.stderr.read()}")


@pytest.mark.process
@pytest.mark.parametrize("begin", ORDERS.values(), ids=ORDERS.keys())
def test_greenlets_have_their_turns_while_the_thread_sleeps_sends_and_is_waited_for(
    server: FaultServer, tmp_path: Path, begin: str
) -> None:
    gate = threading.Event()
    program = """
        run.step("second", lambda: None)
        assert failpath.flush(20)
        until(lambda: pipeline.wakeup.asleep)
        let_turn()
        print("asleep", flush=True)
        until_exists("held")
        run.step("third", lambda: let_turn())
        flushes = [gevent.spawn(failpath.flush, 20) for _ in range(3)]
        until_exists("sent")
        let_turn()
        print(pipeline.ledger.waiter_count, any(flush.ready() for flush in flushes), flush=True)
        print([flush.get() for flush in flushes], failpath.stats().waiting, failpath.stats().dropped, flush=True)
    """
    with running(begin + COMMON + dedent(program), server, tmp_path) as process:
        assert next_line(process) == "asleep"
        requests = len(server.requests)
        server.answer_with(held(gate, accepted))
        (tmp_path / "held").touch()
        server.wait_for_requests(requests + 1)
        (tmp_path / "sent").touch()
        assert next_line(process) == "3 False"
        gate.set()
        assert next_line(process) == "[True, True, True] 0 {}"
        assert process.wait(DEADLINE) == 0
    assert server.statuses[-4:] == ["running", "success"] * 2


@pytest.mark.process
def test_a_request_that_is_under_way_when_the_patch_comes_is_answered_and_others_follow(
    server: FaultServer, tmp_path: Path
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    sending = """
failpath.run("checkout").step("first", lambda: None)
while not os.path.exists(os.path.join(os.environ["PLACE"], "sent")):
    time.sleep(0.01)
"""
    program = """
        run.step("second", lambda: let_turn())
        print("patched", flush=True)
        print(failpath.flush(20), failpath.stats().waiting, flush=True)
    """
    with running(START + sending + PATCH + COMMON + dedent(program), server, tmp_path) as process:
        server.wait_for_requests(1)
        (tmp_path / "sent").touch()
        assert next_line(process) == "patched"
        gate.set()
        assert next_line(process) == "True 0"
    assert server.statuses == ["running", "success"] * 2


@pytest.mark.process
def test_greenlets_wait_at_the_same_time_for_what_they_await(server: FaultServer, tmp_path: Path) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    start = START.replace("configure()", 'configure(delivery="await", send_timeout=20.0)')
    program = """
        within = [gevent.spawn(run.step, "pack", lambda: let_turn() or 7) for _ in range(20)]
        until(lambda: pipeline.ledger.waiter_count == 20)
        let_turn()
        print("turned", flush=True)
        print({each.get() for each in within}, failpath.stats().waiting, flush=True)
    """
    with running(start + PATCH + COMMON + dedent(program), server, tmp_path) as process:
        assert next_line(process) == "turned"
        gate.set()
        assert next_line(process) == "{7} 0"


@pytest.mark.process
def test_what_waits_at_the_end_of_a_program_is_delivered(server: FaultServer) -> None:
    succeed(START + PATCH + COMMON + 'run.step("last", lambda: let_turn())\nprint("end", flush=True)', server.url)
    assert server.statuses[-2:] == ["running", "success"]


@pytest.mark.process
def test_a_time_limit_that_comes_as_a_step_is_dropped_reaches_the_application(server: FaultServer) -> None:
    begin = """
        import signal
        import warnings
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine is never awaited

        class TimeLimit(Exception):
            pass

        def on_limit(number, frame):
            raise TimeLimit

        class Interrupting(SpanProcessor):
            def on_end(self, span):
                signal.raise_signal(signal.SIGALRM)

        async def work():
            pass

        signal.signal(signal.SIGALRM, on_limit)
        provider = TracerProvider(shutdown_on_exit=False)
    """
    program = """
        provider.add_span_processor(Interrupting())
        try:
            run.step("dropped", lambda: work())
            until = time.monotonic() + 20
            while time.monotonic() < until:  # and not in gevent's event loop, which would print it and go on
                pass
        except TimeLimit:
            print("end", flush=True)
    """
    start = START.replace("configure()", "configure(tracer_provider=provider)")
    told = succeed(PATCH + dedent(begin) + start + COMMON + dedent(program), server.url)
    assert told.lines == ["end"]


@pytest.mark.process
def test_forked_children_deliver_and_an_idle_parent_delivers_what_they_leave(server: FaultServer) -> None:
    program = """
        from pathlib import Path
        Path(os.environ["FAILPATH_JOURNAL"]).mkdir(exist_ok=True)
        for way in ("end", "die"):
            child = os.fork()
            if not child:
                run.step(way, lambda: os.kill(os.getpid(), 9) if way == "die" else let_turn())
                raise SystemExit
            os.waitpid(child, 0)
        until(lambda: failpath.stats().adopted == 1)
        print("end", flush=True)
    """
    succeed(START + FIRST + PATCH + COMMON + dedent(program), server.url)
    told = [(event["stepKey"], event["status"]) for event in server.events if event["stepKey"] != "first"]
    assert told == [("end", "running"), ("end", "success"), ("die", "running")]


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server with a certificate that programs trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = TlsServer(context)
    yield server
    server.close()


@pytest.mark.process
@pytest.mark.parametrize(
    ("order", "scheme"),
    [("before the import", "https"), ("after configure()", "https"), ("while the thread sleeps", "http")],
)
def test_a_send_is_over_in_its_time_and_the_next_one_succeeds_without_an_event_loop_of_our_own(
    request: pytest.FixtureRequest, order: str, scheme: str
) -> None:
    begin = ORDERS[order]
    server: FaultServer = request.getfixturevalue("tls" if scheme == "https" else "server")
    first = [accepted] if FIRST in begin else []
    server.answer_with(*first, trickling(b"HTTP/1.1 202 Accepted\r\nX-A: " + b"b" * 1000, 0.05), accepted)
    begin = begin.replace("configure()", "configure(send_timeout=0.5, on_error=lambda error: told.append(str(error)))")
    program = """
        import gc
        limits.IDLE_SECONDS = 0.05
        run.step("second", lambda: None)
        until(lambda: told)
        print(failpath.flush(20), told[0].partition(" ")[2])
        until(lambda: pipeline.worker.thread is None)
        print(sum(isinstance(each, gevent.hub.Hub) for each in gc.get_objects()), "event loop")
        print("end", flush=True)
    """
    told = succeed("told = []\n" + begin + COMMON + dedent(program), server.url, FAILPATH_JOURNAL="off")
    assert told.lines == ["True did not answer within 0.5 s", "1 event loop", "end"]


@pytest.mark.process
@pytest.mark.parametrize("client", ["requests", "urllib3"])
def test_https_of_the_application_works_where_gevent_patches_after_a_delivery(tls: FaultServer, client: str) -> None:
    requests = """
        import requests
        print(requests.get(os.environ["FAILPATH_DEV_ENDPOINT"], timeout=20).status_code)
    """
    urllib3 = """
        import urllib3
        pool = urllib3.PoolManager(ca_certs=os.environ["REQUESTS_CA_BUNDLE"])
        print(pool.request("GET", os.environ["FAILPATH_DEV_ENDPOINT"], timeout=20).status)
    """
    program = """
        run.step("second", lambda: None)
        print(failpath.flush(20), flush=True)
        print("end", flush=True)
    """
    own = dedent({"requests": requests, "urllib3": urllib3}[client])
    told = succeed(START + FIRST + PATCH + COMMON + own + dedent(program), tls.url)
    assert told.lines == ["202", "True", "end"]
    events = [event for request in tls.requests if request.method == "POST" for event in request.events]
    assert [event["status"] for event in events] == ["running", "success"] * 2


@pytest.mark.process
def test_on_error_may_use_what_gevent_has_patched_and_leaves_no_event_loop_behind(server: FaultServer) -> None:
    server.answer_with(*[status(503), accepted] * 3)
    begin = START.replace("configure()", "configure(on_error=lambda error: time.sleep(0.01) or told.append(error))")
    program = """
        import gc
        for number in range(1, 4):
            run.step("pack", lambda: None)
            until(lambda: len(told) == number and failpath.flush(20))
            until(lambda: pipeline.callback._thread is None)
        loops = [each for each in gc.get_objects() if isinstance(each, gevent.hub.Hub) and each.loop is not None]
        assert loops == [gevent.get_hub()], loops
        print("end", flush=True)
    """
    succeed("told = []\n" + begin + PATCH + COMMON + dedent(program), server.url)


@pytest.mark.process
def test_in_gevents_own_greenlet_a_flush_does_not_wait(server: FaultServer) -> None:
    program = """
        told = []
        run.step("pack", lambda: None)
        gevent.get_hub().loop.run_callback(lambda: told.append(failpath.flush(20)))
        until(lambda: told)
        print(told, failpath.flush(20))
        print("end", flush=True)
    """
    assert succeed(START + PATCH + COMMON + dedent(program), server.url).lines == ["[False] True", "end"]


@pytest.mark.process
def test_a_redact_that_lets_other_greenlets_run_redacts_none_of_their_values_unasked(server: FaultServer) -> None:
    begin = START.replace("configure()", "configure(redact=lambda key, value: let_turn() or value)")
    program = """
        gevent.joinall([gevent.spawn(run.skip, "pack", metadata={"cart": number}) for number in range(2)])
        assert failpath.flush(20)
        print("end", flush=True)
    """
    succeed(begin + PATCH + COMMON + dedent(program), server.url)
    assert sorted(event["metadata"]["cart"] for event in server.events) == [0, 1]


EVENTLET: Final = """
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet calls itself deprecated
    import eventlet
    eventlet.monkey_patch()
import os
import failpath_otel
failpath = failpath_otel.configure()
run = failpath.run("checkout")
"""


@pytest.mark.process
def test_beside_eventlet_records_are_in_a_journal_and_are_delivered(server: FaultServer) -> None:
    program = """
        def pack():
            eventlet.sleep(0)
            return os.listdir(os.environ["FAILPATH_JOURNAL"])
        assert len(run.step("pack", pack)) == 1
        print(failpath.flush(20))
        print("end", flush=True)
    """
    assert succeed(EVENTLET + dedent(program), server.url).lines == ["True", "end"]
    assert server.statuses == ["running", "success"]


@pytest.mark.process
def test_beside_eventlet_deliveries_go_over_one_connection(server: FaultServer) -> None:
    program = """
        for number in range(3):
            run.step("pack", lambda: eventlet.sleep(0))
            print(failpath.flush(20))
        print("end", flush=True)
    """
    assert succeed(EVENTLET + dedent(program), server.url).lines == ["True"] * 3 + ["end"]
    assert server.connections == 1


@pytest.mark.process
def test_what_a_process_with_eventlet_leaves_is_delivered_by_another_one(server: FaultServer) -> None:
    with start_program(EVENTLET + 'run.step("pack", lambda: os.kill(os.getpid(), 9))', server.url) as killed:
        killed.communicate(timeout=DEADLINE)
    assert server.events == []
    program = """
        while failpath.stats().adopted < 1:
            eventlet.sleep(0.01)
        print("end", flush=True)
    """
    succeed(EVENTLET + dedent(program), server.url)
    assert server.statuses == ["running"]
