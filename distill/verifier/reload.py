"""An exported folder scored by a process that has seen nothing but the folder, with the engine it is for.

`python -m distill.verifier.reload FOLDER CHAINS.json MARGINS.json ENGINE` is what that process runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from distill.errors import VerifierError, missing
from distill.verifier.data import Encoded
from distill.verifier.score import ChainText, Verifier, encode_chains, margins_by_step, require_numbers

Engine = Literal["transformers", "vllm"]
VLLM_DTYPE = "bfloat16"
"""What vLLM computes in here: its CPU kernel for 4-bit weights has no float32, and float16 overflows in
some bases."""
VLLM_CPU_CACHE = 1 << 30
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
SHOWN = 2000


def margins_afresh(folder: Path, texts: Sequence[ChainText], engine: Engine) -> list[list[float]]:
    """Raw margins [chain][step] as `Verifier.margins` gives them, by a new process.

    Raises:
        VerifierError: the engine does not load the folder or does not score it; with the end of what it said.
    """
    with tempfile.TemporaryDirectory() as place:
        chains, margins = Path(place) / "chains.json", Path(place) / "margins.json"
        chains.write_text(json.dumps([[question, list(steps)] for question, steps in texts]))
        command = [sys.executable, "-m", __spec__.name, str(folder), str(chains), str(margins), engine]
        ended = subprocess.run(command, env=QUIET | os.environ, capture_output=True, text=True, check=False)
        if ended.returncode or not margins.exists():
            raise VerifierError(
                f"expected {engine} to load and score {folder.name}, found exit code {ended.returncode}:\n"
                f"{ended.stderr[-SHOWN:].strip()}"
            )
        return list(json.loads(margins.read_text()))


def has_vllm() -> bool:
    """Whether this environment has vLLM."""
    return find_spec("vllm") is not None


def vllm_margins(folder: Path, texts: Sequence[ChainText]) -> list[list[float]]:
    """The same by vLLM's pooling runner: logits of every token, read at the end of every step.

    Raises:
        MissingDependencyError: there is no vLLM here.
        VerifierError: it answers nan.
    """
    verifier = Verifier.tokenizer_of(folder)
    parts = encode_chains(texts, *verifier)
    encoded = [window.encoded for chain in parts for window in chain]
    limit = verifier[2]
    rows = [_at_ends(row, item) for row, item in zip(_vllm_logits(folder, encoded, limit), encoded)]
    margins = margins_by_step(parts, rows, [len(steps) for _, steps in texts])
    require_numbers(margins)
    return margins


def _vllm_logits(folder: Path, encoded: Sequence[Encoded], limit: int) -> list[Any]:
    """Logits of each chain: tensors [tokens, 2]."""
    try:
        import torch
        from vllm import LLM, PoolingParams
    except ImportError as error:
        raise missing("vllm", "vllm") from error
    on_cpu = {} if torch.cuda.is_available() else {"kv_cache_memory_bytes": VLLM_CPU_CACHE}
    settings: dict[str, Any] = {"runner": "pooling", "dtype": VLLM_DTYPE, "enforce_eager": True} | on_cpu
    engine = LLM(model=str(folder), max_model_len=limit, **settings)
    prompts: Any = [{"prompt_token_ids": list(item.ids)} for item in encoded]
    raw = PoolingParams(use_activation=False)
    found = engine.encode(prompts, raw, pooling_task="token_classify", use_tqdm=False)
    return [item.outputs.data.float() for item in found]


def _at_ends(logits: Any, item: Encoded) -> list[float]:
    return (logits[list(item.ends), 1] - logits[list(item.ends), 0]).tolist()


def main(folder: str, chains: str, margins: str, engine: str) -> None:
    """Read chains, write margins."""
    texts = [(question, steps) for question, steps in json.loads(Path(chains).read_text())]
    found = (
        vllm_margins(Path(folder), texts)
        if engine == "vllm"
        else Verifier.from_pretrained(folder).margins(texts)
    )
    Path(margins).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
