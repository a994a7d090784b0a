"""What holds for all presets."""

import pytest

import failpath_otel
from failpath_otel import StepRule
from failpath_otel.records.presets import preset_names
from tests.presets.run_pages import documented


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_a_page_in_the_documentation_and_can_be_given_a_flow_and_a_run_id(name: str) -> None:
    assert documented(name).startswith("flow ")
    rules = StepRule.preset(name, flow="checkout", run_id="order.id")
    assert {(rule.flow, rule.run_id) for rule in rules} == {("checkout", "order.id")}


def test_all_presets_can_be_used_together_and_no_rule_of_one_is_for_all_names_of_all_scopes() -> None:
    names = preset_names()
    assert len(names) == 11
    failpath = failpath_otel.configure(
        project_key="fp_project_presets", rules=f"preset:{','.join(names)}", enabled=False
    )
    failpath.shutdown()
    rules = [rule for name in names for rule in StepRule.preset(name)]
    # What asks for neither would be looked at for each span of a program.
    assert all(rule.scope != "*" or rule.span_name.strip("*") for rule in rules)
