"""What is left out on Windows is there to be left out."""

from tests.platforms import POSIX, ROOT, WINDOWS, is_for_windows


def test_all_that_is_named_exists_and_is_in_a_folder_that_runs_there() -> None:
    modules = {
        each: each.read_text(encoding="utf-8") for each in ROOT.glob("tests/**/test_*.py") if is_for_windows(each)
    }
    assert all((ROOT / each).exists() for each in WINDOWS)
    for name in POSIX:
        if name.endswith(".py"):
            assert ROOT / name in modules
        else:
            assert [each for each, text in modules.items() if f"\ndef {name}(" in text], name


def test_a_folder_that_is_not_listed_is_left_out_and_the_way_to_one_that_is_is_not() -> None:
    looked_at = {
        each: is_for_windows(ROOT / each) for each in ("tests", "tests/journal", "tests/steps/x.py", "tests/cli")
    }
    assert looked_at == {"tests": True, "tests/journal": True, "tests/steps/x.py": True, "tests/cli": False}
    assert not is_for_windows(ROOT / "tests/journal/test_forks.py")
