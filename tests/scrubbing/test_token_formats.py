"""Tokens of well-known providers, private keys and card numbers: redacted in any text, which else stays as it is."""

import random
import sys
import time

import pytest

from failpath_otel.scrubbing import text as text_module
from failpath_otel.scrubbing import text_shapes
from failpath_otel.scrubbing.text import redact_text, redact_values
from failpath_otel.scrubbing.token_formats import TOKEN_FORMATS
from failpath_otel.scrubbing.values import clean_metadata, error_text
from tests.planted_forms import ALNUM, CARDS, HEX, NAMED, PLANTED, TOKENS, UPPER, Planted, harmless, some

EVERYTHING = 2 * text_shapes.CVC - 1
AROUND = ["{}", "refused: {}", "key='{}',", '{{"a": "{}"}}', "({})", "[{}]", "first line\n{}\nthird", "'a\\n{}\\nb'"]


def test_every_row_of_the_table_has_a_source_and_a_token_here() -> None:
    tried = {provider for provider, *_ in (*TOKENS, *NAMED)}
    assert {form.provider for form in TOKEN_FORMATS} == tried
    assert all(len(form.source) > 10 for form in TOKEN_FORMATS)


@pytest.mark.parametrize(("provider", "token"), TOKENS, ids=lambda text: text[:16])
def test_a_token_of_a_provider_is_taken_out_of_any_text(provider: str, token: str) -> None:
    for around in AROUND:
        assert redact_values(around.format(token)) == around.format("[redacted]")
    assert clean_metadata({"note": token, "list": [f"it is {token}"]}) == {
        "note": "[redacted]",
        "list": ["it is [redacted]"],
    }


@pytest.mark.parametrize(("provider", "before", "token"), NAMED, ids=lambda text: text[:16])
def test_what_names_the_provider_stays_and_the_secret_behind_it_does_not(
    provider: str, before: str, token: str
) -> None:
    for around in AROUND:
        assert redact_values(around.format(before + token)) == around.format(before + "[redacted]")
    assert clean_metadata({"note": before + token}) == {"note": before + "[redacted]"}


def test_the_secret_beside_an_aws_access_key_id_is_taken_out_and_a_commit_hash_is_not() -> None:
    key_id, secret, commit = "AKIA" + some(UPPER, 16), "wJalr" + some(ALNUM + "/+", 35), some(HEX, 40)
    text = f"{key_id} {secret} at {commit}"
    assert redact_values(text) == f"[redacted] [redacted] at {commit}"
    assert redact_values(f"aws_secret_access_key={secret},{key_id}") == "aws_secret_access_key=[redacted],[redacted]"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "PGP "])
@pytest.mark.parametrize("line", ["\n", "\\n", "\r\n"])
def test_a_private_key_is_taken_out_and_what_follows_it_stays(kind: str, line: str) -> None:
    block = " BLOCK" if kind == "PGP " else ""
    begin, end = (f"-----{which} {kind}PRIVATE KEY{block}-----" for which in ("BEGIN", "END"))
    body = line.join(some(ALNUM, 64) for _ in range(4))
    assert redact_values(f"no key: {begin}{line}{body}{line}{end} so") == f"no key: {begin}[redacted]{end} so"
    assert body[:20] not in redact_values(f"{begin}{line}{body}")
    public = f"-----BEGIN PUBLIC KEY-----{line}{body}{line}-----END PUBLIC KEY-----"
    assert redact_values(public) == public


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_that_stands_alone_is_taken_out(card: str) -> None:
    for around in AROUND:
        assert redact_values(around.format(card)) == around.format("[redacted]")
    assert clean_metadata({"note": card}) == {"note": "[redacted]"}


@pytest.mark.parametrize(
    "number",
    [
        *("4111111111111112", "1111111111111117", "41111111111111111", "411111111111111", "x4111111111111111"),
        *("4111111111111111.5", "0.4111111111111111", "4111-1111 1111-1111", "9111111111111111", "4111_1111_1111_1111"),
        *("550e8400-4111-1111-1111-111111111111", "-4111111111111111"),
    ],
)
def test_digits_without_an_issuer_a_length_or_a_check_sum_or_that_do_not_stand_alone_stay(number: str) -> None:
    assert redact_values(f"at {number} so") == f"at {number} so"


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_secret_is_found_in_metadata_and_in_what_an_exception_says(planted: Planted) -> None:
    assert planted.secret in str(planted.metadata)
    assert planted.secret not in str(clean_metadata(planted.metadata))
    assert planted.secret not in str(clean_metadata({"in": [planted.metadata]}))
    if "note" in planted.metadata:
        assert planted.secret not in error_text(ValueError(planted.metadata["note"]), 1_000)


