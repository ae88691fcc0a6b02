"""The model card of an exported verifier, with the five lines that load it without us."""

import json
from pathlib import Path
from typing import Any

from distill.verifier.data import ChainFormat
from distill.verifier.package import Package

FORMS = {
    "adapter": "LoRA beside the 4-bit base it was trained on",
    "merged": "LoRA merged into the dequantised 4-bit base, quantised once",
    "full_precision": "LoRA trained in full precision, merged, quantised once",
}


def loading_lines(folder: str, chain_format: ChainFormat, temperature: float) -> str:
    """Python that scores `steps` (list of str) of `question` (str) with plain `transformers`; leaves
    P(step correct) of each step in `scores` (float [steps])."""
    prompt, _, after = chain_format.prompt.partition("{question}")
    text = " + ".join(filter(None, [prompt and repr(prompt), "question", after and repr(after)]))
    pieces = f"[{text}, *(s.strip() + {chain_format.separator!r} for s in steps)]"
    return "\n".join(
        [
            "import torch, transformers as hf",
            f"tok, model = [a.from_pretrained({folder!r}) for a in "
            "(hf.AutoTokenizer, hf.AutoModelForTokenClassification)]",
            f"ids = [tok(t, add_special_tokens=not i).input_ids for i, t in enumerate({pieces})]",
            "with torch.no_grad(): logits = model(torch.tensor([sum(ids, [])])).logits[0]",
            "scores = (logits[torch.tensor([len(x) for x in ids]).cumsum(0)[1:] - 1] "
            f"/ {temperature:.6g}).softmax(-1)[:, 1]",
        ]
    )


def write_card(folder: Path, package: Package) -> None:
    """Write `README.md` from a package."""
    parts = [_HEADER, _use(folder.name, package), _forms(package), _size(package), _rest(package)]
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


_HEADER = """---
library_name: transformers
pipeline_tag: token-classification
tags: [process-reward-model, verifier, bitsandbytes, nf4]
---
# A 4-bit step verifier

Reads a question and a chain of steps, and gives P(step is correct) at the last token of every step
(label 1 means correct). Made by prm-distill.
"""


def _use(name: str, package: Package) -> str:
    lines = loading_lines("path/to/this/folder", package.chain_format, package.calibration.temperature)
    return (
        f"## Use\n```python\n{lines}\n```\n"
        f"A step that scores below **{package.calibration.threshold:.4f}** is called wrong; the first one is "
        "the chain's first error. Threshold and temperature were fitted on validation data only. Needs "
        "`transformers`, `bitsandbytes` and `accelerate`"
        + (", and `peft` for the adapter that lies in the folder" if package.form == "adapter" else "")
        + ".\n"
    )


def _forms(package: Package) -> str:
    forms = package.figures.get("forms", {})
    head = [
        "## What 4-bit costs",
        "Every form against the model it was exported from, on the same held-out chains. First-error F1 in "
        "points, with 95% bootstrap intervals over problems; each model at its own validation threshold.\n",
        "| form | mean change of a score | largest | same decision | F1 | change of F1 | to full precision |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [_form_row(figures, figures["form"] == package.form) for figures in forms.values()]
    full = package.figures.get("f1_full_precision")
    chains = max((item["chains"] for item in forms.values()), default=0)
    tail = f"\nHeld-out chains: {chains}. Full precision as trained: {_points(full)}. In bold: shipped.\n"
    return "\n".join([*head, *rows, tail])


def _form_row(figures: dict[str, Any], shipped: bool) -> str:
    name = FORMS[figures["form"]]
    cells = [
        f"**{name}**" if shipped else name,
        f"{figures['mean_change']:.5f}",
        f"{figures['max_change']:.4f}",
        f"{100 * figures['agreement']:.2f}%",
        _points(figures["f1"]),
        _points(figures["f1_change"], signed=True),
        _points(figures["f1_change_to_full_precision"], signed=True),
    ]
    return "| " + " | ".join(cells) + " |"


def _points(estimate: dict[str, float] | None, signed: bool = False) -> str:
    if estimate is None:
        return "not measured"
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:{'+' if signed else ''}.2f} [{low:.2f}, {high:.2f}]"


def _size(package: Package) -> str:
    size = package.size
    layers, folder = (f"{100 * size[key]:.1f}% of bf16" for key in ("quantised_fraction", "folder_fraction"))
    return (
        f"## Size\nQuantised layers: {size['quantised_bytes']:,} bytes, {layers}. "
        f"Whole folder: {size['folder_bytes']:,} bytes, {folder} (embeddings and head are not quantised; "
        f"the adapter takes {size['adapter_bytes']:,} bytes).\n"
    )


def _rest(package: Package) -> str:
    other = {k: v for k, v in package.figures.items() if k not in ("forms", "f1_full_precision")}
    blocks = [("Other figures", other), ("Provenance", package.provenance)]
    return "\n".join(
        f"## {title}\n```json\n{json.dumps(value, indent=1, sort_keys=True, default=str)}\n```\n"
        for title, value in blocks
    )
