"""The model card of an exported verifier, with the five lines that load it without us."""

import json
from pathlib import Path
from typing import Any

from distill.verifier.data import ChainFormat
from distill.verifier.package import AdapterBase, Package

FORMS = {
    "adapter": "LoRA beside the 4-bit base it was trained on",
    "merged": "LoRA merged into the dequantised 4-bit base, quantised once",
    "full_precision": "LoRA trained in full precision, merged, quantised once",
    "w4a16": "W4A16 by GPTQ, in `transformers`",
    "w4a16_vllm": "W4A16 by GPTQ, in vLLM, bfloat16",
    "lora": "the adapter on its base",
}
NEEDS = {
    "adapter": "`transformers`, `bitsandbytes` and `accelerate`, and `peft` for the adapter in the folder",
    "merged": "`transformers`, `bitsandbytes` and `accelerate`",
    "full_precision": "`transformers`, `bitsandbytes` and `accelerate`",
    "w4a16": "`transformers`, `accelerate` and `compressed-tensors`",
    "lora": "`transformers`, `peft` and the base",
}
TITLES = {
    "w4a16": ("transformers", "compressed-tensors, w4a16, vllm", "A 4-bit step verifier"),
    "lora": ("peft", "lora", "A step verifier's adapter"),
}
NF4_TITLE = ("transformers", "bitsandbytes, nf4", "A 4-bit step verifier")
NF4_BASE = (
    "hf.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4', bnb_4bit_use_double_quant=True, "
    "llm_int8_skip_modules=['score'])"
)
PORT = 8000


def loading_lines(
    folder: str, chain_format: ChainFormat, temperature: float, base: AdapterBase | None = None
) -> str:
    """Python that scores `steps` (list of str) of `question` (str) with plain `transformers`, or with `peft`
    where the folder is an adapter to `base`; leaves P(step correct) of each step in `scores`: [steps]."""
    return "\n".join(
        [
            *(_load_adapter(folder, base) if base else _load_model(folder)),
            _ids(chain_format),
            "with torch.no_grad(): logits = model(torch.tensor([sum(ids, [])])).logits[0]",
            _scores(temperature),
        ]
    )


def serving_lines(name: str) -> tuple[str, str]:
    """The command that serves a folder `name` with vLLM, and the request that answers with logits."""
    cache = f" --kv-cache-memory-bytes {1 << 30}"  # else a CPU build wants nearly all memory to be free
    command = f"vllm serve {name} --runner pooling --dtype bfloat16{cache} --port {PORT}"
    told = f'{{"model": "{name}", "task": "token_classify", "use_activation": false, "input": IDS}}'
    header = "-H 'Content-Type: application/json'"
    return command, f"curl -s http://127.0.0.1:{PORT}/pooling {header} -d '{told}'"


def client_lines(folder: str, chain_format: ChainFormat, temperature: float, port: int = PORT) -> str:
    """Python that scores `steps` of `question` by that server; leaves P(step correct) in `scores`."""
    told = f"'model': {folder!r}, 'task': 'token_classify', 'use_activation': False, 'input': sum(ids, [])"
    request = f"urllib.request.Request('http://127.0.0.1:{port}/pooling', json.dumps(body).encode()"
    return "\n".join(
        [
            "import json, torch, urllib.request, transformers as hf",
            f"tok = hf.AutoTokenizer.from_pretrained({folder!r})",
            _ids(chain_format),
            f"body = {{{told}}}",
            f"answer = urllib.request.urlopen({request}, {{'Content-Type': 'application/json'}}))",
            "logits = torch.tensor(json.load(answer)['data'][0]['data'])",
            _scores(temperature),
        ]
    )


def _load_model(folder: str) -> list[str]:
    classes = "(hf.AutoTokenizer, hf.AutoModelForTokenClassification)"
    return [
        "import torch, transformers as hf",
        f"tok, model = [a.from_pretrained({folder!r}) for a in {classes}]",
    ]


def _load_adapter(folder: str, base: AdapterBase) -> list[str]:
    told = f", quantization_config={NF4_BASE}" if base.quantised else ""
    begun = ["import peft, torch, transformers as hf", f"tok = hf.AutoTokenizer.from_pretrained({folder!r})"]
    loaded = f"from_pretrained({folder!r}, num_labels=2{told})"
    if not base.layers:
        return [*begun, f"model = peft.AutoPeftModelForTokenClassification.{loaded}"]
    return [
        *begun,
        f"name = peft.PeftConfig.from_pretrained({folder!r}).base_model_name_or_path",
        f"base = hf.AutoModelForTokenClassification.from_pretrained(name, num_labels=2{told})",
        f"del getattr(base, base.base_model_prefix).layers[{base.layers}:]",
        f"model = peft.PeftModel.from_pretrained(base, {folder!r})",
    ]


def _ids(chain_format: ChainFormat) -> str:
    """The line that leaves the token ids of the prompt and of each step in `ids`."""
    said = [part and repr(part) for part in chain_format.prompt.split("{question}")]
    text = " + ".join(filter(None, [part for own in said for part in ("question", own)][1:]))
    strip = "rstrip" if chain_format.keep_indent else "strip"
    pieces = f"[{text}, *(s.{strip}() + {chain_format.separator!r} for s in steps)]"
    return f"ids = [tok(t, add_special_tokens=not i).input_ids for i, t in enumerate({pieces})]"


def _scores(temperature: float) -> str:
    """The line that reads P(step correct) at the last token of each step out of `logits`."""
    ends = "torch.tensor([len(x) for x in ids]).cumsum(0)[1:] - 1"
    return f"scores = (logits[{ends}] / {temperature:.6g}).softmax(-1)[:, 1]"


