"""The preset for generative AI: a model behind HTTP, an agent and a chain, each by the instrumentation of its own."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from tests.frameworks.conftest import Watch
from tests.presets.run_pages import documented, pages_of

CHAT = {"role": "assistant", "content": "It is on its way."}
ANSWERS: dict[str, Any] = {
    "/v1/chat/completions": {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-of-tests",
        "choices": [{"index": 0, "finish_reason": "stop", "message": CHAT}],
    },
    "/v1/embeddings": {
        "object": "list",
        "model": "embed-of-tests",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    },
}


@contextmanager
def model_server(look: Callable[[], object]) -> Iterator[str]:
    """Answers as OpenAI does; a model that is named ``unknown`` is refused."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            look()
            known = asked["model"] != "unknown"
            body = json.dumps(ANSWERS[self.path] if known else {"error": {"message": "no such model"}}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def test_calls_of_a_model_are_steps_by_what_is_asked_of_which_model_and_one_that_is_refused_an_error(
    watch: Watch,
) -> None:
    watched = watch("preset:gen_ai")
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument()
    question: Any = [{"role": "user", "content": "Where is my order?"}]
    try:
        with model_server(watched.look) as url, openai.OpenAI(api_key="none", base_url=url, max_retries=0) as client:
            client.chat.completions.create(model="gpt-of-tests", messages=question)
            client.embeddings.create(model="embed-of-tests", input="order")
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model="unknown", messages=question)
    finally:
        instrumentor.uninstrument()
    steps = [("chat gpt-of-tests", "success"), ("embeddings embed-of-tests", "success"), ("chat unknown", "error")]
    told = watched.rows()
    assert told == [("trace", step, status) for step, outcome in steps for status in ("running", outcome)]
    assert watched.inside == [told[:1], told[:3], told[:5]]
    assert watched.server.events[-1]["error"]["name"] == "openai.NotFoundError"


def test_an_agent_its_model_and_its_tools_are_steps_of_one_run(watch: Watch) -> None:
    watched = watch("preset:gen_ai")
    agent = Agent(TestModel(), name="support")

    @agent.tool_plain
    def find_order(number: int) -> str:
        watched.look()
        if len(watched.inside) == 2:
            raise PermissionError("not your order")
        return "on its way"

    Agent.instrument_all()
    try:
        agent.run_sync("Where is my order?")
        with pytest.raises(PermissionError):
            agent.run_sync("Where is my order?")
    finally:
        Agent.instrument_all(instrument=False)

    chat = [("trace", "chat test", "running"), ("trace", "chat test", "success")]
    agent_began, found = ("trace", "invoke_agent support", "running"), ("trace", "execute_tool find_order", "running")
    first = [
        *(agent_began, *chat, found, ("trace", "execute_tool find_order", "success"), *chat),
        ("trace", "invoke_agent support", "success"),
    ]
    second = [
        *(agent_began, *chat, found, ("trace", "execute_tool find_order", "error")),
        ("trace", "invoke_agent support", "error"),
    ]
    assert watched.rows() == [*first, *second]
    assert watched.inside == [first[:4], [*first, *second[:4]]]
    assert len({event["runId"] for event in watched.server.events}) == 2
    assert watched.server.events[-1]["error"] == {"name": "PermissionError", "message": "not your order"}
    assert pages_of(watched.server.events) == documented("gen_ai")


def test_a_chain_is_steps_by_the_names_of_its_parts_and_the_tool_that_raises_is_its_error(watch: Watch) -> None:
    watched = watch("preset:gen_ai")

    @tool
    def find_order(number: str) -> str:
        """Find an order by its number."""
        watched.look()
        raise PermissionError("not your order")

    use_tools = RunnableLambda(lambda message: find_order.invoke(message.content)).with_config(run_name="use tools")
    chain = ChatPromptTemplate.from_template("{question}") | FakeListChatModel(responses=["17"]) | use_tools
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument()
    try:
        with pytest.raises(PermissionError):
            chain.invoke({"question": "Where is my order?"}, config={"run_name": "support"})
    finally:
        instrumentor.uninstrument()
    parts = [("ChatPromptTemplate", "success"), ("FakeListChatModel", "success")]
    began = [
        ("trace", "support", "running"),
        *(("trace", step, status) for step, outcome in parts for status in ("running", outcome)),
        *(("trace", "use tools", "running"), ("trace", "find_order", "running")),
    ]
    assert watched.inside == [began]
    assert watched.rows() == [*began, *(("trace", step, "error") for step in ("find_order", "use tools", "support"))]
    assert "not your order" in watched.server.events[-1]["error"]["message"]
