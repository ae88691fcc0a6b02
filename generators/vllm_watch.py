"""Whether a vLLM engine still gives tokens: one whose core lives but hangs is killed; nothing else ends it.

A request's tokens are counted where the engine's outputs arrive, so a look costs no message to the core.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil

HUNG_SECONDS = 600.0
"""Silence that no working engine keeps while requests are open. The longest is the prefill of a full batch of
long prompts, with kernels compiled for it: minutes for a 72B model, as prefill goes in pieces that other
requests' tokens come between. What hangs (a GPU, a collective) hangs for ever."""
LOOKS = 20
"""Looks within that time. Silence is counted in looks: if this process itself was stopped, no time passed."""
_log = logging.getLogger(__name__)


async def end_if_hung(llm: Any, on_move: Callable[[], None] = lambda: None) -> None:
    """Watch the `AsyncLLM` until it is dead. If requests are open and none got a token or ended for
    `HUNG_SECONDS`, kill its core: the engine then dies as one whose core crashed. `on_move` is called at
    every look at which one did."""
    before: dict[str, int] = {}
    silent = 0
    while not llm.errored:
        await asyncio.sleep(HUNG_SECONDS / LOOKS)
        now = tokens_of_requests(llm)
        moves = moved(before, now)
        if moves:
            on_move()
        silent = 0 if not now or moves else silent + 1
        before = now
        if silent >= LOOKS:
            _log.warning("vLLM hangs: %d requests, no token in %g s. It is killed.", len(now), HUNG_SECONDS)
            kill(core_pids(llm))
            return


def tokens_of_requests(llm: Any) -> dict[str, int]:
    """Tokens so far of every open request, by its id."""
    states = llm.output_processor.request_states
    return {number: state.detokenizer.num_output_tokens() for number, state in states.items()}


def moved(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether a request got a token or ended. One that only arrived says nothing of the engine."""
    known = any(now.get(number, -1) != tokens for number, tokens in before.items())
    return known or any(tokens for number, tokens in now.items() if number not in before)


def core_pids(llm: Any) -> list[int]:
    """Processes of the engine's core."""
    return [process.pid for process in llm.engine_core.resources.engine_manager.processes]


def kill(pids: list[int]) -> None:
    """Kill processes and all below them: with tensor parallel those hold the GPUs."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for one in (*process.children(recursive=True), process):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
