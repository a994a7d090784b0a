"""Secrets in free text: what is taken out, what is left alone, and that none of it takes longer than it should."""

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.scrubbing import values
from failpath_otel.scrubbing.text import MAX_SCANNED_CHARS, redact_text, redact_values

SECRET = "hunter2"
"""Stands in each of these texts, and must not afterwards."""

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2ln-_hunter2"

VALUES = {
    "postgres://user:hunter2@db.example:5432/shop": "postgres://[redacted]@db.example:5432/shop",
    "redis://:hunter2@cache:6379/0": "redis://[redacted]@cache:6379/0",
    "https://hunter2@git.example/x": "https://[redacted]@git.example/x",
    "//user:hunter2@host/x": "//[redacted]@host/x",
    r"https:\/\/user:hunter2@host\/x": r"https:\/\/[redacted]@host\/x",
    "amqp://user:p%40ss%2Fhunter2@host": "amqp://[redacted]@host",
    "amqp://user:p@ss/w#o?r:d@hunter2@host/x": "amqp://[redacted]@host/x",
    "amqp://user:pass//hunter2@host/x": "amqp://[redacted]@host/x",
    "amqp://user:12/hunter2@host": "amqp://[redacted]@host",
    "amqp://user:\\hunter2@host": "amqp://[redacted]@host",
    "amqp://üser:pässhunter2@host": "amqp://[redacted]@host",
    "'amqp://user:pa\"ss hunter2@host/x' is no URL": "'amqp://[redacted]@host/x' is no URL",
    "a://u:hunter2@b, c://u:hunter2@d": "a://[redacted]@b, c://[redacted]@d",
    "https://a.example/?next=amqp://user:hunter2@host": "https://a.example/?next=amqp://[redacted]@host",
    "cut off: amqp://user:hunter2": "cut off: amqp://[redacted]",
    "https://a.example/cb?x=1&api_key=hunter2&y=2#z": "https://a.example/cb?x=1&api_key=[redacted]&y=2#z",
    "https://a.example/cb?token=hunter2 was refused": "https://a.example/cb?token=[redacted] was refused",
    "https://a.example/cb#access_token=hunter2&x=1": "https://a.example/cb#access_token=[redacted]&x=1",
    "sent Bearer hunter2, got 401": "sent Bearer [redacted], got 401",
    "BEARER abc.hunter2~+/=": "BEARER [redacted]",
    "bearer\thunter2": "bearer\t[redacted]",
    "Bearer%20hunter2": "Bearer%20[redacted]",
    "Bearer 'hunter2'": "Bearer '[redacted]'",
    "Bearer b'hunter2'": "Bearer b'[redacted]'",
    "Basic dXNlcjpodW50ZXIy hunter2".removesuffix(" hunter2"): "Basic [redacted]",
    "Basic hunter2hunter2==": "Basic [redacted]",
    "Token 9944b09199c62bhunter2": "Token [redacted]",
    f"invalid: {JWT}.": "invalid: [redacted]",
    "fp_project_hunter2 is unknown": "[redacted] is unknown",
    "key 'fp_project_hunter2'": "key '[redacted]'",
}

