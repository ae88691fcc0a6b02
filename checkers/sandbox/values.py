"""Values between candidate and referee: plain data only, rebuilt from its description on the other side.

None, booleans, text, numbers (of any size; nan and infinities; complex, Decimal, Fraction), bytes, lists,
tuples, sets, frozensets, dictionaries, ranges, deques, dates and times, and the built-in types themselves.
An object of a class of the program's own that extends one of these travels as that base (a named tuple as
a tuple); its methods stay behind, so its `__eq__` never judges. Everything else travels as a reference: a
number and a type's name.

    decode(encode((1, {"a": {2.5}})))      # (1, {"a": {2.5}})
"""

import collections
import datetime
import decimal
import fractions
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

DEEPEST = 200
_SMALL = 1 << 53
_MOST_SPELLED = 1_000
Refer = Callable[[Any], Any]  # an object to the JSON of its reference, or the reverse


class NotPlainError(ValueError):
    """A value that cannot travel: nested too deeply, or its description is no description."""


def spelling(value: Any) -> str:
    """One text for values that count as the same output: lists and tuples alike, numbers to nine digits, sets
    and dictionaries in order. Of a longer sequence than 1,000 parts, the first ones."""
    try:
        return _spelled(value)
    except (ValueError, RecursionError):  # a number too long to write, nested too deeply
        return f"a large {type(value).__name__}"


def _spelled(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spelled, value[:_MOST_SPELLED]))}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_spelled, value))[:_MOST_SPELLED])}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{_spelled(k)}: {_spelled(v)}' for k, v in value.items()))}}}"
    if isinstance(value, int):
        return format(int(value), "d" if abs(value) < _SMALL else "x")
    if isinstance(value, float):
        return f"{value:.9g}" if abs(value) >= _SMALL or value % 1 else format(int(value), "d")
    return repr(value)


def _refuse(value: Any) -> Any:
    raise NotPlainError(f"expected plain data, found {type(value).__name__}")


def encode(value: Any, refer: Refer = _refuse, depth: int = 0) -> Any:
    """The JSON form of `value`; `refer` describes what is not plain. Raises: NotPlainError."""
    if depth > DEEPEST:
        raise NotPlainError(f"nested more than {DEEPEST} deep")
    write = _WRITERS.get(type(value)) or next((w for k, w in _WRITERS.items() if isinstance(value, k)), None)
    if write is None:
        if isinstance(value, type) and _TYPES.get(value.__name__) is value:
            return ["type", value.__name__]
        return ["object", refer(value)]
    return write(value, lambda part: encode(part, refer, depth + 1))


def decode(form: Any, resolve: Refer = _refuse) -> Any:
    """The value that `encode` described, built of built-in types alone. Raises: NotPlainError."""
    if not isinstance(form, list):
        if isinstance(form, dict):
            raise NotPlainError("a dictionary is no description of a value")
        return form
    try:
        if form[0] == "object":
            return resolve(form[1])
        return _READERS[form[0]](form[1:], lambda part: decode(part, resolve))
    except NotPlainError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise NotPlainError(f"no description of a value: {type(error).__name__}") from None


# Writers take (value, write a part); they call the base's own methods, never those of a subclass.

_Part = Callable[[Any], Any]


def _write_int(value: int, _: _Part) -> Any:
    return int(value) if -_SMALL < int.__index__(value) < _SMALL else ["int", int.__format__(value, "x")]


def _write_float(value: float, _: _Part) -> Any:
    plain = float.__float__(value)
    return plain if math.isfinite(plain) else ["float", repr(plain)]


def _items(name: str, walk: Callable[[Any], Iterator[Any]]) -> Callable[[Any, _Part], Any]:
    return lambda value, part: [name, *map(part, walk(value))]


def _write_dict(value: dict[Any, Any], part: _Part) -> Any:
    return ["dict", *(part(x) for pair in dict.items(value) for x in pair)]


