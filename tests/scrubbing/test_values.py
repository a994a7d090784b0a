"""User values made safe. The names of the first tests are the rows of the table of bad metadata."""

import json
import math
import sys
import threading
from collections import OrderedDict, UserDict
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import MagicMock, Mock
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.scrubbing import values
from failpath_otel.scrubbing.values import (
    DROPPED_KEYS,
    REDACTED,
    UNUSABLE,
    clean_metadata,
    clean_text,
    error_text,
    is_secret_key,
    text_of,
)


class BadText:
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")


class BadTruth:
    """As a table or an array of some libraries: it is neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


class Color(str, Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


def size(value: object) -> int:
    """Bytes of JSON; fails where JSON or UTF-8 cannot hold the value."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert msgspec.json.decode(msgspec.json.encode(value)) == value
    return len(text)


@pytest.mark.parametrize(
    "given", [7, "text", ["a"], object(), 0, "", (), {1}, b"x"], ids=lambda given: type(given).__name__
)
def test_bad_metadata_not_a_mapping_is_named(given: object) -> None:
    assert clean_metadata(given) == {UNUSABLE: f"a {type(given).__name__}, not a mapping"}


def test_bad_metadata_not_a_mapping_and_without_a_truth_value_is_named() -> None:
    assert clean_metadata(BadTruth()) == {UNUSABLE: "a BadTruth, not a mapping"}


@pytest.mark.parametrize("given", [None, {}, OrderedDict(), UserDict()], ids=lambda given: type(given).__name__)
def test_no_metadata_is_no_metadata(given: object) -> None:
    assert clean_metadata(given) == {}


def test_bad_metadata_non_string_keys_become_their_text() -> None:
    found = clean_metadata({1: "a", None: "b", ("x", 2): "c", 1.5: "d"})
    assert found == {"1": "a", "None": "b", "('x', 2)": "c", "1.5": "d"}


def test_bad_metadata_a_key_without_text_is_named_by_its_type() -> None:
    [(key, value)] = clean_metadata({BadText(): 1}).items()
    assert "BadText" in key
    assert value == 1


def test_bad_metadata_an_empty_key_is_marked() -> None:
    assert clean_metadata({"": 1}) == {"<empty>": 1}


def test_a_key_that_is_a_kind_of_string_keeps_its_own_text_as_a_value_does() -> None:
    assert clean_metadata({Color.RED: Color.RED}) == {"red": "red"}


def test_bad_metadata_cycles_are_cut_where_they_close() -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["self"] = loop
    rows: list[Any] = [1]
    rows.append(rows)
    assert clean_metadata({"loop": loop, "rows": rows}) == {
        "loop": {"a": 1, "self": "<cycle>"},
        "rows": [1, "<cycle>"],
    }


def test_bad_metadata_a_cycle_through_the_top_ends() -> None:
    top: dict[str, Any] = {}
    top["top"] = top
    size(clean_metadata(top))


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = {"a": 1}
    assert clean_metadata({"x": [shared, shared]}) == {"x": [{"a": 1}, {"a": 1}]}


def test_bad_metadata_nan_and_infinities_become_text() -> None:
    found = clean_metadata({"nan": math.nan, "up": math.inf, "in": [-math.inf]})
    assert found == {"nan": "nan", "up": "inf", "in": ["-inf"]}


def test_bad_metadata_integers_beyond_64_bits_become_text() -> None:
    found = clean_metadata({"low": -(1 << 63), "high": (1 << 63) - 1, "lower": -(1 << 63) - 1, "higher": 1 << 63})
    assert found == {
        "low": -(1 << 63),
        "high": (1 << 63) - 1,
        "lower": "-9223372036854775809",
        "higher": "9223372036854775808",
    }
    size(clean_metadata({"digits": 10**100_000}))


def test_bad_metadata_bytes_become_text() -> None:
    found = clean_metadata({"a": b"abc", "b": bytearray(b"\xff\x00"), "c": memoryview(b"view")})
    assert found == {"a": "abc", "b": "\\xff\x00", "c": "view"}