PAIRS = {
    "password=hunter2": "password=[redacted]",
    "connect(password='hunter2', port=1)": "connect(password='[redacted]', port=1)",
    'connect(password = b"hunter2", port=1)': 'connect(password = b"[redacted]", port=1)',
    "connect(password=hunter2, port=1)": "connect(password=[redacted], port=1)",
    "password=a,b;hunter2 x": "password=[redacted] x",
    "password=a'hunter2 x": "password=[redacted] x",
    "password=a(hunter2 x": "password=[redacted]",
    "Server=db;Password=hunter2;Database=shop": "Server=db;Password=[redacted];Database=shop",
    "password=Secret('it is hunter2') x": "password=[redacted] x",
    "credentials={'user': 'x', 'id': 'hunter2'} x": "credentials=[redacted] x",
    "secrets: [1, ['hunter2']] x": "secrets: [redacted] x",
    '{"password": "hunter2", "a": 1}': '{"password": "[redacted]", "a": 1}',
    '{"password":\n  "hunter2"}': '{"password":\n  "[redacted]"}',
    "{'dbPassword': 'a\\'hunter2', 'a': 1}": "{'dbPassword': '[redacted]', 'a': 1}",
    r"{\"password\": \"a\\\"hunter2\", \"a\": 1}": r"{\"password\": \"[redacted]\", \"a\": 1}",
    '{"pin": 4711, "cvc": "hunter2"}': '{"pin": [redacted], "cvc": "[redacted]"}',
    "{b'authorization': b'x hunter2'}": "{b'authorization': b'[redacted]'}",
    "[(b'authorization', b'hunter2')]": "[(b'authorization', b'[redacted]')]",
    '("api_key", "hunter2")': '("api_key", "[redacted]")',
    '{"password": "hunter2': '{"password": "[redacted]',
    "{'password': 'hunter2\nnext line": "{'password': '[redacted]\nnext line",
    "X-Api-Key: hunter2\nHost: x": "X-Api-Key: [redacted]\nHost: x",
    "Authorization: Digest username=x, response=hunter2\nHost: x": "Authorization: [redacted]\nHost: x",
    "Cookie: a=b; sid=hunter2\r\nHost: x": "Cookie: [redacted]\r\nHost: x",
    r"b'GET / HTTP/1.1\r\ncookie: a; hunter2\r\nHost: x'": r"b'GET / HTTP/1.1\r\ncookie: [redacted]\r\nHost: x'",
    "authorization=Bearer a.hunter2": "authorization=[redacted]",
    "api_token=Token hunter2": "api_token=[redacted]",
    "password: hunter2": "password: [redacted]",
    "password            : hunter2": "password            : [redacted]",
    "API key: hunter2": "API key: [redacted]",
    "access token: hunter2": "access token: [redacted]",
    "token: hunter2-0123456789": "token: [redacted]",
    "auth=hunter2": "auth=[redacted]",
    "mysql --password hunter2 -v": "mysql --password [redacted] -v",
    "mysql --password=hunter2 -v": "mysql --password=[redacted] -v",
    "['mysql', '--password', 'hunter2', '-v']": "['mysql', '--password', '[redacted]', '-v']",
    'password: str = "hunter2"': 'password: str = "[redacted]"',
    'token: str | None = "hunter2"': 'token: str | None = "[redacted]"',
    'settings["password"] = "hunter2"': 'settings["password"] = "[redacted]"',
    'if password == "hunter2":': 'if password == "[redacted]":',
    'secret = """hunter2"""': 'secret = """[redacted]"""',
    "user[password]=hunter2": "user[password]=[redacted]",
    f"{'x' * 5_000}_password=hunter2": f"{'x' * 5_000}_password=[redacted]",
}

LEFT_ALONE = [
    "",
    "unexpected token: }",
    "unexpected token: identifier",
    "Unexpected token identifier2 in JSON at position 4",
    "Bearer authentication is required",
    "the bearer of this",
    'WWW-Authenticate: Bearer realm="shop"',
    "Basic authentication failed; basic usage: see below",
    "Token expired",
    "shop.errors.InvalidPasswordError: too short",
    "primary_key: 17, token_count=5, max_tokens=3, author=me, sort_key=x, keyboard: y",
    "password=None, token=null, secret=False)",
    "password=",
    "KeyError: 'password'",
    "the password is wrong",
    "connect to http://db:8080: refused (http://db:80), http://[::1]:80/x and http://db.",
    "mongodb://a:27017,b:27017/shop",
    "http://db:{port}/ and http://db:port/",
    "https://registry.example:8080/npm/@scope/pkg?to=bob@example.com",
    "s3://bucket/key@version",
    "mail to bob@example.com at 12:30:45",
    "eyJ is how a token begins",
    "fp_project is a prefix",
    'File "/srv/shop/cart.py", line 7, in total\n    return sum(item.price for item in self.items)',
]


@pytest.mark.parametrize(("text", "expected"), VALUES.items(), ids=lambda text: text[:40])
def test_what_looks_like_a_secret_itself_is_taken_out_of_any_text(text: str, expected: str) -> None:
    assert redact_values(text) == expected
    assert SECRET not in redact_text(text)


@pytest.mark.parametrize(("text", "expected"), PAIRS.items(), ids=lambda text: text[:40])
def test_the_values_of_keys_that_look_like_secrets_are_taken_out_of_a_text(text: str, expected: str) -> None:
    assert SECRET in text
    assert redact_text(text) == expected