def _write_delta(value: datetime.timedelta, _: _Part) -> Any:
    return ["timedelta", value.days, value.seconds, value.microseconds]


def _text(name: str, write: Callable[[Any], str]) -> Callable[[Any, _Part], Any]:
    return lambda value, _: [name, write(value)]


_WRITERS: dict[type, Callable[[Any, _Part], Any]] = {  # bool before int, datetime before date
    type(None): lambda value, _: None,
    bool: lambda value, _: value,
    int: _write_int,
    str: lambda value, _: str.__str__(value),
    float: _write_float,
    list: _items("list", list.__iter__),
    tuple: _items("tuple", tuple.__iter__),
    dict: _write_dict,
    set: _items("set", set.__iter__),
    frozenset: _items("frozenset", frozenset.__iter__),
    collections.deque: _items("deque", collections.deque.__iter__),
    bytes: _text("bytes", bytes.hex),
    bytearray: _text("bytearray", bytearray.hex),
    complex: lambda value, part: ["complex", part(value.real), part(value.imag)],
    range: lambda value, part: ["range", part(value.start), part(value.stop), part(value.step)],
    decimal.Decimal: _text("Decimal", decimal.Decimal.__str__),
    fractions.Fraction: lambda value, part: ["Fraction", part(value.numerator), part(value.denominator)],
    datetime.datetime: _text("datetime", datetime.datetime.isoformat),
    datetime.date: _text("date", datetime.date.isoformat),
    datetime.time: _text("time", datetime.time.isoformat),
    datetime.timedelta: _write_delta,
}
_TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
}

# Readers take (the rest of the list, read a part).


def _build(make: Callable[[Iterable[Any]], Any]) -> Callable[[list[Any], _Part], Any]:
    return lambda rest, part: make(map(part, rest))


def _spread(make: Callable[..., Any]) -> Callable[[list[Any], _Part], Any]:
    return lambda rest, part: make(*map(part, rest))


def _read_dict(rest: list[Any], part: _Part) -> dict[Any, Any]:
    parts = iter(map(part, rest))
    return dict(zip(parts, parts, strict=True))


_READERS: dict[str, Callable[[list[Any], _Part], Any]] = {
    "int": _spread(lambda text: int(text, 16)),
    "float": _spread(float),
    "list": _build(list),
    "tuple": _build(tuple),
    "dict": _read_dict,
    "set": _build(set),
    "frozenset": _build(frozenset),
    "deque": _build(collections.deque),
    "bytes": _spread(bytes.fromhex),
    "bytearray": _spread(bytearray.fromhex),
    "complex": _spread(complex),
    "range": _spread(range),
    "Decimal": _spread(decimal.Decimal),
    "Fraction": _spread(fractions.Fraction),
    "datetime": _spread(datetime.datetime.fromisoformat),
    "date": _spread(datetime.date.fromisoformat),
    "time": _spread(datetime.time.fromisoformat),
    "timedelta": _spread(datetime.timedelta),
    "type": lambda rest, _: _TYPES[rest[0]],
}


def show(value: Any, longest: int = 200) -> str:
    """A short text of `value` for a verdict; never fails and never runs long."""
    try:
        text = repr(value) if _is_small(value, [longest]) else _outline(value)
    except Exception as error:
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _outline(value: Any) -> str:
    size = f" of {len(value):,}" if hasattr(value, "__len__") else ""
    return f"<{type(value).__name__}{size}>"


def _is_small(value: Any, left: list[int]) -> bool:
    """Whether writing `value` out is quick: few parts, none of them large."""
    left[0] -= 1
    if isinstance(value, int):
        return value.bit_length() < 4_000
    if isinstance(value, str | bytes | bytearray):
        return len(value) < 4_000
    if isinstance(value, list | tuple | set | frozenset | collections.deque):
        return left[0] > 0 and len(value) <= max(left[0], 0) and all(_is_small(x, left) for x in value)
    if isinstance(value, dict):
        return left[0] > 0 and all(_is_small(x, left) for pair in value.items() for x in pair)
    return True
