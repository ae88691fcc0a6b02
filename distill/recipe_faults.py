"""From pydantic's errors to sentences: what was expected, what was found, what was probably meant.

What is expected is read from the settings' own JSON Schema, so that a range or a choice is stated once,
in `distill.config`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from distill.recipe_yaml import Document, Fault, Path, dotted

Model = TypeVar("Model", bound=BaseModel)
Schema = Mapping[str, Any]

_SHOWN = 60
_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def validate(document: Document, model: type[Model]) -> tuple[Model | None, list[Fault]]:
    """The settings in `document`, and every fault in them (then the settings are not to be used).

    A rule that spans several keys only runs once each key is right by itself, so the faulty ones are
    taken out and the rest is tried again, until nothing new is found.
    """
    tree, schema = document.tree or {}, model.model_json_schema()
    defaults = _path_defaults(schema)
    faults: dict[tuple[Path, str], Fault] = {}
    taken_out: list[Path] = []
    while True:
        try:
            return model.model_validate_json(json.dumps(defaults | tree), strict=True), list(faults.values())
        except ValidationError as error:
            found = [_cleaned(entry) for entry in error.errors(include_url=False)]
        for entry in found:
            if not _follows_from(entry, taken_out, document):
                key = (entry["loc"], entry["type"])
                faults.setdefault(key, _fault(entry, schema, document))
        places = [_section(entry["loc"]) for entry in found if _section(entry["loc"])]
        smaller = _without(tree, places)
        if smaller == tree:
            return None, list(faults.values())
        tree, taken_out = smaller, taken_out + places


def expected(schema: Schema, root: Schema) -> str:
    """What a JSON Schema allows, in words: "a whole number above 0"."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return " or ".join(expected(branch, root) for branch in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return ("one of " if len(choices) > 1 else "") + ", ".join(_show(choice) for choice in choices)
    if schema.get("type") == "array":
        return f"a list, each item {expected(schema.get('items', {}), root)}"
    if schema.get("type") == "string":
        return "text" + (f" of the form {schema['pattern']}" if "pattern" in schema else "")
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "object": "`key: value` settings",
        "null": "null",
    }
    return words.get(schema.get("type", ""), "another value") + _range(schema)


def _path_defaults(schema: Schema) -> dict[str, str]:
    """Defaults that are paths, as text: pydantic refuses its own default `Path` in strict JSON."""
    entries = {key: value for key, value in schema.get("properties", {}).items() if "default" in value}
    return {key: value["default"] for key, value in entries.items() if value.get("format") == "path"}


def _cleaned(entry: Any) -> dict[str, Any]:
    """An error whose `loc` is a path in the document: "[key]" marks a wrong key of a mapping."""
    loc = tuple(entry["loc"])
    if loc and loc[-1] == "[key]":
        return {**entry, "loc": loc[:-1], "type": "extra_forbidden"}
    return {**entry, "loc": loc}


def _follows_from(entry: Mapping[str, Any], taken_out: Sequence[Path], document: Document) -> bool:
    """Whether an error is there only because a faulty key was taken out before this round."""
    loc = entry["loc"]
    if entry["type"] == "missing":
        return loc in document.places
    within = [path for path in taken_out if path[: len(loc)] == loc and path != loc]
    return any(str(path[-1]) in entry["msg"] for path in within)


def _fault(entry: Mapping[str, Any], root: Schema, document: Document) -> Fault:
    loc: Path = entry["loc"]
    return Fault(document.place(loc), _sentence(entry, loc, root))


def _sentence(entry: Mapping[str, Any], loc: Path, root: Schema) -> str:
    if entry["type"] == "extra_forbidden":
        return f"unknown key '{dotted(loc)}'; {_meant(loc, root)}"
    if entry["type"] == "missing":
        about = _at(loc, root).get("description", "").partition("\n")[0]
        return f"missing required key '{dotted(loc)}'" + (f" ({about})" if about else "")
    if entry["type"] in ("value_error", "assertion_error"):
        return ": ".join(part for part in (dotted(loc), str(entry["ctx"]["error"])) if part)
    schema, found = _at(loc, root), entry["input"]
    wanted = expected(schema, root)
    return f"{dotted(loc)}: expected {wanted}, found {_show(found)}{_hint(wanted, found)}"


