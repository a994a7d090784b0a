"""The preset for generative AI: the names that spans of each operation have by OpenTelemetry's conventions."""

import re
from typing import Any, Final

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from failpath_otel import StepRule
from failpath_otel.records.rule_set import Rules
from tests.presets.run_pages import section

OPERATION: Final = "gen_ai.operation.name"
# Those of November 2026: docs/registry/attributes/gen-ai.md of open-telemetry/semantic-conventions-genai.
OPERATIONS: Final = (
    *("chat", "create_agent", "create_memory", "create_memory_store", "delete_memory", "delete_memory_store"),
    *("embeddings", "execute_tool", "generate_content", "invoke_agent", "invoke_workflow", "plan", "retrieval"),
    *("search_memory", "text_completion", "update_memory", "upsert_memory"),
)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(StepRule.preset("gen_ai"))


@pytest.fixture(scope="module")
def provider() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False, resource=Resource({"service.name": "shop"}))


def step(rules: Rules, provider: TracerProvider, name: str, attributes: dict[str, Any]) -> tuple[str, str] | None:
    span: Any = provider.get_tracer("any.library").start_span(name, attributes=attributes)
    seen = {**attributes, "resource:": span.resource.attributes}
    chosen = rules.choice_for(span, seen)
    return None if chosen is None else chosen.names(seen)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_a_step_with_the_model_agent_or_tool_in_its_name_and_without(
    rules: Rules, provider: TracerProvider, operation: str
) -> None:
    attributes = {OPERATION: operation}
    assert step(rules, provider, operation, attributes) == ("shop", operation)
    assert step(rules, provider, f"{operation} a thing", attributes) == ("shop", f"{operation} a thing")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_span_that_only_has_the_name_of_an_operation_is_no_step(
    rules: Rules, provider: TracerProvider, operation: str
) -> None:
    for name in (operation, f"{operation} a thing"):
        assert step(rules, provider, name, {}) is None
        assert step(rules, provider, name, {OPERATION: "another"}) is None


def test_the_documentation_lists_these_operations() -> None:
    listed = re.search(r"Operations are ([^.]*)\.", section("gen_ai"))
    assert listed is not None
    assert tuple(re.findall("`([^`]*)`", listed[1])) == OPERATIONS
