"""`verifier.json`: everything beside the weights that an exported verifier folder needs."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from distill.errors import VerifierError
from distill.verifier.calibrate import UNCALIBRATED, Calibration
from distill.verifier.data import ChainFormat
from distill.verifier.hybrid import HybridParams

PACKAGE_FILE = "verifier.json"
SCHEMA = 1
Form = Literal["adapter", "merged", "full_precision", "w4a16", "lora"]
"""Three in NF4. `adapter`: LoRA kept beside the 4-bit base it was trained on; `merged`: LoRA merged into
that base dequantised, then quantised once; `full_precision`: LoRA trained on the unquantised base, merged
into it, then quantised once. Two more: `w4a16`: merged, then quantised by GPTQ in the `compressed-tensors`
format; `lora`: the plain adapter."""


@dataclass(frozen=True, slots=True)
class AdapterBase:
    """The model that a plain adapter was trained on; `quantised`: in NF4; `layers`: its first ones alone."""

    model: str
    quantised: bool
    layers: int | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """What `verifier.json` holds. `provenance` (recipe fingerprint, dataset counts, library versions)
    and `figures` are JSON values for people; the rest is read back by `Verifier.from_pretrained`. `base`
    is there for a plain adapter only."""

    form: Form
    chain_format: ChainFormat
    calibration: Calibration = UNCALIBRATED
    hybrid: HybridParams | None = None
    base: AdapterBase | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    size: dict[str, Any] = field(default_factory=dict)
    domain: str = "math"
    """Whose exact checks the hybrid was fitted with; chains of another kind name theirs (`distill score`)."""


def write_package(folder: Path, package: Package) -> None:
    """Write `verifier.json` whole or not at all."""
    record = {"schema": SCHEMA, "label_correct": 1, **asdict(package)}
    write_json(folder / PACKAGE_FILE, record)


def read_package(folder: Path) -> Package:
    """Read `verifier.json`.

    Raises:
        VerifierError: it is absent, unreadable, or of another schema.
    """
    path = folder / PACKAGE_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerifierError(
            f"expected an exported verifier with {PACKAGE_FILE}, found none that can be read in {folder} "
            f"({error}); give the `verifier` folder of a run"
        ) from error
    if record.get("schema") != SCHEMA:
        raise VerifierError(
            f"expected schema {SCHEMA}, found {record.get('schema')} in {path}; "
            "export again with this version"
        )
    hybrid = record["hybrid"] and HybridParams(**record["hybrid"])
    base = record.get("base") and AdapterBase(**record["base"])
    return Package(
        form=record["form"],
        chain_format=ChainFormat(**record["chain_format"]),
        calibration=Calibration(**record["calibration"]),
        hybrid=hybrid,
        base=base,
        domain=record.get("domain", "math"),
        **{key: record[key] for key in ("provenance", "figures", "size")},
    )


def update_package(folder: Path, **changes: Any) -> Package:
    """Replace fields of a folder's package (for one, `hybrid=...`) and write it back."""
    package = replace(read_package(folder), **changes)
    write_package(folder, package)
    return package


def write_json(path: Path, value: Any) -> None:
    """JSON with sorted keys, written beside and renamed over `path`."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n", encoding="utf-8")
    os.replace(partial, path)
