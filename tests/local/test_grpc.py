"""The local receiver by gRPC, and with TLS for all that speak to it."""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.gateway.requests import PROTOBUF, protobuf_of
from tests.grpc_client import HEALTH, LOGS, METRICS, GrpcClient, Reply, start_grpc_client
from tests.logs import log, log_request
from tests.receiver import COMMAND, KEY, Receiver, start_receiver
from tests.serving.tls_files import TlsFiles, write_tls_files
from tests.spans.foreign import a_span

pytestmark = pytest.mark.process

STEP = protobuf_of([a_span()])
PROGRAM = """
import failpath_otel
client = failpath_otel.configure()
client.run("checkout", run_id="by-https").step("charge", lambda: None)
print(client.flush(10))
"""


@pytest.fixture(scope="module")
def client() -> Iterator[GrpcClient]:
    with start_grpc_client() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return write_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secured(files: TlsFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    database = tmp_path_factory.mktemp("receiver") / "local.db"
    with start_receiver(database, *files.options, "--grpc-port", "0", "--token", "a-long-token") as started:
        yield started


def grpc_of(receiver: Receiver) -> str:
    found = re.search(r" and by gRPC at (\S+) ", receiver.ready)
    assert found
    return found[1]


def test_steps_by_grpc_are_shown(client: GrpcClient, tmp_path: Path) -> None:
    with start_receiver(tmp_path / "local.db", "--grpc-port", "0") as receiver:
        url = grpc_of(receiver)
        assert client.call(url, STEP, gzip=True) == Reply("OK")
        [run] = receiver.runs()
        assert run["status"] == "success"
        assert client.call(url, b"", HEALTH) == Reply("OK", message=b"\x08\x01")
        of_step = log(trace=run["steps"][0]["traceId"], span=run["steps"][0]["spanId"])
        assert client.call(url, log_request(of_step, kind=PROTOBUF), LOGS, gzip=True) == Reply("OK")
        [line] = receiver.request(f"/api/page/logs/{run['runId']}").json()["logs"]
        assert line["relation"] == "span"
        assert client.call(url, log_request(log(span="00"), kind=PROTOBUF), LOGS).message.startswith(b"\x0a")
        assert client.call(url, b"anything", LOGS).code == "INVALID_ARGUMENT"
        assert client.call(url, b"anything", METRICS).code == "UNIMPLEMENTED"


def test_grpc_is_served_only_where_it_is_asked_for(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "local.db") as receiver:
        assert "gRPC" not in receiver.ready


def test_with_tls_steps_by_grpc_need_the_token(secured: Receiver, client: GrpcClient, files: TlsFiles) -> None:
    url = grpc_of(secured)
    assert url.startswith("https://")
    assert client.call(url, STEP, ca=files.authority).code == "UNAUTHENTICATED"
    assert client.call(url, STEP, ca=files.authority, authorization="Bearer a-long-token") == Reply("OK")


def run(command: list[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
    return subprocess.run(command, env=kept | variables, capture_output=True, text=True, timeout=60, check=False)


def test_with_tls_programs_deliver_and_the_command_shows_what_they_did(
    secured: Receiver, files: TlsFiles, tmp_path: Path
) -> None:
    trusted = {"REQUESTS_CA_BUNDLE": str(files.authority)}
    variables = {"FAILPATH_PROJECT_KEY": "a-long-token", "FAILPATH_DEV_ENDPOINT": secured.url}
    journal = {"FAILPATH_JOURNAL": str(tmp_path / "journal")}
    done = run([sys.executable, "-c", PROGRAM], **trusted, **variables, **journal)
    assert (done.stdout, done.stderr) == ("True\n", "")
    runs = [*COMMAND, "runs", "--url", secured.url, "--token", "a-long-token"]
    shown = run(runs, **trusted)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "by-https" in shown.stdout
    refused = run(runs)
    assert refused.returncode == 1
    assert "TLS failed" in refused.stderr
    assert "REQUESTS_CA_BUNDLE names the certificates" in refused.stderr


def test_with_tls_the_page_of_the_receiver_is_of_its_own_origin(secured: Receiver, files: TlsFiles) -> None:
    context = ssl.create_default_context(cafile=files.authority)
    with closing(HTTPSConnection("127.0.0.1", secured.port, timeout=20, context=context)) as connection:
        connection.request("GET", "/api/runs", headers={"Authorization": "Bearer a-long-token", "Origin": secured.url})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        connection.request("GET", "/?token=a-long-token")
        assert "; Secure" in (connection.getresponse().headers["set-cookie"] or "")


def test_a_key_without_a_certificate_ends_it_with_one_line(files: TlsFiles) -> None:
    done = run([*COMMAND, "local", "--port", "0", "--tls-key", str(files.key)])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "failpath-otel: --tls-cert and --tls-key go together: --tls-cert is missing\n"
    assert KEY not in done.stderr
