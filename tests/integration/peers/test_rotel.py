"""A collector of others between the programs and the gateway, which keeps what it has in memory and comes again.

It answers a program at once and sends on later, so nobody learns of what it drops: it has to be shown that it drops
nothing.
"""

import signal
from pathlib import Path
from typing import Final

import pytest

from tests.fault_server import accepted, fault_server, status
from tests.gateway.gateways import start_gateway
from tests.integration.peers.exporters import STORY, act, exporting
from tests.integration.peers.node import Node
from tests.integration.peers.records import Chain, assert_story, statuses
from tests.integration.peers.rotel import Rotel, start_rotel
from tests.ports import unused_port
from tests.receiver import wait_for

RECORDS: Final = sum(map(len, STORY.values()))
COMPRESSION: Final = {"protobuf": "none", "json": "gzip"}


def test_steps_of_python_arrive_once(rotel: Rotel, chain: Chain, run_id: str) -> None:
    with exporting(rotel.url, "protobuf") as provider:
        act(provider, run_id)
    wait_for(lambda: len(chain.events_of(run_id)) >= RECORDS)
    chain.settle()
    assert statuses(chain.events_of(run_id)) == STORY


@pytest.mark.parametrize("encoding", COMPRESSION)
def test_steps_of_javascript_arrive_once(node: Node, rotel: Rotel, chain: Chain, run_id: str, encoding: str) -> None:
    told = node.act("steps", run_id, rotel.url, encoding, OTEL_EXPORTER_OTLP_COMPRESSION=COMPRESSION[encoding])
    assert (told.taken, told.every("complaint")) == ([True], [])
    wait_for(lambda: len(chain.events_of(run_id)) >= 7)
    chain.settle()
    assert_story(chain.events_of(run_id), run_id, told.pid, told.trace)


def test_while_the_gateway_answers_503_nothing_is_lost(rotel_program: Path, run_id: str, tmp_path: Path) -> None:
    with (
        fault_server(status(503)) as failpath,
        start_gateway(failpath.url, None) as gateway,
        start_rotel(rotel_program, gateway.url, tmp_path) as rotel,
        exporting(rotel.url, "protobuf") as provider,
    ):
        chain = Chain(gateway, failpath)
        act(provider, run_id)
        wait_for(lambda: rotel.said("Http(503") >= 3, 20)
        assert failpath.taken == []
        failpath.answer_with(accepted)
        wait_for(lambda: gateway.health()["spans"]["requests"] >= 1, 20)
        assert chain.settle()["refused"] >= 3
        assert statuses(chain.kept_of(run_id)) == STORY
        assert rotel.said("dropping data") == 0


def test_one_gateway_goes_and_another_comes_and_nothing_is_lost(
    rotel_program: Path, run_id: str, tmp_path: Path
) -> None:
    port = ("--port", str(unused_port()))
    with (
        fault_server() as failpath,
        start_gateway(failpath.url, tmp_path / "first", *port) as first,
        start_rotel(rotel_program, first.url, tmp_path) as rotel,
        exporting(rotel.url, "protobuf") as provider,
    ):
        act(provider, f"{run_id}-1")
        failpath.wait_for_events(RECORDS)
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(20) == 0
        act(provider, f"{run_id}-2")
        wait_for(lambda: rotel.said("Err(Connect)") >= 2, 20)
        act(provider, f"{run_id}-3")
        with start_gateway(failpath.url, tmp_path / "second", *port) as second:
            failpath.wait_for_events(3 * RECORDS, 20)
            chain = Chain(second, failpath)
            chain.settle()
            assert [statuses(chain.events_of(f"{run_id}-{number}")) for number in (1, 2, 3)] == [STORY] * 3
        assert rotel.said("dropping data") == 0