def test_bad_metadata_surrogates_become_visible_escapes() -> None:
    assert clean_metadata({"\ud800": "a\udfffb"}) == {"\\ud800": "a\\udfffb"}


def test_bad_metadata_dates_become_iso_text() -> None:
    found = clean_metadata(
        {
            "day": date(2024, 2, 29),
            "at": datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=1))),
            "time": time(12, 30),
            "took": timedelta(seconds=90),
        }
    )
    assert found == {"day": "2024-02-29", "at": "2024-02-29T12:00:00+01:00", "time": "12:30:00", "took": "0:01:30"}


def test_bad_metadata_decimals_and_other_objects_become_their_text() -> None:
    key = UUID(int=7)
    found = clean_metadata({"price": Decimal("9.90"), "id": key, "path": PurePosixPath("/a"), "size": Size.BIG})
    assert found == {"price": "9.90", "id": str(key), "path": "/a", "size": 3}


def test_bad_metadata_sets_become_sorted_lists() -> None:
    assert clean_metadata({"a": {3, 1, 2}, "b": frozenset("cab"), "c": {"k": 1}.keys()}) == {
        "a": [1, 2, 3],
        "b": ["a", "b", "c"],
        "c": ["k"],
    }


def test_bad_metadata_an_object_whose_text_raises_is_named() -> None:
    found = clean_metadata({"bad": BadText(), "good": 1})
    assert found == {"bad": "<BadText: its text raised ZeroDivisionError>", "good": 1}


def test_bad_metadata_a_10_mb_value_is_cut_and_marked() -> None:
    found = clean_metadata({"text": "x" * 10_000_000, "bytes": b"y" * 10_000_000, "list": ["z" * 10_000_000]})
    assert size(found) <= limits.MAX_METADATA_BYTES
    assert str(found["text"]).endswith("[10000000 characters]")
    assert "characters]" in str(found["bytes"])
    assert "characters]" in str(found["list"])


def test_bad_metadata_10_000_keys_are_cut_and_counted() -> None:
    found = clean_metadata({f"key{number}": number for number in range(10_000)})
    assert len(found) == limits.MAX_METADATA_KEYS + 1
    assert found[DROPPED_KEYS] == 10_000 - limits.MAX_METADATA_KEYS
    assert found["key0"] == 0


def test_bad_metadata_10_000_keys_inside_are_cut_and_counted() -> None:
    inner = clean_metadata({"inner": {f"key{number}": number for number in range(10_000)}})["inner"]
    assert isinstance(inner, dict)
    assert inner[DROPPED_KEYS] == 10_000 - limits.MAX_METADATA_ITEMS


def test_bad_metadata_a_long_key_is_cut_and_marked() -> None:
    [key] = clean_metadata({"k" * 10_000: 1})
    assert len(key) == limits.MAX_METADATA_KEY_CHARS
    assert "10000 characters" in key


def test_a_long_list_is_cut_and_marked() -> None:
    found = clean_metadata({"list": list(range(10_000))})["list"]
    assert isinstance(found, list)
    assert len(found) == limits.MAX_METADATA_ITEMS + 1
    assert "only the first" in str(found[-1])


NUMPY: Final = {
    "bool_(True)": True,
    "bool_(False)": False,
    "int8(-3)": -3,
    "uint64(7)": 7,
    "int64(1 << 40)": 1 << 40,
    "float16(0.5)": 0.5,
    "float32(0.25)": 0.25,
    "float64(0.1)": 0.1,
    "array(5)": 5,
    "array(True)": True,
    "uint64(2**64 - 1)": "18446744073709551615",
    "float32('nan')": "nan",
    "float32('inf')": "inf",
    "array([5])": "[5]",
    "array([1, 2])": "[1 2]",
    "array([[1.5]])": "[[1.5]]",
    "complex64(1j)": "1j",
    "datetime64('2026-11-29T10:00', 'ns')": "2026-11-29T10:00:00.000000000",
    "timedelta64(5, 'ns')": "5 nanoseconds",
    "ma.masked": "--",
    "str_('text')": "text",
    "bytes_(b'text')": "text",
}
"""Values of NumPy, and what they are in a record."""


