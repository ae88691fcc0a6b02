"""Times of day and dates, as answers write them.

    read_time("5:30 p.m.")         Time(hour=17, minute=30, second=0, certain=True)
    read_date("March 5th, 2020")   Date(month=3, day=5, year=2020)

None for what is neither, and for dates in digits alone whose day and month cannot be told apart.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day. `certain` is False where it may be before or after noon (`5:30`)."""

    hour: int
    minute: int
    second: int
    certain: bool


@dataclass(frozen=True, slots=True)
class Date:
    """A day; the year is None where it is left out."""

    month: int
    day: int
    year: int | None


_TIME = re.compile(
    r"(?:at )?([0-9]{1,2})(?:[:.]([0-5][0-9])(?::([0-5][0-9]))?)? ?(?:([ap])\.? ?m\.?|o'clock)?",
    re.IGNORECASE,
)
_WORD_TIMES = {"noon": Time(12, 0, 0, True), "midnight": Time(0, 0, 0, True)}
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "(?P<month>sept|" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS) + r")\.?"
_DAY, _YEAR = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?", r"(?P<year>[0-9]{4})"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,? )?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}(?:on )?{_MONTH} (?:the )?{_DAY}(?:,? {_YEAR})?",
        rf"{_WEEKDAY}(?:on )?(?:the )?{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?",
        rf"{_YEAR}-(?P<number>[0-9]{{1,2}})-{_DAY}",
    )
]


def read_time(text: str) -> Time | None:
    """The time of day that `text` is, or None. A bare number is none."""
    if text.lower() in _WORD_TIMES:
        return _WORD_TIMES[text.lower()]
    match = _TIME.fullmatch(text)
    if not match or not (text.count(":") or match[4] or "'" in text):
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    half = (match[4] or "").lower()
    if hour > (12 if half else 23) or (half and not hour):
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return Time(hour, minute, second, bool(half) or hour > 12 or hour == 0)


def same_time(one: Time, other: Time) -> bool | None:
    """Whether two times are one; None where one may be before or after noon."""
    if (one.minute, one.second) != (other.minute, other.second) or (one.hour - other.hour) % 12:
        return False
    if one.certain == other.certain:
        return one.hour == other.hour
    return None


def read_date(text: str) -> Date | None:
    """The date that `text` is, or None."""
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _DATES)), None)
    if not match:
        return None
    found = match.groupdict()
    month = int(found["number"]) if found.get("number") else _month(found["month"])
    day, year = int(found["day"]), found.get("year")
    return Date(month, day, int(year) if year else None) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _month(word: str) -> int:
    return next(index for index, name in enumerate(_MONTHS, 1) if name.startswith(word[:3].lower()))


def same_date(one: Date, other: Date) -> bool:
    """Whether two dates are one; a year that is left out is not held against an answer."""
    years = {one.year, other.year} - {None}
    return (one.month, one.day) == (other.month, other.day) and len(years) < 2