def test_more_than_the_cases_that_were_counted_are_planted() -> None:
    assert len(PLANTED) >= 66


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_the_quick_look_sees_in_a_text_all_that_the_whole_look_finds(planted: Planted) -> None:
    for text in planted.metadata.values():
        for _ in range(2):  # the second time, the shape is known
            assert redact_text(text) == text_module._redacted(text, EVERYTHING)


def test_the_quick_look_sees_in_harmless_texts_all_that_the_whole_look_finds() -> None:
    for text in harmless(random.Random(12)):
        assert redact_text(text) == text_module._redacted(text, EVERYTHING)


def test_a_text_of_the_shape_of_a_clean_one_is_looked_at_for_what_a_shape_does_not_tell() -> None:
    for clean, secret in [
        ("paid with 1111111111111111", "paid with 4111111111111111"),
        ("set eve=hidden now", "set cvc=hidden now"),
        ("level: high1 and more", "cvc: h1dden and more"),
        ("the id akia1234567890abcdef is", "the id AKIA1234567890ABCDEF is"),
    ]:
        assert redact_text(clean) == clean
        assert redact_text(secret) != secret
        assert redact_text(clean) == clean


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_nothing_is_kept_of_a_text_that_holds_a_secret(planted: Planted) -> None:
    before = set(text_shapes._cache)
    redacted = clean_metadata(planted.metadata)
    assert planted.secret not in str(redacted)
    for shape in set(text_shapes._cache) - before:
        assert shape not in {text.encode().translate(text_shapes._SHAPED) for text in planted.metadata.values()}


def test_the_shapes_that_are_kept_are_few_and_short() -> None:
    for number in range(2 * text_shapes._MAX_CACHED_SHAPES):
        redact_text("a text" + "!" * (number % 700) + "?" * (number // 700))
    assert len(text_shapes._cache) <= text_shapes._MAX_CACHED_SHAPES
    assert max(map(len, text_shapes._cache)) <= text_shapes._MAX_CACHED_CHARS


def test_a_clean_text_of_a_known_shape_is_done_with_in_a_few_calls() -> None:
    clean = "request 550e8400-e29b-41d4-a716-446655440000 of order 48213 took 1764438561123456789 ns; all is well"
    redact_text(clean.replace("5", "6"))
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if "call" in event else None)
    try:
        redact_text(clean)
    finally:
        sys.setprofile(None)
    # The two functions, and `encode`, `translate` and `get`; and that of `sys.setprofile`.
    assert len(calls) <= 6


def test_at_most_one_in_a_hundred_harmless_texts_is_changed() -> None:
    texts = list(harmless(random.Random(11)))
    assert len(texts) >= 2_000
    changed = [text for text in texts if redact_text(text) != text]
    assert len(changed) <= len(texts) // 100, changed[:10]


HOSTILE = [
    *("sk-", "sk-ant-", "sk_live_", "ghp_", "glpat-", "xoxb-", "SG.", "hvs.", "s.", "AKIA", "A", "AIza", "SK", "-us1"),
    *(
        "1:AA",
        "AccountKey=",
        "sig=",
        "hooks.slack.com/services/",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "4",
        "4111 ",
        "key",
        "pass",
        "session id",
        "cvc",
        "key\\",
        "token ",
        "('key',",
        "--key ",
    ),
    *("-----END ", "4111-1111-", "_", "-", ".", "=", ":", "A/", "AKIA" + "A" * 16 + "a", "sk-a", "3714 496353 "),
]


def seconds(text: str) -> float:
    def once() -> float:
        began = time.thread_time()
        redact_text(text)
        return time.thread_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "AKIA" + "A" * 16 + " ", "sk-proj-", "1" * 10])
def test_bad_input_four_times_the_text_takes_no_more_than_a_few_times_as_long(unit: str, before: str) -> None:
    short, long = (before + (unit * size)[:size] for size in (8_000, 32_000))
    # What is quadratic takes sixteen times as long. The first term is for clocks that are coarse.
    assert seconds(long) < 0.05 + 10 * seconds(short)
