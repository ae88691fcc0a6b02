"""Teachers run by `transformers` in this process, on CPU or GPU.

Samples are a function of (prefix, n, seed) up to float rounding: within a job (`generators.batching`)
tokens repeat exactly on the same machine with the same thread count; with other batch mates a token
whose noise falls within rounding of a boundary may differ (about one in a million).

Not covered: models with a recurrent state (refused at load), tokenizers whose `decode` drops the first
space of a continuation (SentencePiece), speculative decoding, several GPUs for one model.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from distill.config import GeneratorSettings
from distill.errors import GeneratorError
from distill.records import Usage
from generators.base import Completion, check_request
from generators.batching import Batcher, Job
from generators.decode_loop import DecodeLoop, Rules
from generators.lane_cache import Storage
from generators.lanes import Request
from generators.model_files import Loaded, engine_threads, load_model
from generators.prompts import Prompts
from generators.stops import stop_check, token_codes


class TransformersGenerator:
    """One model on one worker thread. Implements `generators.base.Generator`."""

    shards_in_flight = 1

    def __init__(self, settings: GeneratorSettings) -> None:
        """Load the model; blocks until it is ready.

        Raises:
            GeneratorError: the model cannot be loaded.
        """
        self._executor = ThreadPoolExecutor(
            1, "generator", torch.set_num_threads, (engine_threads(settings),)
        )
        try:
            self._loaded: Loaded | None = self._executor.submit(load_model, settings).result()
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        self.name = self._loaded.name
        self._prompts = Prompts(self._loaded.tokenizer, settings)
        self._vocabulary = int(self._loaded.model.config.get_text_config().vocab_size)
        self._rules = self._make_rules(self._loaded, settings)
        self._storage = Storage()
        self._loop: DecodeLoop | None = None
        self._batcher: Batcher[Request, Completion] = Batcher(self._run, self._executor)

    def _make_rules(self, loaded: Loaded, settings: GeneratorSettings) -> Rules:
        codes = token_codes(self._vocabulary, loaded.ends, settings.stop, self.decode)
        return Rules(
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_new_tokens=settings.max_new_tokens,
            context=loaded.context,
            lanes=settings.batch_size,
            token_codes=codes.to(loaded.model.device),
            sample=self._prompts.sample,
            ends_in_stop=stop_check(settings.stop, self.decode),
        )

    def _open(self) -> Loaded:
        if self._loaded is None:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        return self._loaded

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

        Texts keep the stop string that ended them, and the rest of its last token. A prefix that fills
        the model's context gets empty samples with finish_reason "length". `generated_tokens` counts
        every sampled token, end tokens included.

        Raises:
            GeneratorError: the prefix is empty or holds an id out of the vocabulary, or the engine failed.
        """
        check_request(prefix, n, self._vocabulary, self.name)
        request = Request(tuple(prefix), n, seed)
        return await self._batcher.ask(request) if n else Completion((), Usage())

    def _run(self, job: Job[Request, Completion]) -> None:
        try:
            self._loop = DecodeLoop(self._open().model, self._rules, self._storage, job)
            self._loop.run()
        except BaseException:
            self._storage.clear()
            raise
        finally:
            self._loop = None

    @property
    def beats(self) -> int:
        """Changes with every token step of the job that runs: a slow engine is told from one that hangs."""
        loop = self._loop
        return loop.steps if loop is not None else 0

    async def close(self) -> None:
        """Drop what is running and free the model. Safe to call twice."""
        await self._batcher.close()
        self._loaded = None
        self._storage.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
