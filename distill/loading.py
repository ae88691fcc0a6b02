"""Recipes: from YAML and overrides to checked settings, and back.

Everything that is wrong with a recipe is told at once, each fault with its file and line (or the override
that brought it) and with what was probably meant.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from importlib.machinery import PathFinder
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from distill import recipe_yaml
from distill.config import LabellingSettings, PretrainSettings, Recipe
from distill.errors import RecipeError
from distill.recipe_faults import validate
from distill.recipe_yaml import Document, Fault, dotted, lay_over, parse_yaml
from distill.records import content_id
from distill.remote import is_url, url_trouble
from distill.storage import locate

DIGESTED_BYTES = 1 << 20
READ_WHOLE = (".json", ".jinja", ".model", ".txt")
"""What a model folder says in small files: configuration, adapter, tokenizer, chat template."""
Model = TypeVar("Model", bound=BaseModel)

_MAY_BE_URLS: tuple[recipe_yaml.Path, ...] = (("runs",), ("labelling", "reviews"))
_MODELS: tuple[recipe_yaml.Path, ...] = (("teacher", "model"), ("completer", "model"), ("verifier", "base"))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or the shipped one of that name, with `key.path=value` laid over it.

    Paths in a recipe are relative to the working directory, as on a command line.

    Raises:
        RecipeError: anything is wrong; the message lists every fault, one a line.
    """
    return _load(_find(source), Recipe, overrides, _recipe_faults)


def load_settings(path: str | Path | None, model: type[Model], overrides: Sequence[str] = ()) -> Model:
    """Settings of any model from a YAML file (None: from overrides alone), as strictly as a recipe (but no
    file is looked for).

    Raises:
        RecipeError: anything is wrong; the message lists every fault, one a line.
    """
    return _load(None if path is None else _find(path), model, overrides, lambda _: [])


def lay_over_labelling(stored: dict[str, Any], overrides: Sequence[str]) -> LabellingSettings:
    """Stored labelling settings with `labelling.KEY=VALUE` laid over them.

    Raises:
        RecipeError: an override is wrong, or sets anything but labelling.
    """
    others = [item for item in overrides if not item.startswith("labelling.")]
    if others:
        raise RecipeError(f"expected overrides labelling.KEY=VALUE, found {', '.join(others)}")
    source = Path("the run's labelling settings")
    document = parse_yaml(json.dumps({"name": "relabel", "labelling": stored}), str(source))
    lay_over(document, overrides)
    recipe, faults = validate(document, Recipe)
    faults += document.faults + _recipe_faults(document)
    if recipe is None or faults:
        raise _error(source, faults)
    return recipe.labelling


def shipped_recipes() -> dict[str, Path]:
    """Recipes that travel with the package, by name."""
    here = Path(__file__).resolve().parent
    installed = here / "_recipes"
    folder = installed if installed.is_dir() else here.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def recipe_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe, descriptions and defaults included, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def dump_recipe(recipe: BaseModel) -> str:
    """The resolved recipe as YAML: every key with the value that holds. Loading it gives it back."""
    yaml, text = YAML(), StringIO()
    yaml.width = 2**16  # a folded line would be harder to read and to compare
    yaml.dump(_quoted(recipe.model_dump(mode="json")), text)
    return text.getvalue()


def stage_fingerprint(recipe_part: dict[str, Any], *upstream: str) -> str:
    """Fingerprint of a stage: its part of the recipe (JSON values) and what it is made from, in order."""
    return content_id("stage", recipe_part, list(upstream))


def _quoted(value: Any) -> Any:
    """`value` with odd text marked for double quotes: ruamel writes some line breaks (U+0085) as they are."""
    if isinstance(value, dict):
        return {key: _quoted(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_quoted(entry) for entry in value]
    odd = isinstance(value, str) and not value.isprintable()
    return DoubleQuotedScalarString(value) if odd else value


def file_digest(names: str | Sequence[str]) -> list[str]:
    """What stands behind each file, URL of a file, model folder or `builtin:NAME`, so that an edited file
    or new weights count as a changed setting. The name itself for what else is not local, such as a hub
    dataset.

    Raises:
        RecipeError: there is nothing at a URL.
    """
    from generators.weights import resolve_model

    listed = [names] if isinstance(names, str) else names
    return [_url_digest(n) if is_url(n) else _digest(Path(resolve_model(n)), n) for n in listed]


def checker_digest(target: str) -> list[str]:
    """What stands in the file of a checker of one's own (`module:function`), without importing anything; the
    name itself where this process finds no such file."""
    parts, where, spec = target.partition(":")[0].split("."), None, None
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), where)
        if spec is None:
            return [target]
        where = spec.submodule_search_locations
    return [_digest(Path((spec and spec.origin) or ""), target)]


def _url_digest(name: str) -> str:
    if url_trouble(name):
        return name
    try:
        return hashlib.sha256(locate(name).read_bytes()).hexdigest()
    except OSError as error:
        raise RecipeError(f"expected a file at {name}, found none that can be read ({error})") from error


