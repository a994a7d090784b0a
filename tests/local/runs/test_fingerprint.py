"""Messages of one cause have one shape, those of two causes have two, and none takes long."""

import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel.local.runs.fingerprint import MAX_SHAPE, fingerprint, shape_of

_UNIQUE: Final = 'duplicate key value violates unique constraint "users_email_key"'
_RETRIES: Final = "Max retries exceeded with url:"
_REFUSED: Final = (
    "(Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at %s>: Failed to establish a new "
    "connection: [Errno 111] Connection refused'))"
)
_DIALING: Final = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp %s: '
    'connect: connection refused"'
)
_INVALID: Final = "1 validation error for Order\nqty\n  Input should be a valid integer"

ALIKE: Final = {
    "a number": ["order 17 not found", "order 4711 not found"],
    "ids of many kinds": [
        "order a1b2c3d4 not found",
        "order 17 not found",
        "order 01HF8ZKQ2V9XW5T3N7M4R6B1C0 not found",
        "order 0b54a1de-77f0-4a9e-bd1c-5dbf3f3ee111 not found",
        "order 507f1f77bcf86cd799439011 not found",
        "order V1StGXR8_Z5jdHi6B-myT not found",
    ],
    "ids with a word in front": ["customer cus_NffrFeUfNV2Hib is unknown", "customer cus_9s6XKzkNRiz8i3 is unknown"],
    "a list": ["ids [1, 2, 3] are missing", "ids [17] are missing"],
    "a quoted value": ["invalid city 'Bern'", "invalid city ''", "invalid city 'New York'", 'invalid city "Ulm"'],
    "a value with an apostrophe": ["no user 'Ann O'Brien' here", "no user 'Bob' here"],
    "a time": [
        "no answer since 2026-11-30T10:00:00.123Z",
        "no answer since 2026-12-01 23:59:59",
        "no answer since Mon, 30 Nov 2026 10:00:00",
        "no answer since Dec 1, 2026",
    ],
    "a duration": ["took 1m30.5s, the limit is 60s", "took 61.2s, the limit is 60s"],
    "an amount": ["the balance is -12.50 EUR", "the balance is 1,204 EUR"],
    "an address": [
        "connect ECONNREFUSED 127.0.0.1:5432",
        "connect ECONNREFUSED ::1:5432",
        "connect ECONNREFUSED db.internal:5432",
        "connect ECONNREFUSED localhost:5432",
        "connect ECONNREFUSED [fe80::1%eth0]:5432",
    ],
    "an e-mail address": ["cannot deliver to ann@example.org", "cannot deliver to bob.b+c@mail.example.com"],
    "a path": [
        "ENOENT: no such file or directory, open '/tmp/a b.txt'",
        "ENOENT: no such file or directory, open /var/lib/x/17.csv",
        "ENOENT: no such file or directory, open C:\\data\\x.csv",
        "ENOENT: no such file or directory, open uploads/2026/11/a.png",
    ],
    "a URL": ["GET https://a.example/v1/orders/1?q=2 failed", "GET http://b.example:8080/x failed"],
    "an object in memory": ["<Session object at 0x7f3a12> is closed", "<Session object at 0x55e0ff> is closed"],
    "Java's object": ["Order@1b6d3586 is closed", "Order@27fa135a is closed"],
    "a pod": ["web-7d4b9c6f5d-x2x8k is gone", "web-5f6c8b7d9-abcde is gone"],
    "a token": ["bad token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc", "bad token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIy.x_-"],
    "a hash": ["commit 12345678 is unknown", "commit deadbee1 is unknown"],
    "white space": ["a  failed\n\n", " a failed"],
    "Postgres, unique": [
        f"{_UNIQUE}\nDETAIL:  Key (email)=(a@b.com) already exists.",
        f"{_UNIQUE}\nDETAIL:  Key (email)=(Ann Lee) already exists.",
    ],
    "Postgres, syntax": [
        'invalid input syntax for type integer: "abc"',
        'invalid input syntax for type integer: "12 abc"',
    ],
    "MySQL": [
        "(1062, \"Duplicate entry 'a@b.c' for key 'users.email'\")",
        "(1062, \"Duplicate entry 'Ann' for key 'users.email'\")",
    ],
    "Mongo": [
        'E11000 duplicate key error collection: shop.users index: email_1 dup key: { email: "a@b.c" }',
        'E11000 duplicate key error collection: shop.users index: email_1 dup key: { email: "bob" }',
    ],
    "Redis": ["MOVED 3999 127.0.0.1:6381", "MOVED 12182 10.0.0.7:6379"],
    "requests": [
        "404 Client Error: Not Found for url: https://a.example/orders/1",
        "404 Client Error: Not Found for url: https://a.example/orders/2?x=1",
    ],
    "urllib3": [
        f"HTTPSConnectionPool(host='a.example', port=443): {_RETRIES} /orders/1 {_REFUSED % '0x7f1'}",
        f"HTTPSConnectionPool(host='b.example', port=8443): {_RETRIES} /orders/2?x=1 {_REFUSED % '0x7f2'}",
    ],
    "S3": [
        'User: arn:aws:iam::123456789012:role/a is not authorized to perform: x on resource: "arn:aws:s3:::b/k"',
        'User: arn:aws:iam::210987654321:user/b is not authorized to perform: x on resource: "arn:aws:s3:::c"',
    ],
    "gRPC in Go": [_DIALING % "10.1.2.3:50051", _DIALING % "10.9.2.3:443"],
    "Go": ["dial tcp 10.0.0.1:5432: i/o timeout", "dial tcp [2001:db8::7]:5432: i/o timeout"],
    "Go, indexes": [
        "runtime error: index out of range [5] with length 3",
        "runtime error: index out of range [12] with length 12",
    ],
    "Java, pool": [
        "HikariPool-1 - Connection is not available, request timed out after 30001ms.",
        "HikariPool-2 - Connection is not available, request timed out after 30000ms.",
    ],
    "Java, number": ['For input string: "abc"', 'For input string: "1.2.3"'],
    "Node, JSON": ["Unexpected token } in JSON at position 17", "Unexpected token } in JSON at position 2"],
    "pydantic": [
        f"{_INVALID} [type=int_type, input_value='a', input_type=str]",
        f"{_INVALID} [type=int_type, input_value=None, input_type=x]",
    ],
    "a process": [
        "Command '['git', 'clone', 'x']' returned non-zero exit status 128.",
        "Command '['git', 'pull']' returned non-zero exit status 128.",
    ],
    "JSON": [
        '{"code":"card_declined","message":"Your card was declined.","request":"req_8fh2K"}',
        '{"code":"card_declined","message":"Your card was declined.","request":"req_X77aa"}',
    ],
    "a message whose end differs far behind": [
        "it failed " + "very " * 60 + "badly",
        "it failed " + "very " * 60 + "well",
    ],
}

