"""A shop in Django, in one file: requests under WSGI and ASGI, a streaming response, and a management command.

    pip install django gunicorn uvicorn
    python examples/frameworks/django_shop.py runserver 8000
    gunicorn --chdir examples/frameworks --bind 127.0.0.1:8000 django_shop:application
    uvicorn --app-dir examples/frameworks --port 8000 django_shop:asgi_application
    curl -X POST -H 'X-Request-Id: order-17' http://127.0.0.1:8000/orders
    python examples/frameworks/django_shop.py close_day

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. With
``/orders?bank=slow`` and ``close_day --slow`` a step takes a minute, so that there is time to kill the process in it.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import BaseCommand, CommandParser, execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import require_POST

import failpath_otel
from failpath_otel.integrations.django import run_middleware

failpath = failpath_otel.configure()
failpath_run = run_middleware(failpath, run_id_header="X-Request-Id")

if not settings.configured:  # in a project these lines are in settings.py
    settings.configure(
        SECRET_KEY="of the example",  # noqa: S106 - signs nothing
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        ROOT_URLCONF=__name__,
        WSGI_APPLICATION=f"{__name__}.application",
        MIDDLEWARE=[f"{__name__}.failpath_run"],  # before others, whose steps are to belong to the run
    )


@failpath.step("charge-card")
def charge(cents: int, *, slow_bank: bool) -> str:
    """Charge the card as a step of the request's run, and return the id of the charge."""
    time.sleep(60 if slow_bank else 0.05)
    return f"ch_{cents}"


@require_POST
def take_order(request: HttpRequest) -> JsonResponse:
    """Handle one order, synchronously; the flow is the name of the URL pattern."""
    run = failpath.current_run()
    return JsonResponse(
        {"run": run and run.run_id, "charge": charge(4999, slow_bank=request.GET.get("bank") == "slow")}
    )


@require_POST
async def take_parcel(request: HttpRequest) -> JsonResponse:
    """Handle one parcel, asynchronously."""
    run = failpath.current_run()
    assert run is not None
    async with run.step("book-courier") as step:
        await asyncio.sleep(60 if request.GET.get("courier") == "slow" else 0.05)
        step.set_metadata(courier="bike-7")
    return JsonResponse({"run": run.run_id})


@failpath.step("export-rows")
def rows() -> Iterator[str]:
    """Yield the lines of a report; the step lasts from the first to the last."""
    for number in range(3):
        yield f"order-{number}\n"


def export(_: HttpRequest) -> StreamingHttpResponse:
    """Stream a report, whose lines are made when the view has returned."""
    return StreamingHttpResponse(rows(), content_type="text/csv")


class CloseDay(BaseCommand):
    """A management command, whose run has the day as its id."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the day, and whether the bank is slow."""
        parser.add_argument("--day", default=f"{datetime.now().astimezone():%Y-%m-%d}")
        parser.add_argument("--slow", action="store_true")

    def handle(self, *_: object, day: str, slow: bool, **__: object) -> None:
        """Run the flow once; what it has reported is delivered when the process ends."""
        with failpath.run("close-day", run_id=day):
            orders = len(list(rows()))
            charge(orders * 4999, slow_bank=slow)
        self.stdout.write(f"{orders} orders.")


urlpatterns = [
    path("orders", take_order, name="take-order"),
    path("parcels", take_parcel, name="take-parcel"),
    path("report.csv", export, name="export-report"),
]
application = get_wsgi_application()
asgi_application = get_asgi_application()

if __name__ == "__main__":
    if sys.argv[1:2] == ["close_day"]:  # in a project it is in management/commands/close_day.py
        CloseDay().run_from_argv(sys.argv)
    else:
        execute_from_command_line(sys.argv)
