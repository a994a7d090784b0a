"""What the page loads: its modules in one, its style sheets in one, and what the joining does not know."""

import json
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import failpath_otel.local
from failpath_otel.local.api.assets.assets import Assets
from failpath_otel.local.api.assets.joined_page import BASE, SCRIPT, SHELL, SOURCE_MAP, STYLES, joined_page
from failpath_otel.local.api.assets.joined_script import CannotJoinError, join

PAGE = Path(failpath_otel.local.__file__).parent / "page"
OWN = {str(path.relative_to(PAGE)): path.read_bytes() for path in PAGE.rglob("*.*")}
ENTRIES = {"app.js", "lib/stream-worker.js", "lib/shell/theme-early.js"}


@pytest.fixture(scope="module")
def joined() -> dict[str, str]:
    """What the page loads, as text."""
    return {name: body.decode() for name, body in joined_page(OWN).items()}


def test_the_page_loads_one_script_and_one_style_sheet_which_hold_all_of_its_own(joined: dict[str, str]) -> None:
    assert re.findall(r'<script type="module" src="([^"]+)"', joined[SHELL]) == [BASE + SCRIPT]
    assert re.findall(r'<link rel="stylesheet" href="([^"]+)"', joined[SHELL]) == [BASE + STYLES]
    sheets = re.findall(r'<link rel="stylesheet" href="/page/([^"]+)"', OWN[SHELL].decode())
    assert joined[STYLES] == "\n".join(OWN[sheet].decode() for sheet in sheets)
    assert set(sheets) == {name for name in OWN if name.endswith(".css")}
    assert not re.search(r"@import|@charset|url\((?!#)", joined[STYLES]), "is relative to its file, or has to be first"
    modules = {name for name in OWN if name.endswith((".js", ".mjs"))} - ENTRIES | {"app.js"}
    assert {_path(section) for section in json.loads(joined[SOURCE_MAP])["sections"]} == modules
    assert joined[SCRIPT].endswith(f"//# sourceMappingURL={SOURCE_MAP}\n")
    assert joined[SCRIPT].count("sourceMappingURL") == 1


def test_each_line_of_a_module_is_where_the_source_map_finds_it(joined: dict[str, str]) -> None:
    lines = joined[SCRIPT].split("\n")
    for section in json.loads(joined[SOURCE_MAP])["sections"]:
        source = OWN[_path(section)].decode().split("\n")
        mappings = section["map"]["mappings"].split(";")
        assert mappings == ["AAAA", *["AACA"] * (len(source) - 1)]
        begin = section["offset"]["line"]
        changed = [
            line
            for line, there in zip(source, lines[begin : begin + len(source)], strict=True)
            if line != there and not re.match(r"import\b|export\b|  \w.*,$|\} from|//# sourceMappingURL", line)
        ]
        if not _path(section).startswith("vendor/"):
            assert [line for line in changed if "import.meta.url" not in line] == []


def test_a_module_comes_once_and_after_what_it_imports() -> None:
    files = {
        "app.js": '// Begins.\nimport { b } from "./lib/b.js";\n'
        'import {\n  one,\n  two as other,\n} from "./lib/c.js";\nrun();\n',
        "lib/b.js": 'import { one } from "./c.js";\nexport const b = one;\n',
        "lib/c.js": 'import d from "../vendor/d.mjs";\nexport { e as two } from "../vendor/d.mjs";\n'
        "export function one() {}\nexport class Two {}\nexport async function three() {}\nlet at = import.meta.url;\n",
        "vendor/d.mjs": "var n=1;export default function(s){};export{n as e};\n//# sourceMappingURL=d.mjs.map",
    }
    assert _join(files).splitlines() == [
        "const joined_0 = (() => { // vendor/d.mjs",
        "var n=1;const joined_default=function(s){};",
        "",
        "return { default: joined_default, e: n };",
        "})();",
        "const joined_1 = (() => { // lib/c.js",
        "const { default: d } = joined_0;",
        "",
        "function one() {}",
        "class Two {}",
        "async function three() {}",
        'let at = new URL("/page/lib/c.js", import.meta.url).href;',
        "",
        "return { two: joined_0.e, one: one, Two: Two, three: three };",
        "})();",
        "const joined_2 = (() => { // lib/b.js",
        "const { one } = joined_1;",
        "const b = one;",
        "",
        "return { b: b };",
        "})();",
        "const joined_3 = (() => { // app.js",
        "// Begins.",
        "const { b } = joined_2;",
        "const { one, two: other } = joined_1;",
        *["", "", ""],
        "run();",
        "",
        "return {  };",
        "})();",
    ]


