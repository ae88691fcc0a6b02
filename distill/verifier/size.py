"""What 4-bit saves on disk: the quantised layers, and the whole folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

STATE_MARK = ".quant_state.bitsandbytes__"
PACKED, BESIDE = ".weight_packed", (".weight_scale", ".weight_shape")
"""How `compressed-tensors` names a packed layer, and what belongs to it."""
BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class SizeReport:
    """Bytes on disk. `quantised_*`: 4-bit layers with all their statistics, and the same layers in bf16;
    `folder_*`: every file, and the same folder with the merged model's weights in bf16."""

    quantised_bytes: int
    quantised_bf16_bytes: int
    adapter_bytes: int
    folder_bytes: int
    folder_bf16_bytes: int

    @property
    def quantised_fraction(self) -> float:
        """Size of the quantised layers relative to bf16 (1 when nothing is quantised)."""
        return self.quantised_bytes / self.quantised_bf16_bytes if self.quantised_bf16_bytes else 1.0

    @property
    def folder_fraction(self) -> float:
        """Size of the whole folder relative to bf16."""
        return self.folder_bytes / self.folder_bf16_bytes if self.folder_bf16_bytes else 1.0


def size_report(folder: Path) -> SizeReport:
    """Sizes of an exported folder, read from the headers of its safetensors files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    weights = [path for path in files if path.suffix == ".safetensors" and "adapter" not in path.name]
    adapters = [path for path in files if path.suffix == ".safetensors" and "adapter" in path.name]
    sizes = dict(item for path in weights for item in _tensor_sizes(path))
    layers = {name.split(STATE_MARK)[0] for name in sizes if STATE_MARK in name}
    layers |= {name for name in sizes if name.endswith(PACKED)}
    of_layer = [(name, size) for name, size in sizes.items() if name in layers or _owner(name) in layers]
    packed = sum(sizes[name][0] for name in layers)
    plain = sum(
        count for name, (_, count) in sizes.items() if name not in layers and _owner(name) not in layers
    )
    other = sum(path.stat().st_size for path in files if path.suffix != ".safetensors")
    return SizeReport(
        quantised_bytes=sum(size for _, (size, _) in of_layer),
        quantised_bf16_bytes=2 * packed * BF16_BYTES,
        adapter_bytes=sum(path.stat().st_size for path in adapters),
        folder_bytes=sum(path.stat().st_size for path in files),
        folder_bf16_bytes=other + (2 * packed + plain) * BF16_BYTES,
    )


def _owner(name: str) -> str:
    """`x.weight.absmax` -> `x.weight`, `x.weight_scale` -> `x.weight_packed`: the layer that a quantisation
    statistic belongs to."""
    for ending in BESIDE:
        if name.endswith(ending):
            return name.removesuffix(ending) + PACKED
    return name[: name.rfind(".weight.") + len(".weight")] if ".weight." in name else ""


def _tensor_sizes(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """(name, (bytes, elements)) of every tensor in a file."""
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (not a dict)
            tensor = file.get_tensor(name)
            yield name, (tensor.numel() * tensor.element_size(), tensor.numel())
