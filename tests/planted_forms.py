"""Secrets of all kinds, made up, and everyday texts without any: what is found, here and beside other scrubbers."""

import base64
import hashlib
import random
import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

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


class Planted(NamedTuple):
    """A secret, and the metadata that it is planted in."""

    name: str
    metadata: dict[str, Any]
    secret: str


VALUE: Final = "hunter2-Xy7"
COMMANDS: Final = {
    "password in a connection string": f"host=db password={VALUE} port=5432",
    "pwd in a connection string": f"Server=db;Pwd={VALUE};Database=shop",
    "password of a database's URL": f"cannot reach postgres://shop:{VALUE}@db/shop",
    "key=value": f"api_key={VALUE} was refused",
    "JSON": f'{{"user": "ada", "password": "{VALUE}"}}',
    "option": f"pg_dump --password {VALUE} shop",
    "mysql -p": f"mysql -uroot -p{VALUE} shop",
    "curl -u": f"curl -u ada:{VALUE} https://a.example",
    "SQL": f"ALTER USER ada WITH PASSWORD '{VALUE}'",
    "header": f"X-Api-Key: {VALUE}",
    "bearer": f"Authorization: Bearer {VALUE}",
    "query": f"https://a.example/?token={VALUE}",
}
KEYS: Final = """
    password passwd db_pass pass secret client_secret api_key apikey auth auth_token access_token
    refresh_token token credential credentials mysql_pwd private_key privatekey passphrase signing_key session
    sessionid user_session aiohttp_session connect.sid PHPSESSID cookie Set-Cookie Authorization
    Proxy-Authorization x_api_key csrf _csrf csrf_token csrftoken x_csrftoken _csrf_token xsrf _xsrf
    XSRF-TOKEN jwt ssn social_security credit_card card_number otp signature symfony x_forwarded_for x_real_ip
    ip_address remote_addr hmac_key bearer_token id_token logfire_token _session
"""
_AWS_SECRET: Final = "wJalr" + some(ALNUM, 35)
_PEM: Final = some(ALNUM, 64)
PLANTED: Final = [
    *(Planted(f"{what} {token[:10]}", {"note": f"refused: {token}"}, token[-12:]) for what, token in TOKENS),
    *(Planted(what, {"note": f"refused: {before}{token}"}, token[-12:]) for what, before, token in NAMED),
    *(Planted(f"card {card}", {"note": f"declined: {card}"}, card[-6:]) for card in CARDS),
    Planted("AWS secret", {"note": f"AKIA{some(UPPER, 16)} {_AWS_SECRET}"}, _AWS_SECRET),
    Planted("PEM", {"note": f"-----BEGIN RSA PRIVATE KEY-----\n{_PEM}\n-----END RSA PRIVATE KEY-----"}, _PEM),
    *(Planted(name, {"note": text}, VALUE) for name, text in COMMANDS.items()),
    *(Planted(f"key {key}", {key: VALUE}, VALUE) for key in KEYS.split()),
]


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
