"""The example of gRPC, as it stands: a service that is killed in a step, while its caller waits."""

from tests.integration.applications.examples import (
    run_example,
    said,
    start_example,
    step_of,
    wait_until_shown,
)
from tests.integration.processes.site import Site


def test_a_call_by_grpc_is_in_the_run_of_its_caller_and_a_killed_service_leaves_the_step_gone(
    site: Site, order: str
) -> None:
    service = start_example(site, "grpc_service.py", "serve", "0")
    port = said(site, service, r"at 127\.0\.0\.1:(\d+)")
    assert run_example(site, "grpc_service.py", "call", port, order).splitlines() == [
        "shelf B-7",
        *(f"{order}: {place}" for place in ("depot", "van", "door")),
    ]
    whole = [("call-warehouse", "success"), ("reserve-stock", "success"), ("track-parcel", "success")]
    wait_until_shown(site, order, "fulfilment", whole)

    slow = f"slow-{order}"
    caller = start_example(site, "grpc_service.py", "call", port, slow, "--slow")
    running = [("call-warehouse", "running"), ("reserve-stock", "running")]
    wait_until_shown(site, slow, "fulfilment", running)
    service.process.kill()
    wait_until_shown(site, slow, "fulfilment", [("call-warehouse", "error"), ("reserve-stock", "gone")])
    assert caller.wait() == 1
    error = step_of(site, slow, "fulfilment", "call-warehouse")["error"]
    assert "StatusCode.UNAVAILABLE" in error["message"]