@pytest.mark.parametrize(("code", "shown"), NUMPY.items(), ids=list(NUMPY))
def test_a_scalar_of_numpy_is_a_number_or_a_truth_value_and_nothing_else_of_it_is(code: str, shown: object) -> None:
    given = eval(code, {"ma": pytest.importorskip("numpy.ma"), **vars(pytest.importorskip("numpy"))})
    found = clean_metadata({"value": given, "among others": [given]})
    assert found == {"value": shown, "among others": [shown]}
    assert type(found["value"]) is type(shown)
    size(found)


class Scalar:
    """As those of other libraries whose values lie in memory."""

    __array_interface__: Any = None
    shape: Any = ()
    dtype: Any = SimpleNamespace(kind="i")

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        if isinstance(self._value, BaseException):
            raise self._value
        return self._value

    def __str__(self) -> str:
        return "its text"


class Column(Scalar):
    @property
    def shape(self) -> Any:
        raise ZeroDivisionError


class Basket(dict[str, Any]):
    def item(self, name: str) -> Any:
        return self[name]


class Shop:
    def item(self, name: str = "") -> int:
        return 5

    def __str__(self) -> str:
        return "a shop"


class OwnInt(int):
    pass


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (Scalar(5), 5),
        (Scalar(False), False),
        (Scalar(2.5), 2.5),
        (Scalar(None), "its text"),
        (Scalar(OwnInt(5)), "its text"),
        (Scalar([5]), "its text"),
        (Scalar(datetime(2026, 1, 1)), "its text"),  # noqa: DTZ001 - any
        (Scalar(ValueError("more than one element")), "its text"),
        (Column(5), "its text"),
        (Basket(item=5), {"item": 5}),
        (Shop(), "a shop"),
    ],
    ids=[
        *("int", "bool", "float", "none", "a kind of int", "list", "date", "raises", "shape raises"),
        *("mapping", "method of another meaning"),
    ],
)
def test_what_has_an_item_is_a_number_only_where_it_is_a_scalar_in_memory(given: object, shown: object) -> None:
    found = clean_metadata({"value": given})
    assert found == {"value": shown}
    assert type(found["value"]) is type(shown)


@pytest.mark.parametrize("kind", [Mock, MagicMock, type("Tensor", (Shop,), {"shape": (), "dtype": Scalar.dtype})])
def test_an_object_that_only_looks_like_a_scalar_is_its_text(kind: type) -> None:
    given = kind()
    assert clean_metadata({"value": given}) == {"value": str(given)}


def test_deep_nesting_is_cut_and_marked() -> None:
    deep: Any = "bottom"
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    assert "nested deeper" in json.dumps(clean_metadata({"deep": deep}))


@pytest.mark.parametrize("leaf", [None, True, {}, []], ids=repr)
def test_many_small_values_in_many_lists_are_bounded_as_text_is(leaf: object) -> None:
    rows: Any = [leaf] * 256
    found = clean_metadata({"rows": [rows] * 256, "other": 1})
    assert size(found) <= limits.MAX_RECORD_BYTES


def test_a_small_object_that_unfolds_into_billions_of_values_ends_soon() -> None:
    rows: Any = [None] * 256
    for _ in range(2):
        rows = [rows] * 256
    finished = threading.Event()

    def run() -> None:
        clean_metadata({"rows": rows})
        finished.set()

    threading.Thread(target=run, daemon=True).start()
    assert finished.wait(2)


class Raising(Mapping[str, Any]):
    """A mapping that fails where ``at`` says."""

    def __init__(self, at: str) -> None:
        self._at = at

    def __len__(self) -> int:
        if self._at == "len":
            raise ZeroDivisionError
        return 1

    def __iter__(self) -> Iterator[str]:
        if self._at == "iter":
            raise ZeroDivisionError
        return iter(["a"])

    def __getitem__(self, key: str) -> Any:
        raise ZeroDivisionError