UNLIKE: Final = {
    "HTTP, axios": ["Request failed with status code 404", "Request failed with status code 500"],
    "HTTP, requests": ["401 Client Error: Unauthorized for url: x", "403 Client Error: Forbidden for url: x"],
    "HTTP, httpx": ["Client error '404 Not Found' for url 'x'", "Client error '400 Bad Request' for url 'x'"],
    "HTTP, by words": ["HTTP 500 from upstream", "HTTP 502 from upstream", "upstream responded with 502"],
    "HTTP, .NET": ["The remote server returned an error: (404) x", "The remote server returned an error: (500) x"],
    "S3": [
        "An error occurred (404) when calling the HeadObject operation: Not Found",
        "An error occurred (403) when calling the HeadObject operation: Forbidden",
        "An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist.",
        "An error occurred (SlowDown) when calling the GetObject operation: Please reduce your request rate.",
    ],
    "exit codes": ["exited with code 1", "the command failed: exit code 1", "the command failed: exit code 137"],
    "signals": ["killed by signal 9", "killed by signal 15"],
    "errno": ["[Errno 111] failed", "[Errno 113] failed", "ConnectionError(104, 'x')", "ConnectionError(32, 'x')"],
    "gRPC": ["rpc error: code = Unavailable desc = x", "rpc error: code = DeadlineExceeded desc = x"],
    "gRPC in Python": [
        '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "x"\n>',
        '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.NOT_FOUND\n\tdetails = "x"\n>',
    ],
    "JSON": ['{"code":"card_declined"}', '{"code":"expired_card"}'],
    "JSON, sentences": ['{"message": "order 1 is paid already"}', '{"message": "order 1 has no items"}'],
    "constraints": [
        'duplicate key value violates unique constraint "users_email_key"',
        'duplicate key value violates unique constraint "users_name_key"',
    ],
    "columns": ['column "x" does not exist', 'column "y" does not exist'],
    "keys": ["'amount'", "'currency'"],
    "attributes": ["'A' object has no attribute 'x'", "'A' object has no attribute 'y'"],
    "MySQL": ["(2003, \"Can't connect to MySQL server on 'db1'\")", "(2013, 'Lost connection to MySQL server')"],
    "a sentence in quotes": [
        "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
        "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
    ],
    "TLS": ["certificate verify failed: certificate has expired", "certificate verify failed: self-signed certificate"],
    "other scripts": ["注文17が見つかりません", "注文17は取り消されました"],
}