@pytest.mark.parametrize(
    "line",
    [
        *("export let a = 1;", "export var a = 1;", "export const { a } = b;", "export { a };"),
        *('export * from "./b.js";', "export default a;", "export default class A {}", "export function* a() {}"),
        *('import "./b.js";', 'import * as b from "./b.js";', 'import b, { c } from "./b.js";', 'import b from "b";'),
        *("import b from './b.js';", 'a();import { b } from "./b.js";', 'const b = await import("./b.js");'),
        *("const a = import.meta.env;", 'import { b } from "./b.js"'),
    ],
)
def test_a_form_that_is_not_known_is_named_with_its_place(line: str) -> None:
    with pytest.raises(CannotJoinError, match=rf"^app\.js:2: this form is not known: {re.escape(line)}$"):
        _join({"app.js": f"\n{line}\n", "b.js": "export const b = 1;\n"})


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({}, "app.js: there is no b.js"),
        ({"b.js": "export const c = 1;"}, "app.js: b.js does not export b"),
        ({"b.js": 'export { b } from "./app.js";'}, "app.js imports b.js imports app.js"),
    ],
)
def test_imports_that_lead_nowhere_or_in_a_circle_are_named(other: dict[str, str], text: str) -> None:
    with pytest.raises(CannotJoinError, match=f"^{re.escape(text)}$"):
        _join({"app.js": 'import { b } from "./b.js";', **other})


def test_the_joined_files_follow_the_files_they_are_made_of_and_only_where_these_are_followed(tmp_path: Path) -> None:
    (tmp_path / SHELL).write_text(
        '<link rel="stylesheet" href="/page/a.css">\n<link rel="stylesheet" href="/page/b.css">\n'
        '<script type="module" src="/page/app.js"></script>'
    )
    for name, text in {"a.css": "a {}", "b.css": "b {}", "app.js": "run();"}.items():
        (tmp_path / name).write_text(text)
    following, fixed = (
        TestClient(Starlette(routes=Assets(tmp_path, follow=follow).routes), "http://127.0.0.1")
        for follow in (True, False)
    )
    etags = {client.get("/page/joined.js").headers["etag"] for client in (following, fixed)}
    assert len(etags) == 1
    assert fixed.get("/page/joined.js", headers={"if-none-match": etags.pop()}).status_code == 304
    assert following.get("/page/joined.css").text == "a {}\nb {}"
    assert following.get("/page/joined.css").headers["content-type"] == "text/css; charset=utf-8"
    assert following.get("/page/joined.js.map").headers["content-type"] == "application/json"
    (tmp_path / "app.js").write_text("walk();")
    assert "walk();" in following.get("/page/joined.js").text
    assert "run();" in fixed.get("/page/joined.js").text
    (tmp_path / "app.js").write_text("export let a;")
    with pytest.raises(CannotJoinError, match=r"^app\.js:1: "):
        following.get("/")
    assert following.get("/page/app.js").text == "export let a;"


def _join(files: dict[str, str]) -> str:
    return join("app.js", {path: text.encode() for path, text in files.items()}, BASE).text


def _path(section: dict[str, dict[str, list[str]]]) -> str:
    return section["map"]["sources"][0].removeprefix(BASE)
