"""The parent of a step: the innermost step of the same run around it, whatever else is in between."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider

from failpath_otel import Failpath, StepRule
from failpath_otel.configure import FailpathClient
from failpath_otel.joined_providers import Join
from failpath_otel.options.options import Options
from failpath_otel.records.content import RecordContent
from failpath_otel.records.span_translation import span_records
from failpath_otel.spans.shared_processor import SharedProcessor
from failpath_otel.testing import MockFailpath, _ArrivedRecords


def parents(records: list[Any]) -> dict[str, str | None]:
    """Return the step key of the parent of each step; each is the same in both records."""
    keys = {record.span_id: record.step_key for record in records}
    found = {(each.step_key, None if each.parent_span_id is None else keys[each.parent_span_id]) for each in records}
    assert len(found) == len(keys)
    return dict(found)


@pytest.fixture(params=[False, True], ids=["without a provider", "with a host's provider"])
def recorded(request: pytest.FixtureRequest) -> tuple[FailpathClient, list[Any]]:
    records: list[Any] = []
    join = Join(Options.resolve(project_key="fp_project_x"), lambda _: _ArrivedRecords(records, None).pipeline)
    provider: Any = NoOpTracerProvider()
    if request.param:
        provider = TracerProvider(shutdown_on_exit=False)
        join.add_to(provider)
    return FailpathClient(provider, join), records


def test_steps_inside_each_other(recorded: tuple[FailpathClient, list[Any]]) -> None:
    failpath, records = recorded
    with failpath.run("checkout") as run:
        with run.step("outer"):
            with run.step("middle"):
                run.step("inner", lambda: None)
            run.step("second", lambda: None)
        run.step("beside", lambda: None)
    assert parents(records) == {"outer": None, "middle": "outer", "inner": "middle", "second": "outer", "beside": None}


def test_a_span_of_the_application_in_between_is_no_parent(recorded: tuple[FailpathClient, list[Any]]) -> None:
    failpath, records = recorded
    run, tracer = failpath.run("checkout"), TracerProvider(shutdown_on_exit=False).get_tracer("application")
    with run.step("outer"), tracer.start_as_current_span("query"):
        run.step("inner", lambda: None)
    assert parents(records) == {"outer": None, "inner": "outer"}


def test_a_step_of_another_run_in_between_is_no_parent_and_hides_none(
    recorded: tuple[FailpathClient, list[Any]],
) -> None:
    failpath, records = recorded
    run, other = failpath.run("checkout"), failpath.run("delivery")
    same = failpath.run("checkout", run_id=run.run_id)
    with run.step("outer"), other.step("of another"):
        same.step("inner", lambda: None)
        other.step("second of another", lambda: None)
    assert parents(records) == {
        "outer": None,
        "of another": None,
        "inner": "outer",
        "second of another": "of another",
    }


def test_a_failing_step_and_one_that_is_left_out_have_parents_too(recorded: tuple[FailpathClient, list[Any]]) -> None:
    failpath, records = recorded
    run = failpath.run("checkout")
    with run.step("outer"):
        run.skip("left out")
        with pytest.raises(ZeroDivisionError):
            run.step("failing", lambda: 1 / 0)
    assert parents(records) == {"outer": None, "left out": "outer", "failing": "outer"}


def test_tasks_and_threads_with_the_context_of_a_step_begin_inside_it(
    recorded: tuple[FailpathClient, list[Any]],
) -> None:
    failpath, records = recorded
    run = failpath.run("checkout")

    async def work(key: str) -> None:
        async with run.step(key):
            await asyncio.sleep(0)

    async def main() -> None:
        async with run.step("outer"):
            await asyncio.gather(work("one"), work("two"))
        await work("beside")

    asyncio.run(main())
    with run.step("of a thread"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(run.step, "three", lambda: None))
        thread.start()
        thread.join()
    assert parents(records) == {
        "outer": None,
        "one": "outer",
        "two": "outer",
        "beside": None,
        "of a thread": None,
        "three": "of a thread",
    }


def test_runs_that_are_started_inside_each_other_without_end_keep_a_bounded_lineage(
    recorded: tuple[FailpathClient, list[Any]],
) -> None:
    failpath, records = recorded
    runs = [failpath.run("checkout", run_id=number) for number in range(40)]
    blocks = [run.step(f"step {number}") for number, run in enumerate(runs)]
    for block in blocks:
        block.__enter__()
    runs[35].step("inside", lambda: None)  # within the eight innermost runs
    runs[0].step("far inside", lambda: None)  # beyond them
    for block in reversed(blocks):
        block.__exit__(None, None, None)
    found = parents(records)
    assert found["inside"] == "step 35"
    assert found["far inside"] is None


def test_the_span_of_a_step_names_the_parent_so_that_an_exporter_knows_it() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    records: list[Any] = []
    join = Join(Options.resolve(project_key="fp_project_x"), lambda _: _ArrivedRecords(records, None).pipeline)
    join.add_to(provider)
    run = FailpathClient(provider, join).run("checkout")
    with run.step("outer"):
        run.step("inner", lambda: None)
    spans = exporter.get_finished_spans()
    exported = [record for span in spans for record in span_records(span, None, RecordContent())]
    assert parents(exported) == parents(records) == {"outer": None, "inner": "outer"}


@pytest.mark.parametrize("stated", ["", "0" * 16, "12", "x" * 16, "A" * 16, 7, ("1" * 16,)], ids=repr)
def test_a_parent_of_a_wrong_form_is_none(stated: Any) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("foreign")
    attributes = {"failpath.flow.key": "checkout", "failpath.step.key": "pack", "failpath.step.parent_span_id": stated}
    span: Any = tracer.start_span("pack", attributes=attributes)
    span.end()
    assert {record.parent_span_id for record in span_records(span, None, RecordContent())} == {None}


def test_steps_by_rules_and_steps_of_this_package_are_inside_each_other() -> None:
    records: list[Any] = []
    rules = [StepRule("checkout", "request", span_name="request *", run_id="order")]
    options = Options.resolve(project_key="fp_project_x", rules=rules)
    join = Join(options, lambda _: _ArrivedRecords(records, None).pipeline)
    provider = TracerProvider(shutdown_on_exit=False)
    join.add_to(provider)
    failpath, tracer = FailpathClient(provider, join), provider.get_tracer("application")
    run = failpath.run("checkout", run_id="17")
    with (
        run.step("outer"),
        tracer.start_as_current_span("request /pay", attributes={"order": "17"}),
        tracer.start_as_current_span("query"),
    ):
        run.step("inner", lambda: None)
        failpath.run("checkout", run_id="18").step("of another run", lambda: None)
    assert parents(records) == {"outer": None, "request": "outer", "inner": "request", "of another run": None}


def test_the_mock_shows_parents() -> None:
    failpath = MockFailpath()
    run = failpath.run("checkout")
    with run.step("outer"):
        run.step("inner", lambda: None)
    assert parents(failpath.events) == {"outer": None, "inner": "outer"}


def test_a_client_that_sends_by_otlp_alone_names_parents_on_its_spans() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    run = Failpath(tracer_provider=provider).run("checkout")
    with run.step("outer"):
        run.step("inner", lambda: None)
    exported = [each for span in exporter.get_finished_spans() for each in span_records(span, None, RecordContent())]
    assert parents(exported) == {"outer": None, "inner": "outer"}


def test_with_rules_a_span_in_between_that_no_reporter_sees_hides_no_parent() -> None:
    records: list[Any] = []
    options = Options.resolve(project_key="fp_project_x", rules=[StepRule("web", "get", span_name="GET *")])
    join = Join(options, lambda _: _ArrivedRecords(records, None).pipeline)
    provider = TracerProvider(shutdown_on_exit=False)
    join.add_to(provider)
    run = FailpathClient(provider, join).run("checkout")
    unseen = TracerProvider(shutdown_on_exit=False).get_tracer("of another provider")
    with run.step("outer"), unseen.start_as_current_span("query"):
        run.step("inner", lambda: None)
    assert parents(records) == {"outer": None, "inner": "outer"}


def test_the_end_of_a_step_that_another_client_reports_looks_at_no_open_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    clients = []
    for name in ("one", "two"):
        join = Join(Options.resolve(project_key=f"fp_project_{name}"), lambda _: _ArrivedRecords([], None).pipeline)
        provider.add_span_processor(SharedProcessor(join.reporter))
        clients.append(FailpathClient(provider, join))
    looked: list[Any] = []
    monkeypatch.setattr(clients[1]._join.reporter, "_find", lambda *given: looked.append(given))
    clients[0].run("checkout").step("pack", lambda: None)
    assert looked == []
