"""A gateway that cannot take what comes says so, the exporter for JavaScript comes again, and nothing is lost."""

import signal
import threading
from pathlib import Path

import pytest

from tests.fault_server import accepted, fault_server, held, status
from tests.gateway.gateways import start_gateway
from tests.integration.peers.node import Node
from tests.integration.peers.records import Chain, assert_story, statuses
from tests.ports import unused_port
from tests.receiver import wait_for


def assert_told_when(retries: list[int], least: int) -> None:
    """The exporter waits for as long as it was told, which are whole seconds; of itself it would add a random part."""
    assert retries
    assert retries[0] >= least
    assert [milliseconds % 1000 for milliseconds in retries] == [0] * len(retries)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_while_failpath_takes_nothing_the_exporter_is_told_when_to_come_again(
    node: Node, run_id: str, encoding: str
) -> None:
    with fault_server(status(429, Retry_After="2"), accepted) as failpath, start_gateway(failpath.url, None) as gateway:
        told = node.act("steps", run_id, gateway.url, encoding)
        chain = Chain(gateway, failpath)
        assert chain.settle()["refused"] >= 1
        assert_story(chain.kept_of(run_id), run_id, told.pid, told.trace)
        assert len(failpath.taken) == 9, "with the two of the step without a run id"
    assert told.taken == [True]
    assert_told_when(told.every("retry"), 2000)


def test_while_there_is_no_room_the_exporter_is_told_to_come_again(node: Node, run_id: str) -> None:
    gate = threading.Event()
    little = {"FAILPATH_MAX_QUEUE_SIZE": "10", "FAILPATH_SEND_TIMEOUT": "20"}
    with fault_server(held(gate, accepted)) as failpath, start_gateway(failpath.url, None, **little) as gateway:
        with node.acting("steps", f"{run_id}-1", gateway.url, "protobuf") as first:
            failpath.wait_for_requests(1)
            with node.acting("steps", f"{run_id}-2", gateway.url, "protobuf") as second:
                second.wait_for("retry")
                assert gateway.health()["status"] == "ok", "Failpath is slow, and not gone"
                gate.set()
                ended = [first.finish(), second.finish()]
        chain = Chain(gateway, failpath)
        chain.settle()
        for number, told in enumerate(ended, 1):
            run = f"{run_id}-{number}"
            assert_story(chain.kept_of(run), run, told.pid, told.trace)
    assert [told.taken for told in ended] == [[True], [True]]
    assert ended[0].every("retry") == []
    assert_told_when(ended[1].every("retry"), 1000)


def test_a_gateway_that_comes_late_gets_everything_once(node: Node, run_id: str, tmp_path: Path) -> None:
    port = str(unused_port())
    with fault_server() as failpath, node.acting("steps", run_id, f"http://127.0.0.1:{port}", "json") as act:
        act.wait_for("retry")
        with start_gateway(failpath.url, tmp_path / "journal", "--port", port) as gateway:
            told = act.finish()
            assert told.taken == [True]
            chain = Chain(gateway, failpath)
            chain.settle()
            assert_story(chain.events_of(run_id), run_id, told.pid, told.trace)


def test_a_gateway_that_is_killed_and_comes_back_loses_nothing(node: Node, run_id: str, tmp_path: Path) -> None:
    port = ("--port", str(unused_port()))
    with (
        fault_server(status(503)) as failpath,
        start_gateway(failpath.url, tmp_path / "journal", *port) as gateway,
        node.acting("many", run_id, gateway.url, "protobuf") as act,
    ):
        act.wait_for("sent")
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait(10)
        assert failpath.taken == []
        failpath.answer_with(accepted)
        with start_gateway(failpath.url, tmp_path / "journal", *port) as again:
            told = act.finish()
            wait_for(lambda: len(failpath.taken) == 2400, 30)
            kept = Chain(again, failpath).kept_of(run_id)
    assert told.taken == [True, True, True]
    assert statuses(kept) == {f"step-{number}": ["running", "success"] for number in range(1200)}
