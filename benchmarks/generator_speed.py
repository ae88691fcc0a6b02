"""Tokens a second of the `transformers` backend against `model.generate`, in one run.

The work is that of a labelling round: many prefixes of different lengths, eight continuations each. The
baseline is what most code does: `generate(num_return_sequences=8)` over left-padded batches of the same
number of sequences, sorted by length. Both sample at the same temperature with the same cap.

    python benchmarks/generator_speed.py [PREFIXES]
"""

import asyncio
import sys
import time

import torch
from record import record
from transformers import AutoModelForCausalLM, AutoTokenizer

from distill.config import GeneratorSettings
from distill.records import derived_seed
from generators.load import load_generator
from generators.weights import resolve_model
from generators.world import sample_problem

MODEL, SAMPLES, CAP, ROWS = "builtin:arith-teacher", 8, 160, 256


def prompts(count: int) -> list[str]:
    """Questions of the exact world, as the teacher is prompted."""
    return [sample_problem(derived_seed("speed", i), "distil").question + "\n" for i in range(count)]


def ours(texts: list[str]) -> tuple[int, float]:
    """Generated tokens and seconds of our backend, all requests in flight at once."""
    engine = load_generator(GeneratorSettings(model=MODEL, max_new_tokens=CAP, batch_size=ROWS))

    async def work() -> int:
        done = await asyncio.gather(
            *(engine.sample(engine.encode(text), SAMPLES, derived_seed(text)) for text in texts)
        )
        return sum(completion.usage.generated_tokens for completion in done)

    started = time.perf_counter()
    return asyncio.run(work()), time.perf_counter() - started


def baseline(texts: list[str]) -> tuple[int, float]:
    """Generated tokens (end token included, padding left out) and seconds of `model.generate`."""
    folder = resolve_model(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = sorted(texts, key=len)
    step, tokens, started = ROWS // SAMPLES, 0, time.perf_counter()
    for i in range(0, len(texts), step):
        batch = tokenizer(texts[i : i + step], return_tensors="pt", padding=True)
        with torch.inference_mode():
            out = model.generate(
                **batch, do_sample=True, temperature=0.8, max_new_tokens=CAP, num_return_sequences=SAMPLES
            )
        new = out[:, batch["input_ids"].shape[1] :]
        ended = (new == tokenizer.eos_token_id).int().cumsum(1)
        tokens += int((ended == 0).sum()) + int((ended[:, -1] > 0).sum())
    return tokens, time.perf_counter() - started


def main() -> None:
    """Print the table and write the JSON."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    texts = prompts(count)
    rates = {}
    for name, run in (("model.generate", baseline), ("ours", ours)):
        tokens, seconds = run(texts)
        rates[name] = tokens / seconds
        print(f"{name:<16}{tokens:>9,} tokens {seconds:>7.1f} s {rates[name]:>9,.0f} tokens/s")
    ratio = rates["ours"] / rates["model.generate"]
    print(f"ratio           {ratio:.2f}")
    command = f"python benchmarks/generator_speed.py {count}"
    record("generator_speed", command, {"tokens_per_second": rates, "ratio": ratio, "prefixes": count})


if __name__ == "__main__":
    main()