def _digest(path: Path, name: str) -> str:
    """SHA-256 of a file; of a folder's small files, and of both ends of its weights (a large model is not
    read whole)."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        return name
    digest = hashlib.sha256()
    for part in sorted(path.iterdir()):
        if part.suffix not in (*READ_WHOLE, ".safetensors") or not part.is_file():
            continue
        size = part.stat().st_size
        whole = part.suffix in READ_WHOLE
        with part.open("rb") as file:
            digest.update(f"{part.name} {size}".encode() + file.read(size if whole else DIGESTED_BYTES))
            file.seek(max(size - DIGESTED_BYTES, 0))
            digest.update(file.read())
    return digest.hexdigest()


def _load(
    file: Path | None, model: type[Model], overrides: Sequence[str], more: Callable[[Document], list[Fault]]
) -> Model:
    path = file or Path("the command line")
    document = parse_yaml("{}" if file is None else _read(file), str(path))
    lay_over(document, overrides)
    if document.tree is None:
        raise _error(path, document.faults)
    settings, faults = validate(document, model)
    faults += document.faults + more(document)
    if settings is None or faults:
        raise _error(path, faults)
    return settings


def _error(path: Path, faults: Iterable[Fault]) -> RecipeError:
    listed = sorted(set(faults))
    count = f"{len(listed)} faults" if len(listed) > 1 else "1 fault"
    return RecipeError("\n  ".join([f"{path} has {count}:", *map(str, listed)]))


def _find(source: str | Path) -> Path:
    """The file that `source` names. A file wins over a shipped recipe of the same name."""
    path, shipped = Path(source), shipped_recipes()
    if path.is_file() or str(source) not in shipped:
        return path
    return shipped[str(source)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except OSError as error:
        shipped = list(shipped_recipes())
        close = get_close_matches(path.stem, shipped, n=1)
        meant = f" Did you mean '{close[0]}'?" if close else ""
        raise RecipeError(
            f"cannot read a recipe at {path}: {error.strerror}.{meant} Give a YAML file, or the name of a "
            f"shipped recipe: {', '.join(shipped)}."
        ) from error


def _recipe_faults(document: Document) -> list[Fault]:
    """Faults that the settings' types cannot see: another kind of recipe, or something that is not there."""
    tree = document.tree or {}
    faults = [
        Fault(document.place(path), f"{dotted(path)}: {why}")
        for path, why in (
            *((path, _url_trouble(_get(tree, path))) for path in _MAY_BE_URLS),
            *_missing_files(tree, Path(document.source).parent),
            *_missing_models(tree),
        )
        if why
    ]
    if set(PretrainSettings.model_fields) >= set(tree) > set(Recipe.model_fields) & set(tree):
        faults.append(Fault(document.place(()), "this is a recipe for `distill pretrain`, not for a run"))
    return faults


def _url_trouble(name: Any) -> str:
    return url_trouble(name) if isinstance(name, str) and is_url(name) else ""


def _missing_files(tree: dict[str, Any], beside: Path) -> Iterable[tuple[recipe_yaml.Path, str]]:
    """What is the matter with each file that the recipe reads; "" for nothing. What lies on a store is only
    looked for when it is read."""
    files: list[recipe_yaml.Path] = [("chains", "path"), ("labelling", "reviews")]
    if _get(tree, ("problems", "source")) == "file":
        files.append(("problems", "path"))
    names = _get(tree, ("dataset", "decontaminate"))
    files += [("dataset", "decontaminate", i) for i in range(len(names) if isinstance(names, list) else 0)]
    named = [(path, _get(tree, path)) for path in files]
    return [
        (path, _path_trouble(name, "file", beside))
        for path, name in named
        if not (path in _MAY_BE_URLS and is_url(name))
    ]


def _missing_models(tree: dict[str, Any]) -> Iterable[tuple[recipe_yaml.Path, str]]:
    """What is the matter with each model that the recipe names; "" for nothing."""
    used = [path for path in _MODELS if _get(tree, (path[0], "backend")) not in ("scripted", "openai")]
    return [(path, _model_trouble(_get(tree, path))) for path in used]


def _get(tree: Any, path: recipe_yaml.Path) -> Any:
    for part in path:
        if isinstance(tree, dict) and isinstance(part, str):
            tree = tree.get(part)
        elif isinstance(tree, list) and isinstance(part, int):
            tree = tree[part]
        else:
            return None
    return tree


def _path_trouble(name: Any, kind: str, beside: Path | None = None) -> str:
    """Why `name` is no file (`kind` "file") or folder; "" when it is one, or is no text (told elsewhere)."""
    if not isinstance(name, str):
        return ""
    path = Path(name)
    if path.is_dir() if kind == "folder" else path.is_file():
        return ""
    if path.exists():
        return f"expected a {kind}, found a {'file' if kind == 'folder' else 'folder'}: {name}"
    if path.is_absolute():
        return f"no {kind} {name}"
    hint = f" (write {path.expanduser()}: ~ has no meaning in a recipe)" if name.startswith("~") else ""
    if beside is not None and (beside / name).exists():
        hint = f" (paths start from the working directory, not from the recipe: write {beside / name})"
    return f"no {kind} '{name}' in {Path.cwd()}{hint}"


def _model_trouble(name: Any) -> str:
    """Why a model cannot be there: a folder that is missing, or an unknown shipped model. A hub name is
    only tried when it is used."""
    if not isinstance(name, str):
        return ""
    if name.startswith("builtin:"):
        return _builtin_trouble(name)
    looks_like_path = name.startswith((".", "~", os.sep)) or name.count("/") > 1 or name.endswith("/")
    return _path_trouble(name, "folder") if looks_like_path or os.path.isfile(name) else ""


def _builtin_trouble(name: str) -> str:
    from generators.weights import builtin_names

    shipped = [f"builtin:{known}" for known in builtin_names()]
    if name in shipped or not shipped:  # none at all: a matter of the installation, told when it is used
        return ""
    close = get_close_matches(name, shipped, n=1)
    meant = f"did you mean '{close[0]}'?" if close else f"shipped: {', '.join(shipped)}"
    return f"no shipped model '{name}'; {meant}"
