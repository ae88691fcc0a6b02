"""Teachers run by vLLM in this process: continuous batching, prefix caching, tensor parallel, LoRA.

Samples are independent but do not repeat: `seed` is ignored. vLLM's sums depend on what else is in the
batch, so a seed would not make them repeat; per-request generators cost a kernel launch a row and token
on a GPU, and on a CPU they crash the engine (0.32) whenever a prompt is prefilled in pieces.
"""

from collections.abc import Sequence
from typing import Any

from distill.config import GeneratorSettings
from distill.errors import GeneratorError
from distill.records import Usage
from generators.base import Completion, FinishReason, Sample, check_request
from generators.model_files import revision, short_name
from generators.prompts import Prompts, load_tokenizer
from generators.vllm_engine import VllmEngine
from generators.weights import resolve_model


class VllmGenerator:
    """One vLLM engine. Implements `generators.base.Generator`."""

    shards_in_flight = 4

    def __init__(self, settings: GeneratorSettings, engine: VllmEngine | None = None) -> None:
        """Start an engine and wait until it is ready, or share `engine`, which `close` then leaves open.

        Raises:
            MissingDependencyError: vllm is not installed.
            GeneratorError: the engine did not start.
        """
        self._prompts = Prompts(load_tokenizer(settings.model), settings)
        self.engine, self._owned = engine or VllmEngine(settings), engine is None
        self._closed = False
        self._settings = settings
        self.name = f"{short_name(settings)}@{revision(resolve_model(settings.model))}"
        if settings.lora:
            self.name += f"+lora@{revision(settings.lora)}"

    @property
    def beats(self) -> int:
        """Grows while requests get tokens: a long answer is told from an engine that hangs."""
        return self.engine.beats

    def prompt(self, question: str, rollout: bool = False) -> tuple[int, ...]:
        """Token ids before an answer; see `generators.base.Generator.prompt`."""
        return self._prompts.prompt(question, rollout)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, with the tokens by which the tokenizer begins a sequence (BOS or none)."""
        return self._prompts.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens spelled out; invalid UTF-8 becomes U+FFFD."""
        return self._prompts.decode(token_ids)

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        """`n` independent continuations of `prefix`; see `generators.base.Generator.sample`.

        Texts keep the stop string that ended them, and the rest of its last token. A prefix that fills the
        model's context gets empty samples with finish_reason "length". Of the prompt's tokens those are
        `cached_tokens` that the first sample found in the engine's cache.

        Raises:
            GeneratorError: the prefix is empty or holds an id out of the vocabulary, or the engine failed.
        """
        if self._closed:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        check_request(prefix, n, self.engine.vocabulary, self.name)
        room = min(self._settings.max_new_tokens, self.engine.context - len(prefix))
        if n == 0:
            return Completion((), Usage())
        if room <= 0:
            return Completion((Sample((), "", "length"),) * n, Usage(len(prefix), 0, 0))
        outputs = await self.engine.generate(prefix, n, self._params(room))
        samples = tuple(self._sample(prefix, output.outputs[0]) for output in outputs)
        generated = sum(len(output.outputs[0].token_ids) for output in outputs)
        return Completion(samples, Usage(len(prefix), outputs[0].num_cached_tokens or 0, generated))

    def _params(self, room: int) -> Any:
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        return SamplingParams(
            temperature=self._settings.temperature,
            top_p=self._settings.top_p,
            max_tokens=room,
            stop=self._settings.stop,
            include_stop_str_in_output=True,
            skip_special_tokens=False,
            detokenize=bool(self._settings.stop),
            logprobs=0,  # that of the token that was sampled, and no others
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _sample(self, prefix: Sequence[int], output: Any) -> Sample:
        """`stop_reason` is the stop string, or an end token other than the usual one; else None."""
        reasons: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
        ids = list(output.token_ids)
        if output.finish_reason == "stop" and not isinstance(output.stop_reason, str):
            ids.pop()  # the end token
        logprobs = [at[i].logprob for i, at in zip(ids, output.logprobs or ())]
        return self._prompts.sample(prefix, ids, reasons.get(output.finish_reason, "error"), logprobs)

    async def close(self) -> None:
        """End the engine, if it is ours. Safe to call twice."""
        self._closed = True
        if self._owned:
            await self.engine.close()
