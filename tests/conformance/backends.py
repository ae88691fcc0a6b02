"""The backends under test: how each makes a generator for a model, and what it can do."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from model_server import ModelServer, serve_folder, served

from distill.config import GeneratorSettings, ServerSettings
from generators.base import Generator
from generators.load import load_generator

VLLM_ARGS = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 28, "max_model_len": 512}
GREEDY = 1e-6


@dataclass
class Backend:
    """`models` are folders by name. `repeats`: equal requests give equal samples; `real`: a model samples;
    `caches`: a prefix that comes again is not computed again."""

    models: dict[str, str]
    repeats = False
    real = True
    caches = True
    stack: ExitStack = field(default_factory=ExitStack)

    def make(self, model: str, **settings: Any) -> Generator:
        """A generator of its own for the model of that name."""
        raise NotImplementedError

    def at_work(self, model: str, generator: Generator) -> int | None:
        """Samples (of a server: requests) that the engine works on now; None where it does not tell."""
        return None

    def settings(self, **settings: Any) -> GeneratorSettings:
        return GeneratorSettings(**({"max_new_tokens": 40, "batch_size": 64, "threads": 1} | settings))


class Scripted(Backend):
    repeats, real, caches = True, False, False

    def make(self, model: str, **settings: Any) -> Generator:
        slip = 0.0 if settings.get("temperature") == GREEDY else 0.4
        script = settings.pop("script", f"solver?slip={slip}")
        return load_generator(self.settings(backend="scripted", model=f"scripted:{script}", **settings))


class Transformers(Backend):
    repeats = True

    def make(self, model: str, **settings: Any) -> Generator:
        return load_generator(self.settings(model=self.models[model], **settings))

    def at_work(self, model: str, generator: Any) -> int:
        loop = generator._loop
        return loop._live_rows() + sum(len(group.rows) for group in loop.pending) if loop else 0


@dataclass
class OpenAI(Backend):
    """The client against the server of these tests."""

    urls: dict[str, str] = field(default_factory=dict)
    servers: dict[str, ModelServer] = field(default_factory=dict)
    caches = False  # the server's engine only caches within a batch

    def url(self, model: str) -> str:
        self.servers[model] = serve_folder(self.models[model])
        return self.stack.enter_context(served(self.servers[model].application()))

    def at_work(self, model: str, generator: Generator) -> int | None:
        return self.servers[model].running if model in self.servers else None

    def make(self, model: str, **settings: Any) -> Generator:
        if model not in self.urls:
            self.urls[model] = self.url(model)
        server = ServerSettings(url=self.urls[model])
        told = {"backend": "openai", "model": "served", "tokenizer": self.models[model], "server": server}
        return load_generator(self.settings(**told, **settings))


class VllmServe(OpenAI):
    """The client against a `vllm serve` process."""

    caches = True

    def url(self, model: str) -> str:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        arguments = ["--port", str(port), "--max-model-len", "512", "--kv-cache-memory-bytes", str(1 << 28)]
        arguments += ["--enforce-eager", "--served-model-name", "served", "--enable-prompt-tokens-details"]
        folder = _resolved(self.models[model])
        # what `vllm serve` runs; that command wants a package `vllm`, and the CPU build has another name
        server = "vllm.entrypoints.openai.api_server"
        command = [sys.executable, "-m", server, "--model", folder, "--dtype", "float32"]
        process = subprocess.Popen([*command, *arguments], env=_environment())
        self.stack.callback(_end, process)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
        except TimeoutError:  # the next test starts another, and two large models may not fit
            _end(process)
            raise
        return f"http://127.0.0.1:{port}/v1"


class Vllm(Backend):
    """One engine a model, shared by the generators of all tests."""

    def make(self, model: str, **settings: Any) -> Generator:
        from generators.vllm_backend import VllmGenerator
        from generators.vllm_engine import VllmEngine

        told = {"backend": "vllm", "model": self.models[model], "engine_args": VLLM_ARGS, "threads": 2}
        chosen = self.settings(**(told | settings))
        engines = self.__dict__.setdefault("engines", {})
        if model not in engines:
            os.environ.update(_environment())
            engines[model] = VllmEngine(chosen)
            self.stack.callback(engines[model].stop)
        return VllmGenerator(chosen, engines[model])

    def at_work(self, model: str, generator: Any) -> int:
        return int(generator.engine.unfinished())


BACKENDS = {
    "scripted": Scripted,
    "transformers": Transformers,
    "openai": OpenAI,
    "vllm": Vllm,
    "vllm-serve": VllmServe,
}


def _resolved(model: str) -> str:
    from generators.weights import resolve_model

    return resolve_model(model)


def _environment() -> dict[str, str]:
    """Both cores, and a quiet vLLM."""
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return {**os.environ, "OMP_NUM_THREADS": "2", **quiet}


def wait_for(url: str, process: Any, seconds: float = 1200.0) -> None:
    """Return once the server that `process` runs answers at `url`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"vllm serve ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"no answer at {url} within {seconds} s")


def _end(process: Any) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