@pytest.mark.parametrize("name", ALIKE)
def test_messages_of_one_cause_have_one_shape(name: str) -> None:
    assert len({shape_of(message) for message in ALIKE[name]}) == 1, [shape_of(message) for message in ALIKE[name]]


@pytest.mark.parametrize("name", UNLIKE)
def test_messages_of_two_causes_have_two_shapes(name: str) -> None:
    assert len({shape_of(message) for message in UNLIKE[name]}) == len(UNLIKE[name]), [*map(shape_of, UNLIKE[name])]


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ("order 17 of c-814 not found", "order * of * not found"),
        ("received 17 bytes", "received * bytes"),
        ("Error: 17 orders have no price", "Error: * orders have no price"),
        ("Can't reach db1", "Can't reach *"),
        ("", ""),
        ("plain words, nothing else.", "plain words, nothing else."),
        ("ORA-00942: table or view does not exist", "ORA-*: table or view does not exist"),
    ],
)
def test_a_shape_can_be_read(message: str, shape: str) -> None:
    assert shape_of(message) == shape


def test_eighty_one_failures_of_one_cause_with_an_id_in_each_are_one_error() -> None:
    messages = [f"order {number * 7919 % 100_000} of customer c-{number} could not be charged" for number in range(81)]
    assert len({fingerprint("shop", "charge", "CardError", message) for message in messages}) == 1


def test_a_fingerprint_is_of_flow_step_name_and_shape_and_stays_the_same_from_release_to_release() -> None:
    found = {
        fingerprint(*parts)
        for parts in (("a", "b", "c", "d"), ("x", "b", "c", "d"), ("a", "x", "c", "d"), ("a", "b", "x", "d"))
    }
    found |= {fingerprint("a", "b", "c", "x"), fingerprint("ab", "", "c", "d")}
    assert len(found) == 6
    assert fingerprint("shop", "charge", "CardError", "order 17 failed") == "334131b8cb4b46f7"


_PIECES: Final = st.sampled_from(
    [
        "'",
        '"',
        "a",
        "A1",
        "/",
        "\\",
        ".",
        ":",
        "=",
        "(",
        ")",
        "@",
        "-",
        " ",
        "error ",
        "0",
        "\n",
        "status=",
        "x.com",
        "é",
    ]
)


@given(st.lists(_PIECES, max_size=30), st.integers(1, 400))
def test_the_time_for_a_message_is_bounded_whatever_it_repeats(pieces: list[str], times: int) -> None:
    message = "".join(pieces) * times
    begin = time.thread_time()
    shape = shape_of(message)
    assert time.thread_time() - begin < 0.25  # 4 ms at most when it was measured
    assert len(shape) <= MAX_SHAPE
    assert "\n" not in shape