@pytest.mark.parametrize("at", ["len", "iter", "getitem"])
def test_a_mapping_that_raises_is_named(at: str) -> None:
    assert clean_metadata(Raising(at)) == {UNUSABLE: "a Raising that raised ZeroDivisionError"}


@pytest.mark.parametrize("at", ["len", "iter", "getitem"])
def test_a_mapping_inside_that_raises_costs_itself_only(at: str) -> None:
    found = clean_metadata({"bad": Raising(at), "good": 1})
    assert found == {"bad": "<Raising: reading it raised ZeroDivisionError>", "good": 1}


def test_metadata_that_another_thread_changes_meanwhile_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    changing: dict[str, int] = {"a": 1, "b": 2}

    def change(key: str) -> bool:
        changing[key + key] = 3
        return False

    monkeypatch.setattr(values, "is_secret_key", change)
    size(clean_metadata(changing))


def test_metadata_is_copied_and_not_changed() -> None:
    given = {"a": 1, "b": {"c": [1]}}
    found = clean_metadata(given)
    assert found == given
    assert clean_metadata({"a": 1}) is not given
    found["a"] = 2
    assert given == {"a": 1, "b": {"c": [1]}}


SECRETS = """
    password passwd pwd PASSWORD dbPassword db_password DB-PASSWORD user.password passwords passphrase passcode
    secret client_secret clientSecret secrets api_key apikey apiKey API_KEY X-Api-Key stripe_api_key APIKey
    openai_api_key_2 access_key private_key privateKey signing_key encryption_key token auth_token authToken
    access_token refreshToken csrf-token id_token authorization Authorization proxy-authorization auth bearer
    cookie cookies Set-Cookie setcookie session_id sessionId sessionid jwt credential credentials cvc cvv card_cvc
    pin ssn
"""
HARMLESS = """
    key keys cart_id order_id user_id id name route step token_count max_tokens tokens_used input_tokens tokenizer
    author authors authored authority authenticated monkey keyboard keyword primary_key sort_key cache_key
    idempotency_key sessions pinned pinterest shipping opinion spinning secretary passenger compass bypass
    cookiecutter x-request-id status amount currency api_version access_level private public path passed
    passes a 1 é _
"""
SECRETS_IF_TEXTS = """
    pass db_pass userPass DB-PASS session user_session _session aiohttp_session csrf _csrf csrfmiddlewaretoken
    x_csrftoken XSRF-STATE _xsrf sid connect.sid PHPSESSID card_number cardNumber credit_card creditCard otp totp_code
    signature x_signature social_security social-security-number
    AccountKey app_key auth_key db_key
"""
SECRETS_IF_TEXTS_IN_METADATA = "symfony ip_address remote_addr REMOTE_ADDR x_forwarded_for X-Forwarded-For x_real_ip"
HARMLESS_TEXTS = """
    call_sid CallSid account_sid messageSid inside residence sidecar signatures business_card number security social
    compass bypass trespass surpass passport forwarded_to address email_address optimal laptop otpimize
"""


@pytest.mark.parametrize("key", SECRETS_IF_TEXTS.split())
def test_a_text_under_a_key_that_names_one_is_redacted_and_a_number_or_a_mapping_stays(key: str) -> None:
    assert clean_metadata({key: "hidden"}) == {key: REDACTED}
    assert clean_metadata({"a": [{key: b"hidden"}]}) == {"a": [{key: REDACTED}]}
    for value in (12, 1.5, True, None, [3], {"age": 3}):
        assert clean_metadata({key: value}) == {key: value}
    for shown in (f"{key}=hidd3n x", f'{{"{key}": "hidd3n"}}', f"{key}: hidd3n x", f"https://a.example/?{key}=hidd3n"):
        assert "hidd3n" not in error_text(ValueError(shown), 1_000)
    for shown in (f"{key}=12 x", f'{{"{key}": 12}}', f"{key}: 12", f"https://a.example/?{key}=12"):
        assert error_text(ValueError(shown), 1_000) == shown


