"""A vLLM engine (V1, 0.32) on a thread with an event loop of its own, restarted when it dies or hangs.

The engine's core is a process of its own; here live its queues and its detokeniser. The thread makes
it independent of the caller's loop, which in tests and notebooks comes and goes.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from distill.config import GeneratorSettings
from distill.errors import GeneratorError, UnfitSettingError, missing
from generators.model_files import engine_threads
from generators.prompts import load_fault
from generators.vllm_watch import core_pids, end_if_hung
from generators.weights import resolve_model

MAX_RESTARTS = 3
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `max_lora_rank` (vllm/config/lora.py, 0.32)."""
Result = TypeVar("Result")


def engine_arguments(settings: GeneratorSettings) -> dict[str, Any]:
    """vLLM's engine arguments for these settings; `settings.engine_args` win over ours.

    Every start has another seed: an engine that is started again must not draw the same noise again.
    """
    ours: dict[str, Any] = {
        "model": resolve_model(settings.model),
        "dtype": settings.dtype,
        "tensor_parallel_size": max(1, int(settings.gpus)),
        "max_num_seqs": settings.batch_size,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "seed": int.from_bytes(os.urandom(4), "big") >> 1,
    }
    if settings.gpus > 1:
        ours["distributed_executor_backend"] = "mp"  # within the actor; not other actors, which Ray would add
    if settings.lora:
        ours |= {"enable_lora": True, "max_lora_rank": lora_rank(settings.lora)}
    return ours | settings.engine_args


def lora_rank(folder: str) -> int:
    """The smallest `max_lora_rank` that holds the adapter in `folder`.

    Raises:
        UnfitSettingError: there is no adapter, or its rank is above vLLM's largest.
    """
    from peft import LoraConfig

    try:
        rank = int(LoraConfig.from_pretrained(folder).r)
    except (OSError, ValueError, TypeError) as error:
        raise UnfitSettingError(
            f"expected a LoRA adapter (adapter_config.json) in '{folder}', found: {error}. Give its folder."
        ) from error
    if rank > LORA_RANKS[-1]:
        raise UnfitSettingError(
            f"expected a LoRA adapter of a rank up to {LORA_RANKS[-1]} (vLLM's largest), found {rank} in "
            f"'{folder}'. Merge it into the model, and give the merged folder as `model`."
        )
    return next(allowed for allowed in LORA_RANKS if allowed >= rank)


