"""Which names are those of secrets: of metadata keys, headers, query parameters, keyword arguments."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

REDACTED: Final = "[redacted]"
"""What stands in the place of a secret."""

# Anywhere in a key, these words mean that the value is a secret.
_SECRET_WORDS: Final = frozenset(
    {
        *("apikey", "authorization", "bearer", "cookie", "cookies", "credential", "credentials", "cvc", "cvv", "jwt"),
        *("passcode", "passphrase", "passwd", "password", "passwords", "privatekey", "pwd", "secret", "secrets"),
        *("sessionid", "setcookie"),
    }
)
# These do only at the end of a key: `auth_token` is a secret, `token_count` and `max_tokens` are not.
_SECRET_ENDS: Final = frozenset({"token", "accesstoken", "authtoken", "refreshtoken", "auth", "pin", "ssn"})
_SECRET_PAIRS: Final = frozenset(
    {(kind, "key") for kind in ("access", "api", "encryption", "private", "signing")} | {("session", "id")}
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Written together with others, these are a secret all the same: `dbpassword`, `myapikey`.
_SECRET_PARTS: Final = re.compile(r"passw(or)?d|passphrase|apikey|accesskey|privatekey|credential|secret$|secretkey")

FRAGMENTS: Final = ("pass", "key", "auth", "token", "secret", "cookie", "session", "credential", "pwd", "bearer")
SHORT_FRAGMENTS: Final = ("jwt", "pin", "ssn", "cvc", "cvv")
"""Every key of a secret has one of :data:`FRAGMENTS` or of these in it, in lower case."""


def words_of(key: str) -> list[str]:
    """The words that a key is made of, in lower case: ``dbPassword2`` is ``db``, ``password`` and ``2``."""
    return [word.lower() for word in _WORD.findall(key)]


@lru_cache(maxsize=2048)
def is_secret_key(key: str) -> bool:
    """Whether ``key`` looks like the name of a secret: ``stripe_api_key``, ``dbPassword``, ``Set-Cookie``."""
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
