"""The files of the page: what is served, as what, and what a browser has to ask for again."""

import os
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import failpath_otel.local
from failpath_otel.local.api.assets.assets import Assets

PAGE = Path(failpath_otel.local.__file__).parent / "page"
IMPORTED = re.compile(r'"(\.[^"]+)";$')
TOOL = Path(__file__).parents[3] / "tools" / "vendor.py"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    root = tmp_path / "page"
    (root / "vendor").mkdir(parents=True)
    (tmp_path / "secret.js").write_text("secret")
    (root / "index.html").write_text("<!doctype html>ü", encoding="utf-8")
    for name in ("app.js", "base.css", "icon.svg", "vendor/some.js", "vendor/LICENSE", "vendor/pins.json"):
        (root / name).write_text(name)
    return root


def client(root: Path, *, follow: bool = False) -> TestClient:
    app = Starlette(routes=Assets(root, follow=follow).routes)
    app.router.redirect_slashes = False
    return TestClient(app, "http://127.0.0.1")


def get(page: Path, path: str, **headers: str) -> httpx.Response:
    answer: httpx.Response = client(page).get(
        path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return answer


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/base.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/page/index.html", "text/html; charset=utf-8"),
        ("/page/vendor/some.js", "text/javascript; charset=utf-8"),
        ("/page/vendor/pins.json", "application/json"),
        ("/page/vendor/LICENSE", "application/octet-stream"),
    ],
)
def test_each_file_is_served_as_what_it_is(page: Path, path: str, media_type: str) -> None:
    answer = get(page, path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.content == (page / path.removeprefix("/page/")).read_bytes()


@pytest.mark.parametrize(
    "path",
    ["/", "/runs", "/runs/1", "/runs/a%2Fb", "/runs/a/b/..", "/runs/line%0Abreak", "/flows/x", "/flows/%3Cb%3E?node=1"],
)
def test_every_address_of_the_page_is_its_shell(page: Path, path: str) -> None:
    answer = get(page, path)
    assert (answer.status_code, answer.text) == (200, "<!doctype html>ü")


@pytest.mark.parametrize(
    "path",
    [
        *("/page", "/page/", "/page/none.js", "/page/vendor", "/page/vendor/", "/flows", "/run", "/index.html"),
        *(
            "/page/..%2Fsecret.js",
            "/page/%2e%2e/secret.js",
            "/page/vendor/../app.js%00",
            "/page//etc/passwd",
            "/page/%2Fapp.js",
        ),
    ],
)
def test_nothing_else_is_there(page: Path, path: str) -> None:
    assert client(page).get(httpx.URL("http://127.0.0.1", raw_path=path.encode())).status_code == 404


def test_what_a_browser_has_is_not_sent_again(page: Path) -> None:
    first = get(page, "/page/app.js")
    etag = first.headers["etag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = get(page, "/page/app.js", if_none_match=given)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "content-type" not in again.headers
    assert get(page, "/page/app.js", if_none_match='"x"').status_code == 200
    assert get(page, "/page/base.css", if_none_match=etag).status_code == 200


def test_a_question_for_the_headers_only_gets_those_of_the_file(page: Path) -> None:
    answer = client(page).head("/page/app.js")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "6")
    assert answer.headers["etag"] == get(page, "/page/app.js").headers["etag"]


def test_in_a_source_tree_a_change_is_seen_and_elsewhere_it_is_not(page: Path) -> None:
    following, fixed = client(page, follow=True), client(page)
    before = following.get("/page/app.js").headers["etag"]
    (page / "app.js").write_text("changed it")
    (page / "new.js").write_text("new")
    assert following.get("/page/app.js").text == "changed it"
    assert following.get("/page/app.js").headers["etag"] != before
    assert following.get("/page/new.js").text == "new"
    assert fixed.get("/page/app.js").text == "app.js"
    assert fixed.get("/page/new.js").status_code == 404


def test_a_package_without_a_page_answers_that_there_is_none(tmp_path: Path) -> None:
    assert get(tmp_path / "none", "/").status_code == 404


def test_what_the_package_holds_is_served() -> None:
    answer = TestClient(Starlette(routes=Assets().routes), "http://127.0.0.1").get("/page/vendor/preact.mjs")
    assert answer.content == (PAGE / "vendor" / "preact.mjs").read_bytes()


def test_the_vendored_files_are_those_that_were_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["vendor.py", "--check"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert caught.value.code == 0


def test_a_vendored_file_that_was_changed_removed_or_added_is_named(tmp_path: Path) -> None:
    differences: Callable[[Path], list[str]] = _tool()["differences"]
    vendor = tmp_path / "vendor"
    shutil.copytree(PAGE / "vendor", vendor)
    assert differences(vendor) == []
    with (vendor / "preact.mjs").open("a") as file:
        file.write(os.linesep)
    (vendor / "LICENSE-htm.txt").unlink()
    (vendor / "more.js").touch()
    assert differences(vendor) == [
        "more.js is not pinned",
        "preact.mjs is not what was pinned",
        "LICENSE-htm.txt is missing",
    ]


def test_every_vendored_package_comes_with_its_licence() -> None:
    for package in _tool()["pins"](PAGE / "vendor"):
        assert {"name", "version", "licence", "integrity", "files"} <= package.keys()
        assert [name for name in package["files"] if name.startswith("LICENSE-")]


def _tool() -> dict[str, Any]:
    return runpy.run_path(str(TOOL))


def test_no_file_of_the_page_is_long() -> None:
    own = [path for path in PAGE.rglob("*.*") if path.parent.name != "vendor"]
    lengths = {path.name: len(path.read_text().splitlines()) for path in own}
    assert len(lengths) > 40
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def _room(script: Path) -> str:
    """Returns the folder of the page that a file is in, at any depth; `page` for one beside the folders."""
    return (PAGE.name, *script.relative_to(PAGE).parts[:-1])[:2][-1]


def test_the_files_of_the_page_import_what_is_there_from_views_to_components_to_lib() -> None:
    below = {
        "lib": {"lib", "vendor"},
        "components": {"components", "lib", "vendor"},
        "views": {"views", "components", "lib", "vendor"},
        "page": {"views", "components", "lib", "vendor"},
    }
    found: set[str] = set()
    for script in PAGE.rglob("*.js"):
        if script.parent.name == "vendor":
            continue
        for line in script.read_text(encoding="utf-8").splitlines():
            if line.startswith("import ") and (name := IMPORTED.search(line)):
                imported = (script.parent / name[1]).resolve()
                assert imported.is_file(), f"{script.name}: {name[1]}"
                room = _room(script)
                assert _room(imported) in below[room], f"{script.name}: {name[1]}"
                found.add(room)
    assert found == set(below)
