"""One batch to Failpath over HTTP, and what was answered."""

import gzip
import json
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import replace
from threading import current_thread, main_thread
from typing import Final

from opentelemetry.context import attach, detach, set_value

from failpath_otel import limits
from failpath_otel.delivery.http.bounded import time_limit
from failpath_otel.delivery.http.channel import Channel, Reply
from failpath_otel.delivery.http.connection_errors import Means, is_cut, obstacle, proxy_password, timed_out
from failpath_otel.delivery.http.own_channel import OwnChannel, import_way
from failpath_otel.journal.clock import machine_clock
from failpath_otel.options.endpoint import warn_of_plain_http
from failpath_otel.options.options import Options
from failpath_otel.records import request
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RLock, get_ident
from failpath_otel.scrubbing.values import REDACTED

Post = Callable[[bytes, dict[str, str], float | None], Reply]
"""Posts a body, with headers, within a timeout; see :class:`Channel`."""

_FIRST_ERROR: Final = 400
_SUPPRESS: Final = "suppress_instrumentation"
"""Context key under which OpenTelemetry's instrumentations leave a call alone (the plain spelling of it, which
``opentelemetry.instrumentation.utils`` reads beside a private one)."""


class HttpClient:
    """Sends batches of encoded records, one at a time. Never raises.

    A send takes no longer than ``send_timeout``. Over a session of the user's, that is the limit of each connection
    attempt and of each read instead: ``requests`` has no limit for all of them.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.url = options.endpoint + options.route
        """Where batches are posted."""
        self._timeout = options.send_timeout or None
        warn_of_plain_http(options.endpoint)
        self._begin()
        if options.session is None:
            import_way(self.url)
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        # A connection shared with the parent process would mix both processes' requests.
        self._lock = RLock()
        self._sender: int | None = None
        self._channel = self._new_channel()
        self._reused = False  # whether an answer came over the connection at hand

    def _new_channel(self) -> Channel:
        session = self._options.session
        if session is None:
            return OwnChannel(self.url)
        # Here, because only a program that has a session has imported `requests`.
        from failpath_otel.delivery.http.requests_channels import SessionChannel  # noqa: PLC0415

        return SessionChannel(self.url, session)

    def send(self, records: Sequence[bytes], within: float | None = None) -> request.Answer:
        """Send one batch of at most 512 records and 1 MiB, and return the answer.

        ``within`` is the limit in seconds where it is less than ``send_timeout``.
        """
        timeout = min((limit for limit in (self._timeout, within) if limit is not None), default=None)
        if self._sender == get_ident():
            # A garbage collection or a signal handler has ended a step in the middle of a send on this very thread:
            # the connection is in use, and its user cannot go on before this returns.
            channel = self._new_channel()
            try:
                return Context().run(self._answer, channel, channel.post, records, timeout)
            finally:
                channel.close()
        with self._lock:
            self._sender = get_ident()
            try:
                # Not in the context of the caller: a tracer would find the application's span in it.
                return Context().run(self._answer, self._channel, self._post_on_living_connection, records, timeout)
            finally:
                self._sender = None

    def _answer(self, channel: Channel, post: Post, records: Sequence[bytes], timeout: float | None) -> request.Answer:
        token = attach(set_value(_SUPPRESS, True))  # noqa: FBT003 - the value of a context key
        try:
            with time_limit(timeout):
                answer = self._exchange(post, records, timeout)
            return proxy_password(answer, _means(channel)) if answer.status == request.PROXY_PASSWORD else answer
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
                raise  # at the end of the interpreter, batches are sent there
            return _too_late(timeout) if timed_out(error) else obstacle(error, _means(channel))
        finally:
            detach(token)

    def _post_on_living_connection(self, body: bytes, headers: dict[str, str], timeout: float | None) -> Reply:
        """Post once more where a server has closed a kept connection as it was used again: that is no failure of it.

        So what breaks without an answer on a connection that has served before is sent once more, on a new one. A
        record that arrives twice has the same id.
        """
        reply: Reply | None = None
        try:
            reply = self._channel.post(body, headers, timeout)
        except Exception as error:
            if not self._reused or not is_cut(error):
                raise
        if reply is None:  # not within the block above, or the first failure would be named as the cause of another
            self._reused = False
            self._channel.close()
            reply = self._channel.post(body, headers, timeout)
        self._reused = True
        return reply

    def _exchange(self, post: Post, records: Sequence[bytes], timeout: float | None) -> request.Answer:
        try:
            body, headers = self._request(records)
        except MemoryError:  # which is not about the records, and may pass
            raise
        except Exception:  # noqa: BLE001 - a callback of the user's may raise anything
            exception_once("making the payload")
            # It may be about one of the records, as where the endpoint refuses them.
            return request.Answer("was not asked, because making the payload failed")
        with post(body, headers, timeout) as reply:
            if reply.status in request.INFORMATIONAL:
                return request.read_answer(reply.status, reply.headers, b"", len(records))
            now = request.server_time(reply.headers)
            if now is not None:
                machine_clock.observe(now)
            content = reply.read(limits.MAX_RESPONSE_BYTES)
            if len(content) > limits.MAX_RESPONSE_BYTES and reply.status < _FIRST_ERROR:
                failure = f"answered {reply.status} with more than any Failpath endpoint would"
                return request.misconfigured(failure, reply.status, misaddressed=True)
            return self._discreet(request.read_answer(reply.status, reply.headers, content, len(records)))

    def _discreet(self, answer: request.Answer) -> request.Answer:
        """Return the answer without the project key, should a reason of the server's repeat it."""
        key = self._options.project_key
        if not answer.rejected or not key:
            return answer
        return replace(answer, rejected=tuple((at, why.replace(key, REDACTED)) for at, why in answer.rejected))

    def _request(self, records: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
        options = self._options
        if options.payload is None:
            body = request.body(records)
        else:
            body = json.dumps(options.payload([json.loads(record) for record in records])).encode()
        headers = request.headers() | {"Authorization": f"Bearer {options.project_key}"}
        if options.compression == "gzip":
            body = gzip.compress(body, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if options.headers:
            # A header that names one of ours means it, however it is spelled.
            given = {name.lower() for name in options.headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in given}
            headers.update(options.headers)
        return body, headers

    def close(self) -> None:
        """Close the connections; a later :meth:`send` opens new ones."""
        if self._sender != get_ident():
            with self._lock:
                self._channel.close()
                self._reused = False


def _means(channel: Channel) -> Means:
    try:
        return channel.means()
    except Exception:  # noqa: BLE001 - a session of the user's may raise anything
        return Means("")


def _too_late(timeout: float | None) -> request.Answer:
    # With two digits, because what is left of a time limit has many more.
    return request.no_response(f"did not answer within {round(timeout or limits.MAX_SECONDS, 2)} s")