@pytest.mark.parametrize("text", LEFT_ALONE, ids=lambda text: text[:40])
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize("text", [*VALUES, *PAIRS], ids=lambda text: text[:40])
def test_a_text_that_was_redacted_before_stays_as_it_is(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.mark.parametrize("text", [*VALUES, *PAIRS], ids=lambda text: text[:40])
@pytest.mark.parametrize("around", ["{}", "failed: {}", "({})", "'{}'", "a\n{}\nb", "x={}"])
def test_a_secret_is_found_whatever_stands_around_it(text: str, around: str) -> None:
    assert SECRET not in redact_text(around.format(text))


@given(st.text(alphabet=st.sampled_from("password=:token \"'\\/@?&{}[](),;-.\nBearer eyJ1"), max_size=60))
@example("//")
@example("password=\\")
@example("x://[")
def test_bad_input_no_text_raises(text: str) -> None:
    assert isinstance(redact_text(text), str)


def cut_at(length: int) -> list[str]:
    """Texts with a secret that begins at any of the last characters before ``length``."""
    secrets = [
        f"postgres://user:{SECRET}@db",
        f"https://{SECRET}{SECRET}@db",
        f"Bearer {SECRET}{SECRET}",
        f'{{"password": "{SECRET}", "a": 1}}',
        f"Cookie: a=b; c={SECRET}",
    ]
    return [f"{'word ' * length}"[: length - back] + secret for secret in secrets for back in range(len(secret) + 1)]


@pytest.mark.parametrize("scanned", [limits.MAX_ERROR_MESSAGE_CHARS, MAX_SCANNED_CHARS])
def test_a_secret_that_lies_across_the_cut_is_redacted_before_it_is_cut(scanned: int) -> None:
    for text in cut_at(scanned):
        for more in ("", " and more" * 100, "x" * 50_000):
            shown = values.error_text(text + more, limits.MAX_ERROR_MESSAGE_CHARS)
            assert SECRET[:3] not in shown
            assert len(shown) <= limits.MAX_ERROR_MESSAGE_CHARS


def test_a_secret_across_the_cut_stays_out_where_all_before_it_shrinks() -> None:
    filler = "password='" + "x" * (MAX_SCANNED_CHARS - 40) + "' "
    for position in range(60):
        text = filler + " " * position + f"https://{SECRET * 3}@db " + "tail " * 2_000
        shown = values.error_text(text, limits.MAX_ERROR_MESSAGE_CHARS)
        assert SECRET[:3] not in shown
        assert shown.endswith(f"…[{len(text)} characters]")


HOSTILE = [
    *("\\", '"', "'", " ", "(", "/", "x", "@", "password", 'password="', "password=(", "password: ", "token:", "pin="),
    *("//a:b", "//a:b//", "x://u:p@", "x://u:,a.,", "http://a:b c@", "basic ", "bearer bearer", "eyJ", "fp_project_"),
    *("--password ", "('password',", "?token=a&", "password=a,b", "auth\n", "secret: str | ", "secret: a.b[", '""'),
    *("password='\\", "Cookie: \\r\\n", "token:(", "key   ", "a.-", '"password":', "password=<", "é://ü:"),
]


def seconds(text: str, work: Callable[[str], str]) -> float:
    def once() -> float:
        began = time.thread_time()
        work(text)
        return time.thread_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "password=", 'password="', "x://u:p"])
def test_bad_input_four_times_the_text_takes_no_more_than_a_few_times_as_long(unit: str, before: str) -> None:
    short, long = (before + (unit * size)[:size] for size in (8_000, 32_000))
    # What is quadratic takes sixteen times as long. The first term is for clocks that are coarse.
    assert seconds(long, redact_text) < 0.05 + 10 * seconds(short, redact_text)


def test_all_that_can_be_redacted_has_what_the_first_quick_look_asks_for() -> None:
    for text in VALUES:
        assert len(text) >= values._MIN_SECRET_CHARS
        if "\t" in text or "%20" in text:
            continue  # a short value without a blank and a slash is not searched for these
        assert values.clean_metadata({"note": text}) != {"note": text}, text