def write_card(folder: Path, package: Package) -> None:
    """Write `README.md` from a package."""
    parts = [part(package) for part in (_header, _use, _limits, _calibration, _forms, _size, _rest)]
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _header(package: Package) -> str:
    library, tags, title = TITLES.get(package.form, NF4_TITLE)
    return f"""---
library_name: {library}
pipeline_tag: token-classification
tags: [process-reward-model, verifier, {tags}]
---
# {title}

Reads a question and a chain of steps, and gives P(step is correct) at the last token of every step
(label 1 means correct). Made by prm-distill.
"""


def _use(package: Package) -> str:
    how = package.chain_format, package.calibration.temperature, package.base
    lines = loading_lines("path/to/this/folder", *how)
    return (
        f"## Use\n```python\n{lines}\n```\n"
        f"A step that scores below **{package.calibration.threshold:.4f}** is called wrong; the first one is "
        "the chain's first error. Threshold and temperature were fitted on validation data only. Needs "
        f"{NEEDS[package.form]}.\n{_of_base(package.base)}{_serving(package)}"
    )


def _serving(package: Package) -> str:
    if package.form != "w4a16":
        return ""
    folder = "path/to/this/folder"
    lines = client_lines(folder, package.chain_format, package.calibration.temperature)
    return f"\n## Serve\n```sh\n{serving_lines(folder)[0]}\n```\n```python\n{lines}\n```\n"


def _of_base(base: AdapterBase | None) -> str:
    if base is None:
        return ""
    precision = "in NF4, as in training" if base.quantised else "not quantised"
    kept = f"its first {base.layers} layers, " if base.layers else ""
    return f"\nThe base is `{base.model}`, {kept}{precision}; `adapter_config.json` says where it lay here.\n"


def _limits(package: Package) -> str:
    length = package.chain_format.max_length
    limit = f"{length:,} tokens" if length else "the length of training"
    beyond = (
        f"A chain longer than {limit} is scored in windows of that length: a step sees what fits before it. "
        "(The lines above show it whole; `Verifier.score` and `distill score` make the windows.)"
        if package.chain_format.windows
        else f"In training chains were cut at {limit}. Later steps are scored up to the model's context, but "
        "nothing was trained there; past that a step scores 0."
    )
    return (
        "## Limits\n"
        "- Made for chains like those that the provenance below names (domain of its exact checks: "
        f"{package.domain}). On other domains, problems and writers of chains it is untested, and so are its "
        "threshold and calibration.\n"
        "- It knows no more than its labels. Where these came from rollouts, a wrong step that harms no "
        "answer was called correct, and such steps it does not find.\n"
        f"- {beyond}\n"
        "- Wording that changes no meaning may move scores; `distill eval --benchmark adversarial` says how "
        "far.\n"
    )


def _calibration(package: Package) -> str:
    fit, heldout = package.figures.get("validation"), package.figures.get("heldout")
    lines = ["## Calibration"]
    if fit:
        lines.append(
            f"Temperature and threshold are those of the model as trained, fitted on {fit['chains']:,} "
            f"validation chains ({fit['steps']:,} labelled steps). There mean negative log-likelihood was "
            f"{fit['nll_before']:.4f} before and {fit['nll_after']:.4f} after, and first-error F1 "
            f"{100 * fit['f1']['f1']:.1f} (optimistic: the threshold was chosen on these very chains)."
        )
    if heldout:
        lines += [
            f"\nOn {heldout['chains']:,} held-out chains with exact truth, with 95% intervals:\n",
            "| scorer | first-error F1 | AUROC | ECE |\n|---|---|---|---|",
            *(_heldout_row(name, own) for name, own in heldout.items() if name != "chains"),
        ]
    else:
        lines.append("AUROC and ECE on held-out chains are not in this card; `distill eval` measures them.")
    return "\n".join(lines) + "\n"


def _heldout_row(name: str, own: dict[str, Any]) -> str:
    cells = [_points(own.get("f1")), *(_fraction(own.get(key)) for key in ("auroc", "ece"))]
    return f"| {name} | " + " | ".join(cells) + " |"


def _fraction(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "not measured"
    bounds = f" [{estimate['low']:.3f}, {estimate['high']:.3f}]" if "low" in estimate else ""
    return f"{estimate['value']:.3f}{bounds}"


def _forms(package: Package) -> str:
    forms = package.figures.get("forms", {})
    head = [
        "## What 4-bit costs",
        "Every form against the model it was exported from, on the same chains; shipped is the one "
        "whose scores are nearest to full precision where that was trained. First-error F1 in "
        "points, with 95% bootstrap intervals over problems; each form has the temperature and threshold of "
        "the training that it was made from.\n",
        "| form | mean change of a score | largest | same decision | F1 | change of F1 | to full precision |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [_form_row(figures, figures["form"] == package.form) for figures in forms.values()]
    full = package.figures.get("f1_full_precision")
    chains = max((item["chains"] for item in forms.values()), default=0)
    of = f" ({package.provenance['measured_on']})" if "measured_on" in package.provenance else ""
    tail = f"\nChains: {chains}{of}. Full precision as trained: {_points(full)}. In bold: shipped.\n"
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
    if "low" not in estimate:
        return f"{100 * estimate['value']:.2f}"
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:{'+' if signed else ''}.2f} [{low:.2f}, {high:.2f}]"


def _size(package: Package) -> str:
    size = package.size
    if package.base:
        return f"## Size\nThe adapter: {size['adapter_bytes']:,} bytes.\n"
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