class VllmEngine:
    """Holds the process, the thread and the loop. Requests may come from any thread.

    `context` is the most tokens of a sequence, `vocabulary` the number of token ids. `beats` grows while
    requests get tokens.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        """Start the engine; blocks until the model is loaded.

        Raises:
            MissingDependencyError: vllm is not installed.
            GeneratorError: see `start_engine`.
        """
        try:
            import vllm  # noqa: F401
        except ImportError as error:
            raise missing("vllm", "vllm") from error
        self._settings, self._numbers = settings, itertools.count()
        self._llm: Any = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closed = False
        self.restarts = self.beats = 0
        self._loop = asyncio.new_event_loop()
        self._starting = asyncio.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            llm = self._call(self._alive()).result()
        except BaseException:
            self.stop()
            raise
        self.context = int(llm.model_config.max_model_len)
        self.vocabulary = int(llm.model_config.get_vocab_size())

    def _call(self, work: Coroutine[Any, Any, Result]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def generate(self, prefix: Sequence[int], n: int, params: Any) -> list[Any]:
        """vLLM's outputs of `n` requests of one sample each, in order: the engine caches their prefix, and
        each tells for itself what it found there. Cancelling the caller aborts them.

        Raises:
            GeneratorError: the engine died twice on this request, or refuses it.
        """
        if self._closed:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        answers: list[Any] = await asyncio.wrap_future(self._call(self._generate(prefix, n, params)))
        return answers

    async def _generate(self, prefix: Sequence[int], n: int, params: Any) -> list[Any]:
        from vllm.v1.engine.exceptions import EngineDeadError

        for last in (False, True):
            llm = await self._alive()
            try:
                return await _together([self._one(llm, prefix, params) for _ in range(n)])
            except EngineDeadError as error:
                if last or self._closed:
                    raise GeneratorError(
                        f"vLLM's engine died twice on a request of {len(prefix)} tokens and {n} samples; its "
                        "own log says why. Lower batch_size or engine_args.max_model_len if memory ran out."
                    ) from error
            except Exception as error:
                raise GeneratorError(f"vLLM refuses a request: {type(error).__name__}: {error}") from error
        raise AssertionError("unreachable")

    async def _one(self, llm: Any, prefix: Sequence[int], params: Any) -> Any:
        from vllm.inputs.engine import tokens_input

        output, number = None, f"distill-{next(self._numbers)}"
        prompt = tokens_input(list(prefix))
        async for output in llm.generate(prompt, params, number, lora_request=self._lora()):  # noqa: B007
            pass
        return output

    def _lora(self) -> Any:
        if not self._settings.lora:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("lora", 1, os.path.abspath(self._settings.lora))

    async def _alive(self) -> Any:
        """The engine, started again if it died.

        Raises:
            GeneratorError: it does not start, or died (or hung) more than `MAX_RESTARTS` times.
        """
        async with self._starting:
            if self._llm is not None and not self._llm.errored:
                return self._llm
            if self._llm is not None:
                self.restarts += 1
                self._llm.shutdown()
            if self.restarts > MAX_RESTARTS:
                raise GeneratorError(f"vLLM's engine died {self.restarts} times; its own log says why.")
            self._llm = start_engine(self._settings)
            self._guard = guard(core_pids(self._llm))
            self._watch = asyncio.create_task(end_if_hung(self._llm, self._beat))
            return self._llm

    def _beat(self) -> None:
        self.beats += 1

    def unfinished(self) -> int:
        """Samples that the engine works on or that wait in its queue."""
        return int(self._llm.output_processor.get_num_unfinished_requests())

    async def close(self) -> None:
        """Abort what runs, end the process and the thread. Safe to call twice."""
        if not self._closed:
            await asyncio.get_running_loop().run_in_executor(None, self.stop)

    def stop(self) -> None:
        """`close` for callers without a loop; blocks. Requests that wait are cancelled."""
        if self._closed:
            return
        self._closed = True
        with suppress(Exception):
            self._call(self._shut_down()).result(timeout=60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _shut_down(self) -> None:
        llm, self._llm = self._llm, None
        if llm is not None:
            llm.shutdown()
        if self._guard is not None:
            self._guard.kill()  # its work is done
            self._guard.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _together(work: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order; the first failure, or a cancellation, cancels the rest."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


_GUARD = """import os, sys
sys.stdin.read()
for pid in sys.argv[1:]:
    try:
        os.kill(int(pid), 9)
    except OSError:
        pass
"""


def guard(pids: Sequence[int]) -> "subprocess.Popen[bytes]":
    """A process that ends `pids` when this one is gone: vLLM's core outlives a parent that is killed (as Ray
    kills actors), and keeps its GPU memory."""
    command = [sys.executable, "-I", "-S", "-c", _GUARD, *map(str, pids)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def start_engine(settings: GeneratorSettings) -> Any:
    """A running `AsyncLLM`; to be called within its event loop, which it blocks.

    Raises:
        UnfitSettingError: an engine argument that vLLM does not know or refuses, or a model that it cannot
            run: no other try will do better.
        GeneratorError: the engine did not start, for want of memory, say.
    """
    _set_environment(settings)
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    known = {field.name for field in fields(AsyncEngineArgs)}
    for name in set(settings.engine_args) - known:
        close = get_close_matches(name, known, n=1)
        meant = f"did you mean '{close[0]}'?" if close else "see `vllm serve --help=all`."
        raise UnfitSettingError(f"vLLM has no engine argument '{name}' (teacher.engine_args); {meant}")
    try:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**engine_arguments(settings)))
    except GeneratorError:
        raise
    # The core, where memory runs out, is another process: its errors come as RuntimeErrors.
    except Exception as error:
        raise load_fault(error)(
            f"vLLM did not start with '{settings.model}': {type(error).__name__}: {error}. Its log above "
            "says why. If memory is short, lower engine_args.max_model_len or gpu_memory_utilization."
        ) from error


def _set_environment(settings: GeneratorSettings) -> None:
    """What vLLM reads from the environment only. A user's own values stay.

    On a CPU its threads are not bound to cores, which several engines on one machine would share.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if settings.gpus == 0:
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        if not os.environ.get("OMP_NUM_THREADS"):
            os.environ["OMP_NUM_THREADS"] = str(engine_threads(settings))
