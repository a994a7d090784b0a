"""An agent of Pydantic AI whose tools and requests to the model are steps. The model is a function: no network.

    pip install pydantic-ai-slim
    python examples/frameworks/pydantic_ai_agent.py order-17

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. With ``--slow`` the
tool takes a minute, so that there is time to kill the program in the middle of a step.
"""

import asyncio
import sys

from pydantic_ai import Agent, ModelMessage, ModelResponse, ModelSettings, RunContext, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.wrapper import WrapperModel

import failpath_otel

failpath = failpath_otel.configure()


class ModelInSteps(WrapperModel):
    """Any model; each request to it is a step of the current run."""

    @failpath.step("ask-model")
    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the wrapped model."""
        return await super().request(messages, model_settings, model_request_parameters)


def answer(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Stand in for a language model: call the tool first, then say what it has returned."""
    last = messages[-1].parts[-1]
    if last.part_kind == "tool-return":
        return ModelResponse(parts=[TextPart(f"Your order is {last.content}.")])
    return ModelResponse(parts=[ToolCallPart("look_up_order", {"order": str(getattr(last, "content", ""))})])


agent = Agent(ModelInSteps(FunctionModel(answer)))


@agent.tool
@failpath.step("look-up-order")
async def look_up_order(_: RunContext[object], order: str) -> str:
    """Return where an order is. Pydantic AI reads the name, the parameters and this text through the decorator."""
    await asyncio.sleep(60 if "--slow" in sys.argv else 0.05)
    return f"on its way ({order})"


async def main() -> None:
    """Execute the agent once; its own run has the same id."""
    async with failpath.run("support", run_id=sys.argv[1]) as run:
        result = await agent.run(sys.argv[1], run_id=run.run_id)
    print(result.output)


if __name__ == "__main__":
    asyncio.run(main())
