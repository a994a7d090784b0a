"""A Django project as it was before it had heard of us; this module is its settings and its URLs."""

import time
from pathlib import Path
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import path

SECRET_KEY: Final = "of the test"
ALLOWED_HOSTS: Final = ["127.0.0.1"]
ROOT_URLCONF: Final = __name__
MIDDLEWARE: Final[list[str]] = []


def charge(request: HttpRequest, order: str) -> HttpResponse:
    until = request.GET.get("until")
    while until and not Path(until).exists():
        time.sleep(0.01)
    return HttpResponse(order)


urlpatterns = [path("orders/<str:order>/charge", charge)]
