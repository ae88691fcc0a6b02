"""A small server of OpenAI's protocol around the transformers engine, in a thread, for tests.

It answers as vLLM does: token ids in and out at /completions, `continue_final_message` at
/chat/completions, end tokens among the ids, usage with cached tokens. `quirks` make it worse:
"new turn" ignores continue_final_message, "trims" strips the last message, "adds" puts a token before
every prompt, "no ids" hides ids and cuts stop strings off, "one" gives one choice whatever n is.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from distill.config import GeneratorSettings
from generators.base import Completion
from generators.load import load_generator

USER, ASSISTANT, END = "User: ", "\nTeacher: ", "\n--\n"
CONTEXT = 512


class ModelServer:
    """Serves one model folder. `asked` keeps the bodies of all requests."""

    def __init__(self, model: str, quirks: frozenset[str] = frozenset()) -> None:
        self._model, self.quirks = model, quirks
        self._engines: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.running = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/completions", self.completions)
        app.router.add_post("/v1/chat/completions", self.chat)
        return app

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "served", "max_model_len": CONTEXT}]})

    async def completions(self, request: web.Request) -> web.Response:
        body = await request.json()
        engine = self._engine(body)
        if not isinstance(body["prompt"], list) or "no tokens" in self.quirks:
            return web.json_response({"error": {"message": "prompt must be a string"}}, status=422)
        prompt = [*([0] if "adds" in self.quirks else []), *body["prompt"]]
        return await self._answer(engine, prompt, body, lambda text: {"text": text})

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        engine = self._engine(body)
        text = USER + body["messages"][0]["content"] + END
        last = body["messages"][-1]
        if last["role"] == "assistant":
            content = last["content"].rstrip() if "trims" in self.quirks else last["content"]
            goes_on = body.get("continue_final_message") and "new turn" not in self.quirks
            text += ASSISTANT + content + ("" if goes_on else END)
        else:
            text += ASSISTANT
        return await self._answer(
            engine, engine.encode(text), body, lambda said: {"message": {"content": said}}
        )

    async def _answer(self, engine: Any, prompt: Any, body: dict[str, Any], told: Any) -> web.Response:
        self.asked.append(body)
        n = 1 if "one" in self.quirks else body.get("n", 1)
        self.running += 1
        try:
            completion = await engine.sample(prompt, n, len(self.asked))
        finally:
            self.running -= 1
        return web.json_response(self._written(completion, body, told))

    def _written(self, completion: Completion, body: dict[str, Any], told: Any) -> dict[str, Any]:
        usage = completion.usage
        return {
            "choices": [self._choice(i, s, body, told) for i, s in enumerate(completion.samples)],
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.generated_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            },
        }

    def _choice(self, index: int, sample: Any, body: dict[str, Any], told: Any) -> dict[str, Any]:
        matched = next((stop for stop in body.get("stop", []) if stop in sample.text), None)
        ids, text = list(sample.token_ids), sample.text
        if sample.finish_reason == "stop" and matched is None:
            ids.append(1)  # the end token, as vLLM gives it
        choice = {"index": index, "finish_reason": sample.finish_reason, "stop_reason": matched}
        if "no ids" in self.quirks:
            return choice | told(text.partition(matched)[0] if matched else text)
        told_of = [*sample.logprobs, *[0.0] * (len(ids) - len(sample.token_ids))]
        return choice | told(text) | {"token_ids": ids, "logprobs": {"token_logprobs": told_of}}

    def _engine(self, body: dict[str, Any]) -> Any:
        """The engine for a request's sampling, loaded once."""
        sampling = {
            "temperature": body["temperature"],
            "top_p": body["top_p"],
            "max_new_tokens": body["max_tokens"],
            "stop": body.get("stop", []),
        }
        return self._engines.setdefault(
            str(sampling), load_generator(GeneratorSettings(model=self._model, threads=1, **sampling))
        )


@contextmanager
def served(app: web.Application) -> Iterator[str]:
    """The URL under which `app` answers, in a thread, until the end of the block."""
    loop, ready, address = asyncio.new_event_loop(), threading.Event(), []
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(runner.addresses[0])

    def serve() -> None:
        loop.run_until_complete(start())
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(30), "the test's server did not start"
    try:
        yield "http://{}:{}/v1".format(*address[0])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def serve_folder(folder: Path | str, *quirks: str) -> ModelServer:
    """A server for a model folder with these quirks."""
    return ModelServer(str(folder), frozenset(quirks))
