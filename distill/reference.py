"""Every field of a recipe as Markdown, from the JSON Schema and docstrings of the settings themselves."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from distill.config import PretrainSettings, Recipe
from distill.recipe_faults import expected

Schema = Mapping[str, Any]

HEAD = """# Every field of a recipe

Written by `distill schema --markdown > docs/recipe_reference.md` from `distill/config.py`: change the
descriptions there. A field left out takes its default; where there is none it is needed. What rules span
several fields, `distill validate RECIPE` tells, every fault at once with its line.
"""


def recipe_reference() -> str:
    """Two chapters: recipes of `distill run`, and those of `distill pretrain`."""
    chapters = (("distill run", Recipe), ("distill pretrain", PretrainSettings))
    return "\n".join([HEAD, *(_chapter(command, model) for command, model in chapters)])


def _chapter(command: str, model: type[BaseModel]) -> str:
    root = model.model_json_schema()
    places: dict[str, str] = {}
    _place_settings("", root, root, places)
    schemas = {"": root} | {place: root["$defs"][name] for name, place in places.items()}
    return "\n".join([f"## `{command}`\n", *(_section(at, s, root, places) for at, s in schemas.items())])


def _place_settings(path: str, schema: Schema, root: Schema, places: dict[str, str]) -> None:
    """Where each class of settings stands first: the completer's are the teacher's, and told there."""
    for key, field in schema["properties"].items():
        name = _settings_name(field)
        if name and name not in places:
            places[name] = _joined(path, key)
            _place_settings(places[name], root["$defs"][name], root, places)


def _section(path: str, schema: Schema, root: Schema, places: Mapping[str, str]) -> str:
    needed = schema.get("required", ())
    rows = []
    for key, field in schema["properties"].items():
        default = "needed" if key in needed else _default(field)
        about = _one_line(field.get("description", ""))
        rows.append(_row(f"`{_joined(path, key)}`", _takes(field, root, places), default, about))
    title = [f"### `{path}`", ""] if path else []
    about = _one_line(schema.get("description", ""))
    return "\n".join([*title, about, "", "| field | takes | default | |", "|---|---|---|---|", *rows, ""])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _takes(field: Schema, root: Schema, places: Mapping[str, str]) -> str:
    """What may stand there, in words, its limits among them."""
    if name := _settings_name(field):
        return f"settings, see [`{places[name]}`](#{places[name].replace('.', '')})"
    if field.get("type") == "object":
        keys = field.get("propertyNames", {"type": "string"})
        words = f"keys: {expected(keys, root)}; values: {expected(field['additionalProperties'], root)}"
    else:
        words = expected(field, root)
    words = words.replace("'", "`")
    patterns = {branch["pattern"] for branch in (field, *field.get("anyOf", [])) if "pattern" in branch}
    for pattern in patterns:
        words = words.replace(pattern, f"`{pattern}`")
    return words


def _default(field: Schema) -> str:
    """The default as YAML would have it; that of settings is in their own table."""
    value = field.get("default")
    if value is None:
        return "left out"
    return "" if _settings_name(field) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _settings_name(field: Schema) -> str:
    """The name of the settings that a field holds, "" when it holds a value."""
    found = [branch["$ref"] for branch in (field, *field.get("anyOf", [])) if "$ref" in branch]
    return str(found[0]).rpartition("/")[2] if found else ""


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _one_line(text: str) -> str:
    return " ".join(text.split())
