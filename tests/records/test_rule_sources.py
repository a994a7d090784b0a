"""What the option `rules` can name: objects, presets and files, alone and together."""

from pathlib import Path

import pytest

from failpath_otel import ConfigurationError, StepRule, limits
from failpath_otel.records.rules_file import check_rules

OWN = '[[rules]]\nflow = "own"\nstep = "pack"\nspan_name = "pack"\n'
RULE = StepRule("shop", "ship", span_name="ship")


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rules.toml"
    path.write_text(OWN)
    return path


def flows(given: object) -> list[str]:
    rules = check_rules("rules", given)
    assert rules is not None
    return [rule.flow for rule in rules]


def test_presets_and_files_apply_in_the_order_in_which_they_are_named() -> None:
    django, celery = len(StepRule.preset("django")), len(StepRule.preset("celery"))
    found = check_rules("FAILPATH_RULES", "preset:django,celery,./rules.toml")
    assert found is not None
    assert found[: django + celery] == StepRule.preset("django") + StepRule.preset("celery")
    assert [rule.flow for rule in found[django + celery :]] == ["own"]
    assert check_rules("FAILPATH_RULES", " ./rules.toml , preset:django,preset:celery ") == (
        found[django + celery :] + found[: django + celery]
    )


def test_a_list_may_have_rules_presets_and_paths() -> None:
    found = check_rules("rules", [RULE, "preset:flask", Path("rules.toml"), *StepRule.preset("celery")])
    assert found is not None
    assert found[0] == RULE
    assert found[1 : 1 + len(StepRule.preset("flask"))] == StepRule.preset("flask")
    assert "own" in [rule.flow for rule in found]
    assert found[-len(StepRule.preset("celery")) :] == StepRule.preset("celery")


@pytest.mark.parametrize("name", ["a,b.toml", "celery"])
def test_a_file_that_is_there_is_a_file_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(OWN)
    assert flows(name) == ["own"]


def test_a_file_beside_a_preset_can_have_the_name_of_one(tmp_path: Path) -> None:
    (tmp_path / "celery").write_text(OWN)
    assert flows("preset:flask,celery")[-1] == "own"
    assert "own" not in flows("preset:flask,preset:celery")


def test_flow_and_run_id_of_a_preset_can_be_set() -> None:
    by_text = check_rules("FAILPATH_RULES", "preset:flask?flow=shop&run_id=http.request.header.x_request_id")
    assert by_text == StepRule.preset("flask", flow="shop", run_id="http.request.header.x_request_id")
    assert by_text is not None
    assert {(rule.flow, rule.run_id) for rule in by_text} == {("shop", "http.request.header.x_request_id")}


def test_how_many_keys_a_preset_makes_can_be_set() -> None:
    by_text = check_rules("FAILPATH_RULES", "preset:django?max_keys=500,celery")
    assert by_text == StepRule.preset("django", max_keys=500) + StepRule.preset("celery")
    assert {rule.max_keys for rule in StepRule.preset("gen_ai", max_keys=7)} == {7}
    assert {rule.max_keys for rule in StepRule.preset("django")} == {limits.MAX_KEYS}
    assert {rule.max_keys for rule in StepRule.preset("django", max_keys=10_000)} == {10_000}
    with pytest.raises(ConfigurationError, match="max_keys of a rule must be a number from 1 to 10000"):
        StepRule.preset("django", max_keys=10_001)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("preset:flusk", "there is no preset"),
        ("preset:", "there is no preset"),
        ("preset:../rules", "there is no preset"),
        ("flask", "flask cannot be read"),
        ("./rules.toml,celery", "celery cannot be read"),
        ("preset:flask,./missing.toml", "missing.toml cannot be read"),
        ("preset:flask?step=a", "flow, run_id and max_keys"),
        ("preset:flask?max_keys=0", "max_keys of a rule must be a number from 1 to 10000, got '0' (int)"),
        ("preset:flask?max_keys=many", "max_keys of a rule must be a number from 1 to 10000, got 'many' (str)"),
        ("preset:flask?max_keys=" + "9" * 4_000, "max_keys of a rule must be a number"),
        ("preset:flask?run_id=api_key", "secret"),
        (["preset:flask", 7], "StepRules"),
        ([b"preset:flask"], "StepRules"),
    ],
)
def test_bad_input_what_names_no_rules_is_an_error_that_names_the_option_and_what_is_wrong(
    given: object, said: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_rules("FAILPATH_RULES", given)
    assert str(raised.value).startswith("FAILPATH_RULES")
    assert said in str(raised.value)


def test_the_error_for_an_unknown_preset_lists_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"celery.*django.*fastapi.*gen_ai.*temporal"):
        StepRule.preset("flusk")
