"""Tokens of well-known providers, private keys and card numbers: redacted in any text, which else stays as it is."""

import base64
import hashlib
import random
import time
import uuid
from collections.abc import Iterator

import pytest

from failpath_otel.clean import clean_metadata
from failpath_otel.redaction import redact_text, redact_values
from failpath_otel.secret_forms import FORMS

RANDOM = random.Random(7)
HEX = "0123456789abcdef"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
URL_SAFE = ALNUM + "-_"


def some(alphabet: str, length: int) -> str:
    return "".join(RANDOM.choices(alphabet, k=length))


# Made up, of the providers' real forms. In two parts, so that no scanner takes the source for a leak.
TOKENS = [
    ("OpenAI", "sk-" + "proj-" + some(URL_SAFE, 74) + "T3Blbk" + "FJ" + some(URL_SAFE, 74)),
    ("OpenAI", "sk-" + some(ALNUM, 20) + "T3Blbk" + "FJ" + some(ALNUM, 20)),
    ("OpenAI", "sk-" + "svcacct-" + some(URL_SAFE, 120)),
    ("Anthropic", "sk-" + "ant-api03-" + some(URL_SAFE, 93) + "AA"),
    ("Anthropic", "sk-" + "ant-admin01-" + some(URL_SAFE, 93) + "AA"),
    ("OpenRouter", "sk-" + "or-v1-" + some(HEX, 64)),
    *(("Stripe", f"{kind}_" + f"{mode}_" + some(ALNUM, 24)) for kind in ("sk", "rk") for mode in ("live", "test")),
    ("Stripe webhooks", "whsec" + "_" + some(ALNUM, 32)),
    *(("GitHub", f"gh{kind}" + "_" + some(ALNUM, 36)) for kind in "pousr"),
    ("GitHub", "github" + "_pat_" + some(ALNUM, 22) + "_" + some(ALNUM, 59)),
    ("GitLab", "glpat" + "-" + some(URL_SAFE, 20)),
    ("GitLab", "glptt" + "-" + some(HEX, 40)),
    ("GitLab", "glrt" + "-" + some(URL_SAFE, 20)),
    ("GitLab", "glffct" + "-" + some(URL_SAFE, 20)),
    ("GitLab", "glpat" + "-" + some(ALNUM, 27) + ".01." + some(HEX, 9)),
    ("AWS", "AKIA" + some(UPPER, 16)),
    ("AWS", "ASIA" + some(UPPER, 16)),
    ("AWS", "ABSK" + some(ALNUM, 128) + "="),
    ("GitLab", "GR" + "1348941" + some(URL_SAFE, 20)),
    ("Discord", "M" + some(ALNUM, 23) + "." + some(URL_SAFE, 6) + "." + some(URL_SAFE, 27)),
    ("Google", "AIza" + some(URL_SAFE, 35)),
    ("Slack", "xoxb" + "-" + "123456789012-1234567890123-" + some(ALNUM, 24)),
    ("Slack", "xoxp" + "-" + "123456789012-123456789012-123456789012-" + some(HEX, 32)),
    ("Slack", "xapp" + "-1-A0123456789-1234567890123-" + some(HEX, 64)),
    ("SendGrid", "SG" + "." + some(URL_SAFE, 22) + "." + some(URL_SAFE, 43)),
    ("Twilio", "SK" + some(HEX, 32)),
    ("npm", "npm" + "_" + some(ALNUM, 36)),
    ("PyPI", "pypi" + "-" + "AgEIcHlwaS5vcmc" + some(URL_SAFE, 120)),
    ("Hugging Face", "hf" + "_" + some(ALNUM, 34)),
    ("Hugging Face", "api" + "_org_" + some(ALNUM, 34)),
    ("HashiCorp Vault", "hvs" + "." + some(URL_SAFE, 95)),
    ("HashiCorp Vault", "hvb" + "." + some(URL_SAFE, 140)),
    ("HashiCorp Vault", "s" + "." + "a1" + some(ALNUM, 22)),
    *(("DigitalOcean", f"do{kind}" + "_v1_" + some(HEX, 64)) for kind in "opr"),
    ("Pulumi", "pul" + "-" + some(HEX, 40)),
    ("Perplexity", "pplx" + "-" + some(ALNUM, 48)),
    ("Postman", "PMAK" + "-" + some(HEX, 24) + "-" + some(HEX, 34)),
    ("Mailgun", "key" + "-" + some(HEX, 32)),
    ("Square", "sq0atp" + "-" + some(URL_SAFE, 22)),
    ("Square", "sq0csp" + "-" + some(URL_SAFE, 43)),
    ("Brevo", "xkeysib" + "-" + some(HEX, 64) + "-" + some(ALNUM, 16)),
    ("xAI", "xai" + "-" + some(ALNUM + "_", 80)),
    ("NVIDIA", "nvapi" + "-" + some(URL_SAFE, 64)),
    ("New Relic", "NRAK" + "-" + some(UPPER, 27)),
    ("Mailchimp", some(HEX, 32) + "-us" + "12"),
    ("Shopify", "shpat" + "_" + some(HEX, 32)),
    ("PlanetScale", "pscale" + "_tkn_" + some(ALNUM, 43)),
    ("Grafana", "glsa" + "_" + some(ALNUM, 32) + "_" + some(HEX, 8)),
    ("Grafana", "glc" + "_" + some(ALNUM, 60)),
    ("Linear", "lin" + "_api_" + some(ALNUM, 40)),
    ("Notion", "ntn" + "_" + "12345678901" + some(ALNUM, 35)),
    ("RubyGems", "rubygems" + "_" + some(HEX, 48)),
    ("Sentry", "sntryu" + "_" + some(HEX, 64)),
    ("Docker", "dckr" + "_pat_" + some(URL_SAFE, 27)),
    ("Groq", "gsk" + "_" + some(ALNUM, 52)),
    ("Logfire", "pylf" + "_v1_us_" + some(ALNUM, 43)),
    ("Atlassian", "ATATT3" + "x" + some(URL_SAFE, 180)),
    ("Artifactory", "AKC" + "p" + some(ALNUM, 69)),
]
# Of these, what names the provider stays.
NAMED = [
    ("Sentry", "sntrys_", "eyJpYXQiO" + some(ALNUM, 80) + "_" + some(ALNUM, 43)),
    ("Telegram", "bot1234567890:", "AA" + some(URL_SAFE, 33)),
    ("Azure storage", "AccountName=shop;AccountKey=", some(ALNUM, 86) + "=="),
    ("Azure storage", "Endpoint=sb://shop.example/;SharedAccessKey=", some(ALNUM, 43) + "="),
    ("Azure SAS", "https://shop.blob.core.windows.net/x?sv=2022-11-02&sig=", some(ALNUM, 43) + "%3D"),
    ("AWS signatures", "https://shop.s3.amazonaws.com/x?X-Amz-Expires=60&X-Amz-Signature=", some(HEX, 64)),
    ("Slack hooks", "https://hooks.slack.com/", "services/T01234567/B01234567/" + some(ALNUM, 24)),
    ("Discord hooks", "https://discord.com/", "api/webhooks/123456789012345678/" + some(URL_SAFE, 68)),
]
CARDS = [
    *("4111 1111 1111 1111", "4242424242424242", "4222222222222", "5555-5555-5555-4444", "2223003122003222"),
    *("378282246310005", "3714 496353 98431", "6011111111111117", "30569309025904", "3566002020360505"),
    *("6200000000000005",),
]
AROUND = ["{}", "refused: {}", "key='{}',", '{{"a": "{}"}}', "({})", "[{}]", "first line\n{}\nthird", "'a\\n{}\\nb'"]


