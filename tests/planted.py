"""Secrets, and every way in which an application can plant them; none may be found in what leaves the process."""

import base64
import builtins
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from opentelemetry.trace import StatusCode, Tracer

from failpath_otel import Failpath, Run

PROJECT_KEY: Final = "fp_project_Pl4ntedKey"
_USER_AND_PASSWORD: Final = base64.b64encode(b"user:pl4nted-basic").decode()
_JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbDRudGVkIn0.pl4nted-jwt_signature"

TEXTS: Final[dict[str, str]] = {
    "pl4nted-url": "cannot reach postgres://shop:pl4nted-url@db.example/shop, giving up",
    "pl4nted-odd": "cannot reach postgres://shop:p@ss/w#rd?pl4nted-odd@db.example/shop",
    "pl4nted-user": "cannot clone https://pl4nted-user@git.example/shop.git",
    "pl4nted-parameter": "GET https://api.example/v1?x=1&api_key=pl4nted-parameter&y=2 was answered 401",
    "pl4nted-bearer": "the server refused Bearer pl4nted-bearer",
    _USER_AND_PASSWORD: f"the server refused Basic {_USER_AND_PASSWORD}",
    "pl4nted-scheme": "the server refused Token pl4nted-scheme-0123456789",
    _JWT.rpartition(".")[2]: f"no such session: {_JWT}",
    PROJECT_KEY: f"no such project: {PROJECT_KEY}",
}
"""Texts by the secret that each holds, and that looks like one itself."""

PAIRS: Final[dict[str, str]] = {
    "pl4nted-equals": "connect(host='db', password=pl4nted-equals)",
    "pl4nted-quoted": "connect(host='db', password='it is pl4nted-quoted')",
    "pl4nted-json": '{"user": {"client_secret": "pl4nted-json"}}',
    "pl4nted-dict": "{'user': {'access_token': 'pl4nted-dict', 'id': 7}}",
    "pl4nted-header": "X-Api-Key: pl4nted-header\r\nHost: db",
    "pl4nted-digest": "Authorization: Digest username=shop, response=pl4nted-digest",
    "pl4nted-cookie": "Cookie: theme=dark; sid=pl4nted-cookie",
    "pl4nted-asgi": "[(b'authorization', b'pl4nted-asgi')]",
    "pl4nted-command": "Command '['pg_dump', '--password', 'pl4nted-command']' returned 1",
    "pl4nted-source": 'password: str = "pl4nted-source"',
    # It begins before the limit of a message, and ends behind it.
    "pl4nted-far": f"{'many words ' * 371}postgres://shop:{'pl4nted-far' * 3}@db.example/shop",
    "pl4nted-repeated": f"password='{'pl4nted-repeated' * 3_000}'",
}
"""Texts by the secret that each holds, and that is known by its key."""

NAMED: Final[dict[str, Any]] = {
    "password": "pl4nted-named",
    "Set-Cookie": ["pl4nted-listed"],
    "nested": {"deep": [{"apiKey": {"v": "pl4nted-nested"}}, ("x", {"auth_token": b"pl4nted-bytes"})]},
    "stripe_secret_key": 41_114_111_411,
}
"""Metadata with secrets under keys that look like secrets."""

NAMED_SECRETS: Final = ("pl4nted-named", "pl4nted-listed", "pl4nted-nested", "pl4nted-bytes", "41114111411")

SECRETS: Final = (*TEXTS, *PAIRS, *NAMED_SECRETS)


class Texted:
    """An object of the application's with a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def found_in(data: bytes | str) -> list[str]:
    """The secrets that stand in what has left the process."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    return [secret for secret in (*SECRETS, "pl4nted") if secret in text]


GROUP: Final[Any] = getattr(builtins, "ExceptionGroup", RuntimeError)
"""Since Python 3.11; before, it is an exception with two arguments."""

Raising = Callable[[str], object]


def _args(text: str) -> None:
    raise ValueError(text)


def _repr(text: str) -> None:
    raise KeyError("config", {"url": text}, text.encode())


def _cause(text: str) -> None:
    raise RuntimeError("no connection") from OSError(5, text)


def _context(text: str) -> None:
    try:
        raise OSError(text)
    except OSError:
        raise RuntimeError("while handling that")  # noqa: B904 - so that the other one is its context


