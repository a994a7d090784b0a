from pathlib import Path

from tools.release.contents import problems_of_sdist, problems_of_wheel

LICENCE = "failpath_otel/vendor/LICENSE-x.txt"
FILES = ["LICENSE", "failpath_otel/a.py", LICENCE, "failpath_otel_pytest.py", "tests/t.py"]
INFORMATION = "failpath_otel-1.dist-info"
WHEEL = {
    "failpath_otel/a.py": b"a",
    "failpath_otel_pytest.py": b"b",
    f"{INFORMATION}/licenses/LICENSE": b"c",
    f"{INFORMATION}/licenses/{LICENCE}": b"d",
    f"{INFORMATION}/RECORD": b"e",
}
SDIST = {**dict.fromkeys(FILES, b""), "PKG-INFO": b""}
PLACES = [Path("/home/someone/clone"), Path("/root")]


def test_a_wheel_of_the_package_and_its_licences_is_sound() -> None:
    assert problems_of_wheel(WHEEL | {"failpath_otel/a.py": b"the /root of a tree"}, FILES, PLACES) == []


def test_a_wheel_with_more_or_less_than_the_package_is_not() -> None:
    wheel = WHEEL | {"tests/t.py": b"", "failpath_otel/__pycache__/a.pyc": b"", LICENCE: b"d"}
    wheel |= {"failpath_otel_pytest.py": b"# /home/someone/clone/x"}
    del wheel["failpath_otel/a.py"], wheel[f"{INFORMATION}/licenses/LICENSE"]
    assert problems_of_wheel(wheel, FILES, PLACES) == [
        "failpath_otel/a.py is missing",
        "failpath_otel/__pycache__/a.pyc is not of the package",
        f"{LICENCE} is not of the package",
        "tests/t.py is not of the package",
        "LICENSE is missing",
        "failpath_otel/__pycache__/a.pyc is generated",
        f"{LICENCE} is the same licence as {INFORMATION}/licenses/{LICENCE}",
        "failpath_otel_pytest.py names a folder of this machine",
    ]


def test_an_sdist_has_the_files_of_the_tree_and_its_own_metadata_alone() -> None:
    assert problems_of_sdist(SDIST, FILES, PLACES) == []
    sdist = SDIST | {"failpath_otel.egg-info/x": b"", "failpath_otel/a.py": b"'/home/someone/clone'"}
    del sdist["tests/t.py"]
    assert problems_of_sdist(sdist, FILES, PLACES) == [
        "tests/t.py is missing",
        "failpath_otel.egg-info/x is not in the tree",
        "failpath_otel.egg-info/x is generated",
        "failpath_otel/a.py names a folder of this machine",
    ]
