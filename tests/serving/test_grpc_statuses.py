"""Refusals as gRPC has them, against the classes of ``google.rpc``."""

from importlib.util import find_spec

import pytest

if find_spec("grpc") is None or find_spec("google.rpc") is None:
    pytest.skip("gRPC is not installed", allow_module_level=True)

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from starlette.exceptions import HTTPException

from failpath_otel.serving.grpc.statuses import code_of, details_of


@pytest.mark.parametrize("seconds", [1, 70, 128, 172_800])
def test_a_pause_is_a_retry_info(seconds: int) -> None:
    refusal = HTTPException(503, "the journal is full \N{SNOWMAN} " * 20, {"Retry-After": str(seconds)})
    expected = status_pb2.Status(code=14, message=refusal.detail)
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromSeconds(seconds)
    detail = AnyMessage()
    detail.Pack(info)
    expected.details.append(detail)
    assert status_pb2.Status.FromString(details_of(refusal)) == expected


@pytest.mark.parametrize(
    ("status", "name", "number"),
    [
        (400, "INVALID_ARGUMENT", 3),
        (415, "INVALID_ARGUMENT", 3),
        (401, "UNAUTHENTICATED", 16),
        (403, "PERMISSION_DENIED", 7),
        (404, "NOT_FOUND", 5),
        (413, "RESOURCE_EXHAUSTED", 8),
        (500, "INTERNAL", 13),
        (501, "UNIMPLEMENTED", 12),
        (503, "UNAVAILABLE", 14),
    ],
)
def test_what_is_final_has_a_code_and_no_pause(status: int, name: str, number: int) -> None:
    refusal = HTTPException(status, "why")
    assert code_of(refusal).name == name
    assert status_pb2.Status.FromString(details_of(refusal)) == status_pb2.Status(code=number, message="why")
