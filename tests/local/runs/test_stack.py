"""The text of a stack is split into frames, with the application's own marked."""

import json
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel.local.runs.stack import MAX_FRAMES, split_stack


def _frames(stack: str) -> list[tuple[str, bool]]:
    frames = split_stack(stack)
    assert "\n".join(frame.text for frame in frames) == stack
    return [(frame.text, frame.application) for frame in frames]


def _flags(*lines: str) -> list[bool]:
    """Whether each line, which has to be one frame, is the application's."""
    frames = _frames("\n".join(lines))
    assert [text for text, _ in frames] == list(lines)
    return [application for _, application in frames]


PYTHON = """\
Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in pay
    charge(order)
    ~~~~~~^^^^^^^
  File "/srv/.venv/lib/python3.12/site-packages/requests/api.py", line 59, in get
    return send()
  File "/usr/lib/python3.12/json/decoder.py", line 353, in decode
    raise JSONDecodeError(s)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<frozen importlib._bootstrap>", line 1360, in _find_and_load
  File "shop/site.py", line 3, in down
    return down()
  [Previous line repeated 990 more times]
RuntimeError: two lines,
  of which this is the second
"""


def test_python_frames_keep_their_code_and_what_is_no_frame_stays_text() -> None:
    assert _frames(PYTHON) == [
        ("Traceback (most recent call last):", True),
        ('  File "/srv/shop/pay.py", line 12, in pay\n    charge(order)\n    ~~~~~~^^^^^^^', True),
        ('  File "/srv/.venv/lib/python3.12/site-packages/requests/api.py", line 59, in get\n    return send()', False),
        ('  File "/usr/lib/python3.12/json/decoder.py", line 353, in decode\n    raise JSONDecodeError(s)', False),
        ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n", True),
        ("During handling of the above exception, another exception occurred:\n", True),
        ("Traceback (most recent call last):", True),
        ('  File "<frozen importlib._bootstrap>", line 1360, in _find_and_load', False),
        ('  File "shop/site.py", line 3, in down\n    return down()\n  [Previous line repeated 990 more times]', True),
        ("RuntimeError: two lines,", True),
        ("  of which this is the second\n", True),
    ]


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/pay.py", line 3, in <module>
  |     raise ExceptionGroup("several", errors)
  | ExceptionGroup: several (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/opt/conda/lib/python3.11/site-packages/x.py", line 1, in f
    |     1 / 0
    | ZeroDivisionError: division by zero
    +------------------------------------"""


def test_frames_of_exception_groups_are_frames() -> None:
    frames = _frames(GROUP)
    assert [text for text, _ in frames if "File" in text] == [
        '  |   File "/srv/shop/pay.py", line 3, in <module>\n  |     raise ExceptionGroup("several", errors)',
        '    |   File "/opt/conda/lib/python3.11/site-packages/x.py", line 1, in f\n    |     1 / 0',
    ]
    assert [application for _, application in frames] == [True, True, True, True, True, False, True, True]


def test_a_traceback_of_this_python_comes_apart() -> None:
    try:
        json.loads("{")
    except ValueError:
        stack = traceback.format_exc()
    frames = [(text, application) for text, application in _frames(stack) if text.startswith("  File")]
    assert __file__ in frames[0][0]
    assert 'json.loads("{")' in frames[0][0]
    assert [application for _, application in frames] == [True] + [False] * (len(frames) - 1)
    assert len(frames) > 1


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3/dist-packages/x.py",
        "site-packages/x.py",
        "C:\\Python312\\Lib\\asyncio\\base_events.py",
        "C:\\shop\\.venv\\Lib\\site-packages\\x.py",
        "/usr/lib/python312.zip/x.py",
        "/Library/Frameworks/Python.framework/Versions/3.12/lib/python3.12/asyncio/runners.py",
    ],
)
def test_libraries_of_python_are_recognised_by_their_place(path: str) -> None:
    assert _flags(f'  File "{path}", line 1, in f') == [False]


@pytest.mark.parametrize(
    "path",
    ["/home/me/python/shop.py", "C:\\shop\\lib\\pay.py", "<stdin>", "<string>", "pay.py", "/srv/my-site-packages/x.py"],
)
def test_other_places_are_the_application_s(path: str) -> None:
    assert _flags(f'  File "{path}", line 1, in f') == [True]


def test_what_a_line_of_code_says_does_not_make_it_a_library() -> None:
    assert _frames('  File "a.py", line 1, in f\n    load("/site-packages/x")')[0][1]


def test_javascript() -> None:
    assert _flags(
        "TypeError: Cannot read properties of undefined (reading 'id')",
        "    at charge (/srv/shop/pay.js:12:7)",
        "    at async Promise.all (index 0)",
        "    at new Order (file:///srv/shop/order.mjs:3:1)",
        "    at /srv/shop/main.js:1:1",
        "    at Layer.handle (/srv/shop/node_modules/express/lib/router/layer.js:95:5)",
        "    at processTicksAndRejections (node:internal/process/task_queues:95:5)",
        "    at node:fs:120:3",
        "    at Module._compile (internal/modules/cjs/loader.js:999:30)",
        "    at Array.map (<anonymous>)",
    ) == [True, True, True, True, True, False, False, False, False, False]


def test_java() -> None:
    assert _flags(
        "java.lang.IllegalStateException: no cart",
        "\tat com.shop.Pay.charge(Pay.java:12)",
        "\tat java.base/java.util.ArrayList.forEach(ArrayList.java:1511)",
        "\tat app//com.shop.Main.main(Main.java:3)",
        "\tat org.springframework.web.Dispatch.go(Dispatch.java:1)",
        "\tat jdk.internal.reflect.X.invoke(Unknown Source)",
        "\tat javafoo.Shop.run(Shop.java:9)",
        "Caused by: java.io.IOException: lost",
        "\t... 23 more",
    ) == [True, True, False, True, False, False, True, True, False]


def test_dotnet() -> None:
    assert _flags(
        "System.InvalidOperationException: no cart",
        "   at Shop.Pay.Charge(Order order) in /srv/shop/Pay.cs:line 12",
        "   at System.Linq.Enumerable.First[TSource](IEnumerable`1 source)",
        "   at Microsoft.AspNetCore.Routing.Next(HttpContext context)",
    ) == [True, True, False, False]


GO = """\
panic: no cart

goroutine 1 [running]:
panic({0x1, 0x2})
	/usr/local/go/src/runtime/panic.go:884 +0x212
main.pay(0x3)
	/go/src/shop/pay.go:12 +0x1d
github.com/x/lib.Do()
	/srv/go/pkg/mod/github.com/x/lib@v1.2.0/do.go:5
runtime.goexit()
	asm_amd64.s:1598 +0x1
created by main.main in goroutine 1
	/srv/shop/main.go:5 +0x20
exit status 2"""


def test_go_frames_are_two_lines() -> None:
    assert _frames(GO) == [
        ("panic: no cart\n", True),
        ("goroutine 1 [running]:", True),
        ("panic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:884 +0x212", False),
        ("main.pay(0x3)\n\t/go/src/shop/pay.go:12 +0x1d", True),
        ("github.com/x/lib.Do()\n\t/srv/go/pkg/mod/github.com/x/lib@v1.2.0/do.go:5", False),
        ("runtime.goexit()\n\tasm_amd64.s:1598 +0x1", False),
        ("created by main.main in goroutine 1\n\t/srv/shop/main.go:5 +0x20", True),
        ("exit status 2", True),
    ]


def test_ruby() -> None:
    assert _flags(
        "/srv/shop/pay.rb:12:in `charge': no cart (RuntimeError)",
        "\tfrom /srv/shop/pay.rb:3:in 'Object#<main>'",
        "\tfrom /usr/lib/ruby/3.2.0/json.rb:216:in `parse'",
        "\tfrom /var/lib/gems/3.2.0/gems/rack-3.0/lib/rack.rb:9:in `call'",
        "\tfrom <internal:kernel>:187:in `loop'",
    ) == [True, True, False, False, False]


def test_php() -> None:
    assert _flags(
        "PHP Fatal error:  Uncaught Exception: no cart in /srv/shop/pay.php:12",
        "Stack trace:",
        "#0 /srv/shop/main.php(3): charge()",
        "#1 /srv/shop/vendor/slim/App.php(199): Slim\\App->handle(Object(Request))",
        "#2 {main}",
        "  thrown in /srv/shop/pay.php on line 12",
    ) == [True, True, True, False, True, True]


def test_of_an_unknown_format_each_line_is_the_application_s() -> None:
    assert _frames("one\n  two\n\tthree") == [("one", True), ("  two", True), ("\tthree", True)]


def test_nothing_has_no_frames_and_empty_lines_stay() -> None:
    assert _frames("") == []
    assert _frames("\n") == [("\n", True)]
    assert _frames("\na\n\n") == [("", True), ("a\n\n", True)]


def test_lines_of_windows_are_frames_too() -> None:
    stack = '  File "C:\\shop\\pay.py", line 1, in f\r\n    charge()\r\nValueError: x\r'
    assert [text.count("\n") for text, _ in _frames(stack)] == [1, 0]


def test_the_middle_of_a_very_long_stack_is_one_frame() -> None:
    lines = [f"    at f{number} (/srv/shop/pay.js:1:1)" for number in range(2000)]
    frames = _frames("\n".join(lines))
    assert len(frames) == MAX_FRAMES
    assert (frames[0][0], frames[-1][0]) == (lines[0], lines[-1])
    (long,) = [(text, application) for text, application in frames if "\n" in text]
    assert long[1] is False
    assert len(_frames("\n".join(lines[:MAX_FRAMES]))) == MAX_FRAMES
    assert not any("\n" in text for text, _ in _frames("\n".join(lines[:MAX_FRAMES])))


_PIECES = st.sampled_from(
    [
        *(
            '  File "a.py", line 1, in f',
            "    code",
            "Traceback",
            "  [Previous line repeated 2 more times]",
            "\t/x/y.go:1",
        ),
        *(
            "main.f()",
            "    at f (/x:1:1)",
            "\tat java.x(Y)",
            "#0 /a.php(1): f()",
            "\tfrom /a.rb:1:in `f'",
            "",
            " ",
            "\r",
        ),
        *("\n", "  | ", "  +-+--- 1 ---", "\x0b", "\u2028", ":1:1:1", "((((1", '"', "at ", "File", "...", "... 2 more"),
    ]
)


@settings(deadline=None)
@given(st.text() | st.lists(_PIECES).map("\n".join) | st.lists(_PIECES).map("".join))
def test_the_texts_joined_are_the_stack_whatever_it_is(stack: str) -> None:
    assert len(_frames(stack)) <= MAX_FRAMES


@pytest.mark.parametrize(
    "piece",
    [" ", "\t", "|", "a", "(", "(1", ":1", ":1:in", ".go", "at ", "async ", '"', "/go", "#1 (", "go/1/", "@v1", "\\"],
)
def test_long_lines_come_back_whole(piece: str) -> None:
    for start in ("", "    at ", '  File "', "#0 ", "\tfrom ", "\t"):
        _frames(start + piece * 20_000)
