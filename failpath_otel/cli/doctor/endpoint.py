"""The endpoint, and how it answers: to a request without events, or to a test event."""

from time import monotonic
from typing import Final

from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.cli.doctor.settings import Settings
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from failpath_otel.records.record import Record
from failpath_otel.records.request import KEY_REFUSED, Answer

CHECK: Final = "endpoint"
_WITHIN_SECONDS: Final = 10.0
"""Where `send_timeout` is longer, or 0, which waits for ever."""

_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


def check_endpoint(settings: Settings, event: Record | None) -> list[Finding]:
    """Ask the endpoint once, as deliveries do, and judge its answer.

    Args:
        settings: the options.
        event: what is sent; ``None``: a request without events, which stores nothing.
    """
    options = settings.options
    if options is None:
        missing = "the project key" if settings.url else "a usable endpoint and route"
        text = f"{settings.url or 'the endpoint'} is not asked: {missing} is missing"
        return [Finding(CHECK, "note", text, "correct that, and run this again", {"url": settings.url or None})]
    client = HttpClient(options)
    began = monotonic()
    try:
        answer = client.send([] if event is None else [event.to_json()], _WITHIN_SECONDS)
    finally:
        client.close()
    facts: dict[str, object] = {
        "url": client.url,
        "source": settings.sources["endpoint"],
        "status": answer.status,
        "failure": answer.failure,
        "seconds": (seconds := round(monotonic() - began, 3)),
        "event": None if event is None else {"flowKey": event.flow_key, "runId": event.run_id},
    }
    if answer.failure is not None:
        return [_failed(options, client.url, answer, event, facts)]
    if answer.rejected:
        text = f"{client.url} rejected the test event: {answer.rejected[0][1] or 'without a reason'}"
        return [Finding(CHECK, "problem", text, "its reason says what it expects", facts)]
    took = f"answered {answer.status} within {seconds:.2f} s"
    if event is None:
        return [Finding(CHECK, "ok", f"{client.url} {took}, to a request without events", "", facts)]
    text = f"{client.url} {took}, and has taken the test event: flow {event.flow_key}, run {event.run_id}"
    return [Finding(CHECK, "ok", text, "", facts)]


def _failed(options: Options, url: str, answer: Answer, event: Record | None, facts: dict[str, object]) -> Finding:
    text = f"{url} {answer.failure}"
    if event is None and answer.status is not None and not answer.retryable:
        text = f"{url} answered {answer.status} to a request without events, which it may not know"
        return Finding(CHECK, "warning", text, "--send shows whether it takes an event", facts)
    return Finding(CHECK, "problem", text, _advice(options, answer), facts)


def _advice(options: Options, answer: Answer) -> str:
    status = answer.status
    if status in KEY_REFUSED:
        return "compare FAILPATH_PROJECT_KEY with the key of the project, and the endpoint with the project's"
    if answer.misaddressed:
        return f"correct the endpoint: FAILPATH_ENDPOINT is the base URL, to which {options.route} is added"
    if answer.misconfigured:
        return "correct what this names"
    if status is None:
        return (
            "see whether a server listens there, and whether a firewall or a missing proxy is in between; records wait"
            " in the journal meanwhile"
        )
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        return "a matter of the server, and perhaps of the moment; records wait in the journal meanwhile"
    return "the answer says what is wrong with the request"
