"""Models that travel with the project, one folder each: `builtin:NAME` in a recipe."""

from pathlib import Path

from distill.errors import UnfitSettingError

_FOLDER = Path(__file__).parent
_PREFIX = "builtin:"


def builtin_names() -> list[str]:
    """Names of the models that are shipped."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/config.json"))


def builtin_path(name: str) -> Path:
    """Folder of the shipped model `name`.

    Raises:
        UnfitSettingError: there is none of that name.
    """
    folder = _FOLDER / name
    if name not in builtin_names():
        found = ", ".join(builtin_names()) or "none"
        raise UnfitSettingError(
            f"expected a shipped model, found '{_PREFIX}{name}', which has no folder in {_FOLDER} "
            f"(shipped: {found}). Name one of these, a folder, or a hub model."
        )
    return folder


def resolve_model(model: str) -> str:
    """What `from_pretrained` takes: the folder of a `builtin:NAME`; a folder or hub name as it is."""
    return str(builtin_path(model.removeprefix(_PREFIX))) if model.startswith(_PREFIX) else model