def _note(text: str) -> None:
    error = RuntimeError("see the note")
    if sys.version_info >= (3, 11):
        error.add_note(text)
    raise error


def _group(text: str) -> None:
    raise GROUP(text, [ValueError(text), GROUP("inner", [OSError(text), KeyError(text)])])


def _large_group(text: str) -> None:
    raise GROUP("many", [ValueError(text) for _ in range(300)])


def _name(text: str) -> None:
    raise type(text.replace("\0", ""), (Exception,), {})


def _exit(text: str) -> None:
    raise SystemExit(text)


def _source(text: str) -> None:
    """Raises in a line of source in which ``text`` stands."""
    name = f"<planted {hash(text)}>"
    lines = [f"raise RuntimeError('see the source')  # {' '.join(text.splitlines())}\n"]
    linecache.cache[name] = (len(lines[0]), None, lines, name)
    exec(compile(lines[0], name, "exec"))


RAISING: Final[tuple[Raising, ...]] = (
    *(_args, _repr, _cause, _context, _note, _group, _large_group, _name, _exit, _source),
)
"""Every part of an exception that can hold a text."""


def plant_in_errors(run: Run) -> Iterator[tuple[BaseException, BaseException]]:
    """Steps that fail; each exception that was raised, and the one that came out of the step."""
    for text in (*TEXTS.values(), *PAIRS.values()):
        for raising in RAISING:
            raised: list[BaseException] = []

            def body(raising: Raising = raising, text: str = text, raised: list[BaseException] = raised) -> None:
                try:
                    raising(text)
                except BaseException as error:
                    raised.append(error)
                    raise

            try:
                run.step("pay", body)
            except BaseException as error:
                yield raised[0], error


def plant_in_metadata(failpath: Failpath) -> None:
    """Runs and steps with secrets in their metadata."""
    values = {f"v{number}": text for number, text in enumerate(TEXTS.values())}
    objects = {f"o{number}": Texted(text) for number, text in enumerate((*TEXTS.values(), *PAIRS.values()))}
    raw = {f"b{number}": text.encode() for number, text in enumerate(TEXTS.values())}
    keys = [{text[:100]: 1} for text in TEXTS.values()]
    for metadata in (NAMED, values, objects, raw, *keys, {"all": [values, [objects]]}, {"one": values["v0"]}):
        run = failpath.run("checkout", run_id="of-the-run", metadata=metadata)
        run.step("pack", lambda: None)
        run.skip("ship")
        with failpath.run("checkout", run_id="of-the-step").step("pack", metadata=metadata) as step:
            step.set_metadata(metadata)


def plant_by_hand(failpath: Failpath) -> None:
    """Records with secrets in their errors."""
    for text in (*TEXTS.values(), *PAIRS.values()):
        described = {"name": text, "message": text, "stack": text}
        for error in (text, ValueError(text), described, {"message": Texted(text)}):
            failpath.record_step(
                flow_key="checkout", run_id="by-hand", step_key="ship", status="error", error=error, metadata=NAMED
            )


def plant_in_foreign_spans(tracer: Tracer) -> None:
    """Steps that are spans of the application's own."""
    identity = {"failpath.flow.key": "checkout", "failpath.run.id": "foreign", "failpath.step.key": "pay"}
    nested = '{"password": "pl4nted-named", "url": "postgres://shop:pl4nted-url@db"'
    for text in (*TEXTS.values(), *PAIRS.values()):
        span = tracer.start_span("s", attributes={**identity, "failpath.metadata.password": "pl4nted-named"})
        span.record_exception(ValueError(text))
        span.set_status(StatusCode.ERROR, text)
        span.end()
        tracer.start_span("s", attributes={**identity, "failpath.metadata_json.cart": f"{nested}}}"}).end()
        span = tracer.start_span("s", attributes={**identity, "failpath.metadata_json.cut": nested})
        span.set_status(StatusCode.ERROR, text)
        span.end()
        span = tracer.start_span("s", attributes=identity)
        named = {"exception.type": text, "exception.message": text, "exception.stacktrace": text}
        span.add_event("exception", named)
        span.set_status(StatusCode.ERROR)
        span.end()
        with suppress(OSError), tracer.start_as_current_span("s", attributes=identity):
            raise OSError(text)
