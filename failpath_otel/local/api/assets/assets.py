"""Serves the files of the page, with media types and ETags."""

import hashlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.assets.joined_page import BASE, JOINED, SHELL, joined_page
from failpath_otel.local.api.path_convertor import ANYTHING

if TYPE_CHECKING:
    # Moved in Python 3.14.
    from importlib.abc import Traversable

PAGE_ADDRESSES: Final = (
    "/",
    f"/flows/{{flow:{ANYTHING}}}",
    "/runs",
    f"/runs/{{run:{ANYTHING}}}",
    f"/compare/{{run:{ANYTHING}}}",
)
"""Addresses that a user opens; the page itself reads them."""

# Not from `mimetypes`, which reads the configuration of the machine.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class _Asset(NamedTuple):
    body: bytes
    media_type: str
    etag: str


class Assets:
    """The files below ``root``, by default those of this package, under ``/page/`` and as the page's addresses.

    The page itself loads its modules joined into one, and its style sheets likewise. All files are read once, so that
    an upgrade of the package does not mix with the running receiver. In a source tree they are read again after a
    change.
    """

    def __init__(self, root: "Traversable | None" = None, *, follow: bool | None = None) -> None:
        self._root = resources.files("failpath_otel.local") / "page" if root is None else root
        self._follow = _is_source_tree() if follow is None else follow
        self._seen = self._state()
        self._files = dict(_read(self._root))
        self._joined: dict[str, _Asset] | None = None

    @property
    def routes(self) -> list[Route]:
        """The routes of all files and of the page's addresses."""
        pages = [Route(address, self._shell, methods=["GET"]) for address in PAGE_ADDRESSES]
        return [*pages, Route(f"{BASE}{{path:{ANYTHING}}}", self._file, methods=["GET"])]

    def shell(self, request: Request, status_code: int = 200) -> Response:
        """Respond with the page, which reads its address; ``status_code`` is 404 for an unknown address."""
        return self._respond(request, SHELL, status_code)

    async def _shell(self, request: Request) -> Response:
        return self.shell(request)

    async def _file(self, request: Request) -> Response:
        path = request.path_params["path"]
        return self._respond(request, path, as_it_is=path not in JOINED)

    def _respond(self, request: Request, path: str, status_code: int = 200, *, as_it_is: bool = False) -> Response:
        if (state := self._state()) != self._seen:
            self._seen, self._files, self._joined = state, dict(_read(self._root)), None
        # A path is only looked up among the files that were found, never joined to the root.
        asset = (self._files if as_it_is else self._of_the_page()).get(path)
        if asset is None:
            raise HTTPException(404, "no such file")
        headers = {"etag": asset.etag, "cache-control": "no-cache"}
        if _names(request.headers.getlist("if-none-match"), asset.etag):
            return Response(status_code=304, headers=headers)
        return Response(asset.body, status_code, headers | {"content-type": asset.media_type})

    def _of_the_page(self) -> dict[str, _Asset]:
        """Return what the page loads. It is made when the page is first opened."""
        if self._joined is None:
            files = {path: asset.body for path, asset in self._files.items()}
            self._joined = {path: _asset(path, body) for path, body in joined_page(files).items()}
        return self._joined

    def _state(self) -> frozenset[tuple[str, int, int]]:
        """Return what changes when a file does; empty if files are not followed."""
        if not self._follow or not isinstance(self._root, Path):
            return frozenset()
        found = [(path, path.stat()) for path in self._root.rglob("*") if path.is_file()]
        return frozenset((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found)


def _is_source_tree() -> bool:
    return Path(__file__).parents[4].joinpath("pyproject.toml").is_file()


def _read(directory: "Traversable", prefix: str = "") -> Iterator[tuple[str, _Asset]]:
    if not directory.is_dir():
        return
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, _asset(entry.name, entry.read_bytes())


def _asset(name: str, body: bytes) -> _Asset:
    media_type = _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
    return _Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _names(lines: list[str], etag: str) -> bool:
    """Return whether an ``If-None-Match`` names that version."""
    given = {tag.strip().removeprefix("W/") for line in lines for tag in line.split(",")}
    return bool(given & {etag, "*"})
