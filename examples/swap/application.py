"""An application over the inference contract: it knows a model's name, and nothing of where or what that model is.

Usage: python examples/swap/application.py ["A question"]
"""

import asyncio
import sys
from pathlib import Path

import toque
from toque.model.inference import Message, PromptContext, SamplingParameters

SETTINGS = Path(__file__).with_name("toque.toml")


async def main(question: str) -> None:
    """Ask once in one piece and once piece by piece."""
    context = PromptContext(
        messages=[Message("user", question)], sampling=SamplingParameters(temperature=0.0, max_tokens=60)
    )
    async with toque.open(SETTINGS) as fleet:
        agent = fleet.agent("chat")
        completion = await agent.generate(context)
        print(completion.text)
        print(f"({completion.finish_reason}, {completion.usage.completion_tokens} tokens)")
        async for delta in agent.stream(context):
            print(delta.text, end="", flush=True)
        print()


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Name the capital of France."))