def _meant(loc: Path, root: Schema) -> str:
    """What an unknown key was probably meant to be: a sibling, the same key elsewhere, or a list."""
    *parents, wrong = loc
    siblings = _keys(_at(tuple(parents), root), root)
    close = get_close_matches(str(wrong), siblings, n=1)
    moved = [path for path in _all_keys(root, root) if path[-1] == wrong][:3]
    meant = [dotted((*parents, key)) for key in close] or [dotted(path) for path in moved]
    if meant:
        return "did you mean " + " or ".join(f"'{key}'" for key in meant) + "?"
    return f"expected one of {', '.join(siblings)}"


def _hint(wanted: str, found: Any) -> str:
    """The way out of the usual slips of YAML."""
    if found is None:
        return " (leave the key out to take its default)"
    if wanted == "true or false" and isinstance(found, str) and found.lower() in _BOOLEANS:
        return f" (write {_BOOLEANS[found.lower()]})"
    if isinstance(found, str) and wanted.startswith(("a whole number", "a number", "true or false")):
        return " (write it without quotes)" if _reads_as_another_type(found) else ""
    if wanted.startswith("text") and isinstance(found, int | float):
        return " (put it in quotes)"
    if isinstance(found, str) and wanted.startswith("one of"):
        choices = [choice.strip("'") for choice in wanted.removeprefix("one of ").split(", ")]
        close = get_close_matches(found, choices, n=1)
        return f"; did you mean '{close[0]}'?" if close else ""
    return ""


def _reads_as_another_type(text: str) -> bool:
    try:
        return not isinstance(json.loads(text), str)
    except ValueError:
        return False


def _show(value: Any) -> str:
    """A value as it would be written, kept short; what has parts is named by its kind."""
    if isinstance(value, dict | list):
        kind = "settings" if isinstance(value, dict) else "a list"
        return kind if value else f"{kind} with nothing in it"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= _SHOWN else f"'{value[:_SHOWN]}...'"
    return "nothing" if value is None else json.dumps(value)


def _range(schema: Schema) -> str:
    """The bounds of a number, in words that follow "a number"."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    words = {
        "exclusiveMinimum": "above",
        "minimum": "of at least",
        "exclusiveMaximum": "below",
        "maximum": "up to",
    }
    parts = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return " " + " and ".join(parts) if parts else ""


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema behind a reference, what stands beside the reference kept."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    return {**root["$defs"][name], **{key: value for key, value in schema.items() if key != "$ref"}}


def _at(path: Path, root: Schema) -> Schema:
    """The schema of what stands at `path`; empty where nothing may stand."""
    schema: Schema = root
    for part in path:
        schema = _inside(schema, root)
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part) or _values(schema)
    return schema


def _inside(schema: Schema, root: Schema) -> Schema:
    """A schema that has parts: past a reference, and past "or null"."""
    schema = _resolved(schema, root)
    branches = [_resolved(branch, root) for branch in schema.get("anyOf", [])]
    return next((branch for branch in branches if branch.get("type") != "null"), schema)


def _values(schema: Schema) -> Schema:
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) else {}


def _keys(schema: Schema, root: Schema) -> list[str]:
    schema = _inside(schema, root)
    names = _resolved(schema.get("propertyNames", {}), root).get("enum", [])
    return [*schema.get("properties", {}), *names]


def _all_keys(schema: Schema, root: Schema, above: Path = ()) -> Iterator[Path]:
    for key in _keys(schema, root):
        yield (*above, key)
        inner = _inside(schema, root).get("properties", {}).get(key, {})
        yield from _all_keys(inner, root, (*above, key))


def _section(loc: Path) -> Path:
    """The part of `loc` that can be taken out of a tree: items of a list go with their list."""
    index = next((i for i, part in enumerate(loc) if isinstance(part, int)), len(loc))
    return loc[:index]


def _without(tree: dict[str, Any], places: Sequence[Path]) -> dict[str, Any]:
    """`tree` without what stands at `places`."""
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        inner = [path[1:] for path in places if path[0] == key]
        if () in inner:
            continue
        kept[key] = _without(value, inner) if inner and isinstance(value, dict) else value
    return kept