def test_every_row_of_the_table_has_a_source_and_a_token_here() -> None:
    tried = {provider for provider, *_ in (*TOKENS, *NAMED)}
    assert {form.provider for form in FORMS} == tried
    assert all(len(form.source) > 10 for form in FORMS)


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


def harmless(make: random.Random) -> Iterator[str]:
    """Everyday texts, all of one seed."""
    for _ in range(180):
        blob = make.randbytes(make.randint(12, 90))
        nanoseconds = make.randint(1_500_000_000, 1_900_000_000) * 10**9 + make.randint(0, 10**9)
        ident = str(uuid.UUID(bytes=make.randbytes(16), version=4))
        sha1, sha256 = hashlib.sha1(blob).hexdigest(), hashlib.sha256(blob).hexdigest()
        number, city = make.randint(1, 10**6), make.choice(["Berlin", "Lima", "Osaka", "Accra"])
        yield f"commit {sha1} by Ada"
        yield f"{sha256}  dist/shop-{number}.whl"
        yield ident
        yield f"request {ident} took {number} ms, trace {blob.hex()[:32]}"
        yield f"{nanoseconds}"
        yield f"started at {nanoseconds // 10**6}, ended at {nanoseconds // 10**6 + number}"
        yield f"order-{number}/{make.choice('ABCDEF')}{number:08d}-{make.randint(0, 99):02d} to {city}"
        yield f"ORD-{nanoseconds // 10**6}-{number}"
        yield base64.b64encode(blob).decode()
        yield f"data:image/png;base64,{base64.b64encode(blob * 3).decode()}"
        yield base64.urlsafe_b64encode(blob).decode().rstrip("=")
        yield f"SELECT id, total FROM orders WHERE customer_id = {number} AND city = '{city}' LIMIT {number % 50}"
        yield f"INSERT INTO tokens_used (run_id, token_count) VALUES ('{ident}', {number})"
        yield (
            f'Traceback (most recent call last):\n  File "/srv/shop/cart.py", line {number % 900}, in total_of_items\n'
            f"    return self.rates[{city!r}] * item.price\nKeyError: {city!r}"
        )
        yield f'{{"order_id": {number}, "city": "{city}", "etag": "{sha1[:16]}", "ts": {nanoseconds // 1000}}}'
        yield f"https://shop.example/orders/{number}?page={number % 9}&sort=city&ref={ident}#top"
        yield f"arn:aws:s3:::shop-{city.lower()}/2026/0{number % 9 + 1}/{ident}.parquet"
        yield f"task-{number}: retry {number % 5} in {make.random():.6f} s on worker-{number % 16}.{city}.internal"


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
