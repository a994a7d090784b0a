"""What Logfire's scrubber, Sentry's and detect-secrets find of the planted secrets, side by side with ours.

``pytest -rP`` shows the table.
"""

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import default_settings
from logfire._internal.scrubbing import Scrubber
from sentry_sdk.scrubber import EventScrubber

from failpath_otel.scrubbing.values import clean_metadata, error_text
from tests.planted_forms import PLANTED, Planted, harmless

Scrub = Callable[[dict[str, Any]], object]
LOGFIRE = Scrubber(patterns=None)


def by_logfire(metadata: dict[str, Any]) -> object:
    return LOGFIRE.scrub_value(("attributes",), deepcopy(metadata))[0]


def by_sentry(metadata: dict[str, Any]) -> object:
    event: Any = {"extra": deepcopy(metadata)}
    EventScrubber(recursive=True).scrub_event(event)
    # What is scrubbed is marked, and its value is left out.
    return {key: value for key, value in event["extra"].items() if type(value) is str}


def by_detect_secrets(metadata: dict[str, Any]) -> object:
    """The metadata without what it reports, as it stands in a line of source, which is what it is for."""
    [(key, text)] = metadata.items()
    text = str(text)
    for line in (text, f'{key} = "{text}"') if "\n" not in text else (text.partition("\n")[0], text):
        for found in scan_line(line):
            if found.secret_value:
                text = text.replace(found.secret_value, "")
    return {key: text}


OTHERS: dict[str, Scrub] = {"Logfire": by_logfire, "Sentry": by_sentry, "detect-secrets": by_detect_secrets}


def finders(planted: Planted) -> set[str]:
    with default_settings():
        found = {name for name, scrub in OTHERS.items() if planted.secret not in repr(scrub(planted.metadata))}
    if planted.secret not in str(clean_metadata(planted.metadata)):
        found.add("ours, in metadata")
    shown = "; ".join(f"{key}={value!r}" if key != "note" else value for key, value in planted.metadata.items())
    if planted.secret not in error_text(ValueError(shown), 1_000):
        found.add("ours, in an exception")
    return found


def test_ours_finds_all_that_any_of_them_finds() -> None:
    found = [(planted.name, finders(planted)) for planted in PLANTED]
    columns = ["ours, in metadata", "ours, in an exception", *OTHERS]
    print(f"{len(found)} planted: " + ", ".join(f"{c} {sum(c in by for _, by in found)}" for c in columns))  # noqa: T201 - the table
    for name, by in found:
        print(f"{name:45}", *(f"{'yes' if column in by else '-':22}" for column in columns))  # noqa: T201 - the table
    assert [name for name, by in found if "ours, in metadata" not in by] == []
    # The address of a host is looked for under its key in metadata alone.
    missed = {name for name, by in found if "ours, in an exception" not in by}
    assert missed <= {f"key {key}" for key in ("symfony", "x_forwarded_for", "x_real_ip", "ip_address", "remote_addr")}


@pytest.mark.parametrize("name", OTHERS)
def test_each_of_them_finds_something_so_that_it_is_asked_as_it_is_meant_to_be(name: str) -> None:
    assert sum(name in finders(planted) for planted in PLANTED) >= 15


def test_ours_marks_at_most_one_in_a_hundred_harmless_texts() -> None:
    texts = list(harmless(random.Random(21)))
    assert len(texts) >= 2_000
    ours = sum(clean_metadata({"note": text}) != {"note": text} for text in texts)
    print(f"harmless texts: {len(texts)}; marked by ours {ours}", end="")  # noqa: T201 - the table
    with default_settings():
        for name, scrub in OTHERS.items():
            print(f", {name} {sum(scrub({'note': text}) != {'note': text} for text in texts[:600])} of 600", end="")  # noqa: T201 - the table
    assert ours <= len(texts) // 100
