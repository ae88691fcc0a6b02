"""QLoRA on a CPU as it trains (the NF4 base unpacked once, no cast of what LoRA layers are given) against the
NF4 base unpacked in every pass and peft's cast, in one run.

    python benchmarks/unpacked_base.py --base MODEL [--chains 4] [--length 260] [--repeats 3]

Forward and backward of chains of `--length` random tokens, `--chains` at once, in bfloat16 mixed precision on
one thread, the two ways taking turns. Tokens a second of processor time (median), and how far each way's
gradients of adapters and head are from those in float32, as a part of their norm.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from peft import PeftModel, get_peft_model
from peft.helpers import disable_input_dtype_casting
from record import record

from distill.config import VerifierSettings
from distill.verifier.model import hold_unpacked, load_classifier, lora_config

CPU = torch.device("cpu")


def model_of(base: str, unpacked: bool) -> PeftModel:
    """The verifier in training; adapters and head drawn alike, so that gradients can be compared."""
    model = load_classifier(base, True, CPU)
    if unpacked:
        hold_unpacked(model, torch.bfloat16)
    torch.manual_seed(0)
    adapted = get_peft_model(model, lora_config(VerifierSettings().lora)).train()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "score" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return adapted


def seconds_of(model: PeftModel, ids: torch.Tensor, unpacked: bool, mixed: bool = True) -> float:
    """Processor seconds of one forward and backward."""
    model.zero_grad()
    casting = disable_input_dtype_casting(model) if unpacked else nullcontext()
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed), casting:
        loss = model(input_ids=ids).logits.float().mean()
    loss.backward()
    return time.process_time() - began


def gradients(model: PeftModel) -> torch.Tensor:
    """All gradients of the last backward in one row."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def main() -> None:
    """Print the table and write benchmarks/results/unpacked_base.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", default="builtin:arith-base")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--length", type=int, default=260)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: model_of(given.base, name == "unpacked once") for name in ("each pass", "unpacked once")}
    size = min(10_000, models["each pass"].config.vocab_size)  # the rarest tokens are hardly trained
    ids = torch.randint(0, size, (given.chains, given.length), generator=torch.Generator().manual_seed(0))
    taken: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(given.repeats + 1):
        for name, model in models.items():
            seconds = seconds_of(model, ids, name == "unpacked once")
            taken[name] += [seconds] if turn else []  # the first is a warm-up
    rates = {name: ids.numel() / statistics.median(row) for name, row in taken.items()}
    found = {name: gradients(model) for name, model in models.items()}
    seconds_of(models["each pass"], ids, False, mixed=False)
    exact = gradients(models["each pass"])
    apart = {name: float((own - exact).norm() / exact.norm()) for name, own in found.items()}
    ratio = rates["unpacked once"] / rates["each pass"]
    for name, rate in rates.items():
        print(f"{name:14} {rate:8.0f} tokens a second of processor time, gradients off by {apart[name]:.4f}")
    print(f"ratio {ratio:.2f}")
    command = f"python benchmarks/unpacked_base.py --chains {given.chains} --length {given.length}"
    figures = {"base": given.base.rsplit("/", 1)[-1], "tokens_a_second": rates, "ratio": ratio}
    record("unpacked_base", command, figures | {"gradients_off_float32": apart})


if __name__ == "__main__":
    main()