@pytest.mark.parametrize("key", SECRETS_IF_TEXTS_IN_METADATA.split())
def test_the_address_of_a_host_is_redacted_under_its_key_in_metadata(key: str) -> None:
    assert clean_metadata({key: "10.0.0.7"}) == {key: REDACTED}
    assert clean_metadata({key: 12}) == {key: 12}


@pytest.mark.parametrize("key", HARMLESS_TEXTS.split())
def test_a_text_under_a_key_that_only_resembles_one_stays(key: str) -> None:
    assert clean_metadata({key: "shown"}) == {key: "shown"}
    assert error_text(ValueError(f'{key}="shown"'), 1_000) == f'{key}="shown"'


def test_what_people_say_of_a_session_or_a_signature_stays() -> None:
    for text in ("session: closed by the peer", "bad signature: expected two arguments", "pass: all of them"):
        assert error_text(ValueError(text), 1_000) == text


@pytest.mark.parametrize("key", SECRETS.split())
def test_a_key_that_looks_like_a_secret_is_redacted_at_every_depth(key: str) -> None:
    assert is_secret_key(key)
    assert clean_metadata({key: "hidden"}) == {key: REDACTED}
    assert clean_metadata({"a": [{key: ["hidden"]}]}) == {"a": [{key: REDACTED}]}


@pytest.mark.parametrize("key", HARMLESS.split())
def test_a_key_that_only_resembles_a_secret_keeps_its_value(key: str) -> None:
    assert not is_secret_key(key)
    assert clean_metadata({key: "shown"}) == {key: "shown"}


def test_a_secret_under_a_key_too_long_to_keep_is_redacted_all_the_same() -> None:
    assert list(clean_metadata({"k" * 500 + "_password": "hidden"}).values()) == [REDACTED]


def test_a_secret_that_is_none_is_shown_as_missing() -> None:
    assert clean_metadata({"password": None}) == {"password": None}


def test_text_within_the_limit_is_left_alone_and_longer_text_ends_in_its_length() -> None:
    assert clean_text("x" * 100, 100) == "x" * 100
    cut = clean_text("x" * 101, 100)
    assert len(cut) == 100
    assert cut.endswith("…[101 characters]")


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=())), st.integers(30, 200))
@example("\ud800" * 300, 60)
@example("é" * 60, 60)
def test_any_text_is_encodable_and_within_its_limit(text: str, limit: int) -> None:
    found = clean_text(text, limit)
    found.encode()
    assert len(found) <= limit


class LyingText(str):
    __slots__ = ()

    def __len__(self) -> int:
        return 1

    def __str__(self) -> str:
        return "longer than allowed"

    def isascii(self) -> bool:
        return True


class LyingDay(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return LyingText("é")


def test_a_text_that_lies_about_itself_is_taken_for_what_it_is() -> None:
    assert clean_text(LyingText("é" * 100), 30) == clean_text("é" * 100, 30)
    assert clean_metadata({"day": LyingDay(2026, 1, 1)}) == {"day": "é"}


def test_text_of_an_object_whose_text_raises_names_type_and_failure() -> None:
    assert text_of(BadText(), 100) == "<BadText: its text raised ZeroDivisionError>"


_texts = st.text(st.characters(exclude_categories=()), max_size=30)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _texts
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.complex_numbers()
    | st.builds(BadText)
    | st.builds(BadTruth)
    | st.builds(object)
)
_anything = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(_texts | st.integers() | st.none(), inner, max_size=5)
        | st.sets(_texts | st.integers(), max_size=5)
    ),
    max_leaves=40,
)


@settings(deadline=None)
@given(_anything)
@example(BadTruth())
def test_whatever_object_is_given_the_result_is_json_within_bounds(anything: object) -> None:
    for found in (clean_metadata(anything), clean_metadata({"x": anything})):
        assert size(found) <= limits.MAX_RECORD_BYTES
        assert len(found) <= limits.MAX_METADATA_KEYS + 1


@settings(deadline=None)
@given(_anything)
def test_what_was_cleaned_once_is_clean(anything: object) -> None:
    once = clean_metadata({"x": anything})
    assert clean_metadata(once) == once
