"""YAML with the place of every key: what a fault in a recipe is reported with.

A recipe's text becomes a plain tree (JSON values, text keys) and a map from the path of every key to the
line it stands on. `key.path=value` overrides are laid over it and become places of their own.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null")}
_AS_WRITTEN = {_TAG + "timestamp"}  # a date is text to us
_BROKEN = object()


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was said: a line of a file, or (`override` counts from 1) an override."""

    override: int
    line: int
    source: str

    def __str__(self) -> str:
        if not self.override:
            return f"{self.source}:{self.line}"
        shown = re.sub(r"://[^/]*@", "://***@", self.source)  # a login in a URL is not told
        return f"override '{shown}'"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong, and where. Faults sort in the order of the file, then of overrides."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True)
class Document:
    """A parsed recipe. `tree` is None when the text cannot be read as a mapping at all."""

    source: str
    tree: dict[str, Any] | None = None
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: Path) -> Place:
        """Where `path` stands, or the nearest thing around it that stands anywhere."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return Place(0, 1, self.source)

    def fault(self, place: Place, message: str) -> None:
        """Note a fault and go on."""
        self.faults.append(Fault(place, message))


def dotted(path: Path) -> str:
    """`labelling.rollouts`, `evaluation.best_of[2]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def parse_yaml(text: str, source: str) -> Document:
    """The document in `text`; whatever is wrong with it as YAML is among its faults."""
    document = Document(source)
    yaml = _safe_yaml()
    try:
        node = yaml.compose(text)
    except YAMLError as error:
        document.fault(*_syntax_fault(error, source))
        return document
    if not isinstance(node, MappingNode):
        found = "nothing" if node is None else "a list" if isinstance(node, SequenceNode) else "text"
        document.fault(Place(0, 1, source), f"expected settings as `key: value` lines, found {found}")
        return document
    document.tree = _Builder(document, yaml).mapping(node, ())
    return document


def parse_override(text: str, number: int) -> tuple[Path, Any] | Fault:
    """The path and value of one `key.path=value`; `number` counts overrides from 1."""
    place = Place(number, 0, text)
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        return Fault(place, "expected key.path=value, such as labelling.rollouts=16")
    parsed = parse_yaml(f"value: {value}" if value.strip() else "value: null", text)
    if parsed.faults or parsed.tree is None or list(parsed.tree) != ["value"]:
        reason = parsed.faults[0].message if parsed.faults else "it holds more than one value"
        return Fault(place, f"cannot read the value: {reason.removeprefix('value: ')} (text may need quotes)")
    return path, parsed.tree["value"]


def lay_over(document: Document, overrides: Iterable[str]) -> None:
    """Set every override in `document`; one that cannot be read becomes a fault."""
    for number, text in enumerate(overrides, start=1):
        parsed = parse_override(text, number)
        if isinstance(parsed, Fault):
            document.faults.append(parsed)
        elif document.tree is not None:
            path, value = parsed
            _set(document.tree, path, value)
            document.places = {p: at for p, at in document.places.items() if p[: len(path)] != path}
            document.places[path] = Place(number, 0, text)


def _set(tree: dict[str, Any], path: Path, value: Any) -> None:
    *parents, last = path
    for part in parents:
        if not isinstance(tree.get(str(part)), dict):
            tree[str(part)] = {}
        tree = tree[str(part)]
    tree[str(last)] = value


class _Builder:
    """Walks the node tree of one document, filling its places and faults."""

    def __init__(self, document: Document, yaml: YAML) -> None:
        self._document = document
        self._yaml = yaml
        self._open: set[int] = set()

    def value(self, node: Node, path: Path) -> Any:
        """The value of a node, `_BROKEN` (and a fault) when it has none."""
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            return self._broken(node, path, "an alias may not stand inside what it names")
        self._open.add(id(node))
        try:
            return self.mapping(node, path) if isinstance(node, MappingNode) else self._list(node, path)
        finally:
            self._open.discard(id(node))

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        """A mapping, its merged (`<<`) keys first, so that its own keys win."""
        built: dict[str, Any] = {}
        own = [(key, value) for key, value in node.value if key.tag != _TAG + "merge"]
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                built |= self._merged(value, path)
        first_line: dict[str, int] = {}
        for key, value in own:
            name = self._key(key, path, first_line)
            if name is None:
                continue
            built.pop(name, None)
            found = self.value(value, (*path, name))
            if found is not _BROKEN:
                built[name] = found
        return built

    def _key(self, key: Node, path: Path, first_line: dict[str, int]) -> str | None:
        """The name of a key, its place noted; None (and a fault) for one that is no text or a repeat."""
        if not isinstance(key, ScalarNode):
            self._broken(key, path, "expected a plain key, found a list or a mapping as key")
            return None
        name, line = str(key.value), key.start_mark.line + 1
        place = Place(0, line, self._document.source)
        if name in first_line:
            self._document.fault(
                place, f"duplicate key '{dotted((*path, name))}' (first on line {first_line[name]})"
            )
            return None
        first_line[name] = line
        self._document.places[(*path, name)] = place
        return name

    def _merged(self, node: Node, path: Path) -> dict[str, Any]:
        sources = reversed(node.value) if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            found = self.value(source, path) if isinstance(source, MappingNode) else None
            if isinstance(found, dict):
                merged |= found
            else:
                self._broken(source, path, "`<<` expects a mapping, or a list of mappings")
        return merged

    def _list(self, node: Any, path: Path) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            place = Place(0, item.start_mark.line + 1, self._document.source)
            self._document.places[(*path, index)] = place
            items.append(self.value(item, (*path, index)))
        return [item for item in items if item is not _BROKEN]

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        tag = str(node.tag)
        if tag in _AS_WRITTEN:
            return node.value
        if tag not in _SCALARS:
            return self._broken(node, path, f"the tag {tag.replace(_TAG, '!!')} has no meaning in a recipe")
        try:
            value = self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError):
            return self._broken(node, path, f"cannot read {node.value!r} as {tag.removeprefix(_TAG)}")
        if isinstance(value, float) and not math.isfinite(value):
            return self._broken(node, path, f"expected a finite number, found {node.value}")
        if isinstance(value, str) and not _is_unicode(value):
            return self._broken(node, path, "expected Unicode text, found half of a surrogate pair")
        return value

    def _broken(self, node: Node, path: Path, message: str) -> Any:
        place = Place(0, node.start_mark.line + 1, self._document.source)
        self._document.fault(place, f"{dotted(path)}: {message}" if path else message)
        return _BROKEN


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _safe_yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # or only the first would be reported, and nothing else
    return yaml


def _syntax_fault(error: YAMLError, source: str) -> tuple[Place, str]:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Place(0, 1, source), f"not valid YAML: {' '.join(str(error).split())}"
    line, problem = error.problem_mark.line + 1, error.problem or "cannot be parsed"
    context = ""
    if error.context and error.context_mark and error.context_mark.line + 1 != line:
        context = f", {error.context} that begins on line {error.context_mark.line + 1}"
    hint = " (indent with spaces, not tabs)" if "\\t" in problem else ""
    return Place(0, line, source), f"not valid YAML: {problem}{context}{hint}"
