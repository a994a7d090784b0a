"""Which names are those of secrets: of metadata keys, headers, query parameters and keyword arguments."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

REDACTED: Final = "[redacted]"
"""What replaces a secret."""

# These words mean a secret anywhere in a key.
_SECRET_WORDS: Final = frozenset(
    {
        *("apikey", "authorization", "bearer", "cookie", "cookies", "credential", "credentials", "cvc", "cvv", "jwt"),
        *("passcode", "passphrase", "passwd", "password", "passwords", "privatekey", "pwd", "secret", "secrets"),
        *("sessionid", "setcookie"),
    }
)
# These only at the end of a key: `auth_token` is a secret, `token_count` and `max_tokens` are not.
_SECRET_ENDS: Final = frozenset({"token", "accesstoken", "authtoken", "refreshtoken", "auth", "pin", "ssn"})
_SECRET_PAIRS: Final = frozenset(
    {(kind, "key") for kind in ("access", "api", "encryption", "hmac", "private", "signing")} | {("session", "id")}
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# These also inside a word: `dbpassword`, `myapikey`.
_SECRET_PARTS: Final = re.compile(r"passw(or)?d|passphrase|apikey|accesskey|privatekey|credential|secret$|secretkey")
# These only for texts: `pass: 12` and `session: {"age": 3}` are no secrets.
_TEXT_WORDS: Final = frozenset({"session", "otp", "totp"})
_TEXT_ENDS: Final = frozenset({"pass", "sid", "signature", "symfony"})
_TEXT_PAIRS: Final = frozenset(
    {
        *(("card", "number"), ("credit", "card"), ("social", "security")),
        # Personal data in Sentry's list.
        *(("ip", "address"), ("remote", "addr"), ("forwarded", "for"), ("real", "ip")),
        # Further keys of detect-secrets.
        *((kind, "key") for kind in ("account", "app", "application", "auth", "client", "database", "db", "priv")),
        ("service", "key"),
    }
)
_TEXT_PARTS: Final = re.compile(r"^[cx]srf|sessi(?:on)?id|sessid|creditcard|cardnumber|socialsecurity|^accountkey$")
# Twilio's identifiers are no secrets: `call_sid`.
_NAMED_BY_SID: Final = frozenset(
    {
        *(
            "account",
            "address",
            "app",
            "application",
            "asset",
            "build",
            "bundle",
            "call",
            "channel",
            "chat",
            "conference",
        ),
        *("conversation", "environment", "execution", "fax", "flow", "function", "media", "message", "number"),
        *("participant", "payment", "phone", "queue", "recording", "room", "service", "sim", "sms", "stream", "task"),
        *("transcription", "trunk", "user", "verification", "worker", "workflow", "workspace"),
    }
)


def words_of(key: str) -> list[str]:
    """Split a key into words in lower case: ``dbPassword2`` is ``db``, ``password`` and ``2``."""
    return [word.lower() for word in _WORD.findall(key)]


def is_number(value: str) -> bool:
    """Return whether the text of a value is a number, which is no secret under some keys."""
    return value.replace(".", "", 1).removeprefix("-").isdigit()


@lru_cache(maxsize=2048)
def is_secret_key(key: str) -> bool:
    """Return whether *key* looks like the name of a secret: ``stripe_api_key``, ``dbPassword``, ``Set-Cookie``."""
    words = words_of(key)
    if not words:
        return False
    last = words[-2] if words[-1].isdigit() and len(words) > 1 else words[-1]
    return (
        last in _SECRET_ENDS
        or not _SECRET_WORDS.isdisjoint(words)
        or any(_SECRET_PARTS.search(word) for word in words)
        or any(pair in _SECRET_PAIRS for pair in pairwise(words))
    )


@lru_cache(maxsize=2048)
def is_secret_text_key(key: str) -> bool:
    """Return whether a text under *key* counts as a secret; a number under ``pass`` or ``session`` does not."""
    if is_secret_key(key):
        return True
    words = words_of(key)
    if not words:
        return False
    last = words[-1]
    if last == "sid" and len(words) > 1 and words[-2] in _NAMED_BY_SID:
        return False
    return (
        last in _TEXT_ENDS
        or not _TEXT_WORDS.isdisjoint(words)
        or any(_TEXT_PARTS.search(word) for word in words)
        or any(pair in _TEXT_PAIRS for pair in pairwise(words))
    )
