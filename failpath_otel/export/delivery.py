"""One batch to Failpath over HTTP, and what became of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, get_ident
from typing import Final

import requests
from opentelemetry.context import attach, detach, set_value
from requests.auth import AuthBase

from failpath_otel import limits
from failpath_otel.export import wire
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.options import Options
from failpath_otel.export.transport import BoundedAdapter, time_limit
from failpath_otel.report import say

_SUPPRESS: Final = "suppress_instrumentation"
"""Context key under which OpenTelemetry's instrumentations leave a call alone (the plain spelling of it, which
``opentelemetry.instrumentation.utils`` reads beside a private one)."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a batch: how many records were delivered, and how many were lost for which reason."""

    delivered: int
    dropped: int = 0
    reason: str = ""


class _Bearer(AuthBase):
    """Sets the key last of all; without an ``auth`` of our own, requests would let a ``.netrc`` entry replace it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Delivery:
    """Sends batches of encoded records, one at a time. Never raises, and takes no longer than its time limit."""

    def __init__(self, options: Options) -> None:
        self._url = options.endpoint + wire.ROUTE
        self._auth = _Bearer(options.project_key)
        self._failing = False
        self._begin()
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        # A connection shared with the parent process would mix both processes' requests.
        self._lock = Lock()
        self._sender: int | None = None
        self._session = _session()
        self._reused = False  # whether an answer came over the connection at hand

    def send(self, records: Sequence[bytes]) -> Sent:
        """Sends one batch of at most 512 records and 1 MiB, and reports what became of it."""
        if self._sender == get_ident():
            # A garbage collection or a signal handler has ended a step in the middle of a send on this very thread:
            # the connection is in use, and whoever uses it cannot go on before this returns.
            with _session() as session:
                return self._read(self._answer(lambda: self._post(session, records)), len(records))
        with self._lock:
            self._sender = get_ident()
            try:
                answer = self._answer(lambda: self._post_on_living_connection(records))
            finally:
                self._sender = None
        return self._read(answer, len(records))

    @staticmethod
    def _answer(post: Callable[[], wire.Answer]) -> wire.Answer:
        token = attach(set_value(_SUPPRESS, True))  # noqa: FBT003 - the value of a context key
        try:
            with time_limit(limits.SEND_TIMEOUT):
                return post()
        except (requests.Timeout, TimeoutError):
            return wire.Answer(f"did not answer within {limits.SEND_TIMEOUT} s")
        except requests.RequestException as error:
            # The answer's body is read here, and a read that times out then has another name.
            if "timed out" in str(error).lower():
                return wire.Answer(f"did not answer within {limits.SEND_TIMEOUT} s")
            return wire.Answer(f"could not be reached ({type(error).__name__})")
        except Exception as error:  # noqa: BLE001 - whatever a proxy setting or an adapter of the host raises
            return wire.Answer(f"could not be asked ({type(error).__name__})")
        finally:
            detach(token)

    def _post_on_living_connection(self, records: Sequence[bytes]) -> wire.Answer:
        """A server may close a kept connection at the very moment it is used again; that is no failure of the server.

        So what breaks without an answer on a connection that has served before is sent once more, on a new one. A
        record that arrives twice has the same id.
        """
        try:
            answer = self._post(self._session, records)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            if not self._reused:
                raise
            self._reused = False
            self._session.close()
            answer = self._post(self._session, records)
        self._reused = True
        return answer

    def _post(self, session: requests.Session, records: Sequence[bytes]) -> wire.Answer:
        with session.post(
            self._url,
            data=wire.body(records),
            headers=wire.headers(),
            auth=self._auth,
            timeout=limits.SEND_TIMEOUT,
            allow_redirects=False,
            stream=True,
        ) as response:
            content = b""
            for chunk in response.iter_content(limits.MAX_RESPONSE_BYTES):
                content += chunk
                if len(content) > limits.MAX_RESPONSE_BYTES:
                    return wire.Answer(f"answered {response.status_code} with more than any Failpath endpoint would")
            return wire.read_answer(response.status_code, response.headers.get("Location"), content, len(records))

    def _read(self, answer: wire.Answer, count: int) -> Sent:
        if answer.failure is not None:
            if not self._failing:
                self._failing = True
                say("Failpath: %s %s; records are lost until it takes them.", self._url, answer.failure)
            return Sent(0, count, "send_failed")
        if self._failing:
            self._failing = False
            say("Failpath: %s takes records again.", self._url)
        for index, reason in answer.rejected[:1]:
            say(
                "Failpath: %d of %d records were rejected; the first, number %d: %s",
                len(answer.rejected),
                count,
                index,
                reason,
            )
        return Sent(count - len(answer.rejected), len(answer.rejected), "rejected")

    def close(self) -> None:
        """Closes the connections; a later :meth:`send` opens new ones."""
        if self._sender != get_ident():
            with self._lock:
                self._session.close()
                self._reused = False


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter())
    return session
