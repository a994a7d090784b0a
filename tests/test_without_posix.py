"""All of the package where there is nothing of POSIX."""

import json
from pathlib import Path

import pytest

from tests.delivery.programs import succeed
from tests.fault_server import FaultServer

PROGRAM = """
    import asyncio, fcntl, importlib, logging, multiprocessing.util, os, pkgutil, subprocess, sys, tempfile, types
    import uuid
    import anyio, django, grpc, opentelemetry.sdk.trace.export, platformdirs, prometheus_client, pytest, requests
    import sse_starlette, starlette.applications, starlette.staticfiles, uvicorn, jsonschema_rs
    from tests.without_posix import become_windows

    def locking(descriptor, mode, size, flock=fcntl.flock):
        flock(descriptor, fcntl_flags)

    fcntl_flags = fcntl.LOCK_EX | fcntl.LOCK_NB
    loaded = set(sys.modules)
    become_windows()
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    logging.basicConfig(stream=sys.stdout, level="WARNING", format="%(message)s")

    import failpath_otel
    failed = []
    for module in pkgutil.walk_packages(failpath_otel.__path__, "failpath_otel."):
        if not module.name.endswith(("__main__", ".posix")):
            try:
                importlib.import_module(module.name)
            except Exception as error:
                failed.append(f"{module.name}: {error!r}")
    print(failed)
    from failpath_otel.local.liveness.proc import CAN_INSPECT
    from failpath_otel.cli.main import main
    print(CAN_INSPECT)

    failpath = failpath_otel.configure()
    run = failpath.run("checkout", run_id="in memory")
    run.step("pack", lambda: None)
    with run.step("ship"):
        pass
    print(failpath.flush(10), failpath.stats().dropped)
    failpath.shutdown()

    failpath = failpath_otel.configure(journal=os.environ['DIRECTORY'])
    failpath.run("checkout", run_id="journal").step("pack", lambda: None)
    print(len(os.listdir(os.environ['DIRECTORY'])), failpath.flush(10), failpath.stats().dropped)
    failpath.shutdown()
    print(os.listdir(os.environ['DIRECTORY']))
    main(["doctor", "--json"])
    print("end", flush=True)
"""


@pytest.mark.process
def test_all_modules_are_imported_and_steps_are_delivered(tmp_path: Path, server: FaultServer) -> None:
    """In a process of its own, because it changes Python for good."""
    ended = succeed(PROGRAM, server.url, NO_FORGE="1", FAILPATH_JOURNAL="default", DIRECTORY=str(tmp_path / "journal"))
    failed, inspects, off, in_memory, plain, in_journal, left, doctor, _ = ended.lines
    assert (failed, inspects) == ("[]", "False")
    assert "in memory only: on Windows, the journal is off by default" in off
    assert in_memory == "True {}"
    assert "is written by system calls: files are not mapped" in plain
    assert (in_journal, left) == ("1 True {}", "[]")
    assert json.loads(doctor)["ok"]
    assert [(each["runId"], each["stepKey"], each["status"]) for each in server.taken] == [
        ("in memory", "pack", "running"),
        ("in memory", "pack", "success"),
        ("in memory", "ship", "running"),
        ("in memory", "ship", "success"),
        ("journal", "pack", "running"),
        ("journal", "pack", "success"),
    ]
