"""What spans say becomes a part of a key without the values in it."""

import random
import string
import time
import uuid
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.scrubbing import key_parts
from failpath_otel.scrubbing.key_parts import clean_key_part
from failpath_otel.scrubbing.text import redact_text
from tests.planted import PAIRS, TEXTS
from tests.planted_forms import TOKENS

STAYS = (
    *("charge-card", "shop.tasks.charge", "shop.Orders/Pay", "GET /orders/{number}", "POST /orders/<int:number>/pay"),
    *("POST ^orders/(?P<number>[0-9]+)/pay/?$", "^colou?rs/(?:red|blue)/$", "/orders/17", "/v2/orders/2026-11-30"),
    *("INSERT", "SELECT shop", "create order 17", "update of 3 orders", "RunnableSequence", "ChatPromptTemplate"),
    *("S3ToEC2TransferOperator", "GetUserByEmailV2Handler", "parseXMLToJSONByID", "internationalization"),
    *("gpt-4o-2024-08-06", "claude-3-5-sonnet-20241022", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
    *("meta-llama/Llama-3.3-70B-Instruct", "accounts/fireworks/models/llama-v3p1-405b-instruct"),
    *("Mixtral-8x22B-Instruct-v0.1", "text-embedding-3-large", "Qwen2.5-VL-72B-Instruct-AWQ"),
    *("SELECT name FROM users WHERE id = ? AND shop = $1", "is it done?", "what's up", "Bestellung für Köln", ""),
    *(
        "send_order_confirmation_mail",
        "order-created-event-handler-for-shop",
        "a:b",
        "why? because",
        "jobs.step2.part10",
    ),
)


@pytest.mark.parametrize("text", STAYS)
def test_names_routes_models_and_statements_without_values_stay(text: str) -> None:
    assert clean_key_part(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("GET /callback?code=4%2F0AX4XfWh&state=xyz", "GET /callback"),
        ("GET /img.png?sig=AbC%2B1&se=2026 HTTP/1.1", "GET /img.png HTTP/1.1"),
        ("https://shop.example/a?x[]=1#top", "https://shop.example/a"),
        ("/a?flag&code=17", "/a"),
        ("GET /search?q=select a from b&code=17", "GET /search"),
        ("/done#access_token=abc&x=1", "/done"),
        ("/cart;jsessionid=AB12/pay", "/cart/pay"),
        ("/users/ada@example.com/orders", "/users/[redacted]/orders"),
        ("/users/ada%40shop.example.com", "/users/[redacted]"),
        ("mail to Ada.L+x@mail.example.co.uk.", "mail to [redacted]."),
        ("/orders/550e8400-e29b-41d4-a716-446655440000/pay", "/orders/[redacted]/pay"),
        ("/reset/MQ/c9k2ab-1f2e3d4c5b6a7980aabbccdd/", "/reset/MQ/[redacted]/"),
        ("charge-card-9f8e7d6c5b4a39281706", "charge-card-[redacted]"),
        ("agent asst_5j66UpCpwteGg4YSxUnt7lPY", "agent asst_[redacted]"),
        ("/s/V1StGXR8_Z5jdHi6B-myT", "/s/[redacted]"),
        ("/keys/ABCD1-EFGH2-IJKL3-MNOP4", "/keys/[redacted]"),
        ("call +4915112345678", "call +[redacted]"),
        ("SELECT * FROM users WHERE email='a@b.de' AND id=7", "SELECT * FROM users WHERE email=? AND id=?"),
        ("* from users where name = 'O''Brien' limit 5", "* from users where name = ? limit ?"),
        ("INSERT INTO cards VALUES (1, 'a', \"b\", -2.5, 0xFF)", "INSERT INTO cards VALUES (?)"),
        ("UPDATE users2 SET token = $$x$$, n=n+1 /* u=ada */", "UPDATE users2 SET token = ?, n=n+?"),
        ("DELETE FROM a WHERE a IN (1,2 , 3)", "DELETE FROM a WHERE a IN (?)"),
        ("SELECT 1 FROM a WHERE b='cut off in the mid", "SELECT ? FROM a WHERE b=?"),
        ("DELETE FROM a WHERE b = 1 -- for ada", "DELETE FROM a WHERE b = ?"),
        ("SELECT a FROM b WHERE c = 550e8400-e29b-41d4-a716-446655440000", "SELECT a FROM b WHERE c = [redacted]"),
        ("CREATE USER ada IDENTIFIED BY 'x y'", "CREATE USER ada IDENTIFIED BY ?"),
        ('find {"email": "ada", "age": 7}', 'find {"email": ?, "age": 7}'),
        ("filter name='ada l'", "filter name=?"),
        ("login password=hunter2 now", "login password=[redacted] now"),
        ("login --password hunter2", "login --password [redacted]"),
    ],
)
def test_values_are_taken_out(text: str, cleaned: str) -> None:
    assert clean_key_part(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abcdefghijklmnopqrstuvwxyz0123456789",
        "push ghp_" + "a1B2" * 9,
        "charge 4111 1111 1111 1111",
        "postgres://ada:s3cret@db/shop",
    ],
)
def test_what_is_a_secret_by_its_form_leaves_nothing(text: str) -> None:
    assert clean_key_part(text) == ""


PLANTED: Final = [(secret, text) for secret, text in (TEXTS | PAIRS).items() if len(text) <= limits.MAX_NAME_CHARS]


@pytest.mark.parametrize(("secret", "text"), [*PLANTED, *((token, f"GET /a/{token}/b") for _, token in TOKENS)])
def test_no_secret_that_is_redacted_elsewhere_is_left(secret: str, text: str) -> None:
    assert secret in text
    assert secret not in clean_key_part(text)


@pytest.mark.parametrize("alphabet", [string.ascii_letters + string.digits, string.ascii_lowercase + string.digits])
@pytest.mark.parametrize("length", [22, 32, 43])
def test_random_tokens_are_recognized_nearly_always(alphabet: str, length: int) -> None:
    choose = random.Random(17)
    tokens = ["".join(choose.choices(alphabet, k=length)) for _ in range(500)]
    kept = [token for token in tokens if token in clean_key_part(f"/verify/{token}/now")]
    assert len(kept) <= 5
    assert all(clean_key_part(f"job-{uuid.UUID(int=choose.getrandbits(128))}") == "job-[redacted]" for _ in range(50))


@given(st.one_of(st.text(max_size=600), st.text("aAbB1 ?='\"@.-_/;#$*(),", max_size=80)))
def test_a_part_is_cleaned_the_same_way_each_time_and_has_no_secret_that_is_redacted_elsewhere(text: str) -> None:
    cleaned = clean_key_part(text)
    assert clean_key_part(text) == cleaned
    if len(text) <= limits.MAX_NAME_CHARS:
        assert redact_text(cleaned) == cleaned


@pytest.mark.parametrize(
    "unit", ["select ", "a@", "?a", "'", "a1", "-", "where a", "a-b1", "$$", "/*", "(1,", "%40", "set =", "0"]
)
def test_no_text_takes_long(unit: str) -> None:
    began = time.process_time()
    clean_key_part((unit * limits.MAX_NAME_CHARS)[: limits.MAX_NAME_CHARS])
    assert time.process_time() - began < 0.5


def test_texts_that_are_kept_are_bounded_and_none_has_a_value_in_it() -> None:
    for number in range(3_000):
        clean_key_part(f"orders {number}")
    clean_key_part("/users/ada@example.com")
    assert len(key_parts._unchanged) <= 1_024
    assert "/users/ada@example.com" not in key_parts._unchanged
