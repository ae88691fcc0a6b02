"""Units of measure after a number: which words and symbols are units, and the exact ones' size in SI.

A unit with no size here (`?`) is still read over; it only cannot be converted. Months and years have
none, since people reckon them differently; nor has a calorie, which has several.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from checkers.words import words


@dataclass(frozen=True, slots=True)
class Unit:
    """What it measures (`s`, `m`, `kg`, `$`, ...) and how many SI units it is, None where that varies."""

    kind: str
    size: Fraction | None


_TABLE = """
s: s sec second seconds 1; min mins minute minutes 60; hr hrs hour hours 3600; day days 86400
s: week weeks 604800; ms 1e-3; μs us 1e-6; ns 1e-9; ps 1e-12
s: month months year years decade decades century centuries ?
m: m meter meters metre metres 1; mm millimeter millimeters 1e-3; cm centimeter centimeters 1e-2
m: km kilometer kilometers 1e3; Mm 1e6; nm 1e-9; μm um 1e-6; pm 1e-12; inch inches 0.0254
m: foot feet ft 0.3048; yard yards 0.9144; mile miles 1609.344
kg: kg kilogram kilograms 1; g gram grams 1e-3; mg milligram milligrams 1e-6; μg 1e-9
kg: lb lbs pound pounds 0.45359237; oz ounce ounces 0.028349523125; ton tons tonne tonnes ?
L: L liter liters litre litres 1e-3; mL ml milliliter milliliters 1e-6; gallon gallons 0.003785411784
L: quart quarts 0.000946352946; pint pints 0.000473176473; cup cups 0.0002365882365
$: $ dollar dollars 100; cent cents penny pennies 1; dime dimes 10; nickel nickels 5; quarter quarters ?
Hz: Hz 1; mHz 1e-3; kHz 1e3; MHz 1e6; GHz 1e9
N: N 1; mN 1e-3; kN 1e3; MN 1e6
J: J joule joules 1; mJ 1e-3; kJ 1e3; MJ 1e6; GJ 1e9; cal kcal ?; eV 1.602176634e-19; keV 1.602176634e-16
J: meV 1.602176634e-22; MeV 1.602176634e-13; GeV 1.602176634e-10
W: W watt watts 1; mW 1e-3; kW 1e3; MW 1e6; GW 1e9
Pa: Pa 1; mPa 1e-3; hPa 1e2; kPa 1e3; MPa 1e6; GPa 1e9; atm 101325; mmHg torr ?
V: V volt volts 1; mV 1e-3; kV 1e3; MV 1e6
A: A 1; kA 1e3; mA 1e-3; μA 1e-6
q: C 1; μC 1e-6; nC 1e-9
F: μF 1e-6; mF 1e-3; nF 1e-9; pF 1e-12
Ω: Ω ohm ohms 1; mΩ 1e-3; kΩ 1e3; MΩ 1e6
T: T 1; mT 1e-3
M: M 1e3; mM 1
mol: mol mole moles 1; mmol 1e-3
K: K 1
other: rad u ppm mph kmh ?
"""


def _rows() -> Iterator[tuple[str, Unit]]:
    for line in _TABLE.strip().splitlines():
        kind, _, groups = line.partition(":")
        for group in groups.split(";"):
            *names, size = group.split()
            unit = Unit(kind, None if size == "?" else Fraction(size))
            yield from ((name, unit) for name in names)


UNITS = dict(_rows())
GLUED = frozenset(name for name in UNITS if len(name) < 4) | words("cents hrs mins oz pm am kj kcal kmh")


def unit_named(name: str) -> Unit | None:
    """The unit of a name with its power, such as `cm^2`; the cube of a length is a volume, as a litre is."""
    base, _, power = name.partition("^")
    unit = UNITS.get(base)
    if unit is None or not power:
        return unit
    kind = "L" if (unit.kind, power) == ("m", "3") else f"{unit.kind}^{power}"
    return Unit(kind, None if unit.size is None else unit.size ** int(power))


def convertible(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether the sides name different units of one kind, so that a conversion may be meant.

    Feet and inches are two, a gallon and gallons are one.
    """
    if one == other:
        return False
    kinds = [unit.kind for unit in {UNITS[name] for name in one | other if name in UNITS}]
    return len(kinds) > len(set(kinds))
