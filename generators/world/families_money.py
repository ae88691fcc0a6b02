"""Families about money and people: shopping, wages, discount, mixture, ages, comparison, inventory."""

from fractions import Fraction

from generators.world.build import Builder, Rejected

DAYS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def price(b: Builder, low: int, high: int) -> int | Fraction:
    """A whole price, sometimes with a half."""
    whole = b.between(low, high)
    return Fraction(2 * whole + 1, 2) if b.chance(0.15) else whole


def shopping(b: Builder) -> None:
    """Costs of one to three things, the total, the change."""
    (who,), things = b.people(1), b.items(4)
    count = b.pick((1, 2, 2, 3, 3))
    costs = []
    for i, thing in enumerate(things[:count], 1):
        b.fact(f"n{i}", b.between(2, 12), f"{who} buys # {thing}.")
        b.fact(f"p{i}", price(b, 2, 12), f"Each {thing[:-1]} costs # dollars.")
        b.derive(
            f"c{i}", f"n{i} * p{i}", f"The {thing} cost # dollars.", f"{who} pays # dollars for the {thing}."
        )
        costs.append(f"c{i}")
    last = "c1"
    if count == 3:
        b.derive("pair", "c1 + c2", f"The {things[0]} and {things[1]} cost # dollars.")
        b.derive(
            "total",
            ("c1 + c2 + c3", "pair + c3"),
            "The total cost is # dollars.",
            f"In total {who} pays # dollars.",
        )
        last = "total"
    elif count == 2:
        b.derive("total", "c1 + c2", "The total cost is # dollars.", f"In total {who} pays # dollars.")
        last = "total"
    b.distract(price(b, 2, 12), f"Each {things[3][:-1]} costs # dollars.")
    if count == 2 and b.chance(0.2) and b.values["c1"] > b.values["c2"]:
        b.derive("gap", "c1 - c2", f"The {things[0]} cost # dollars more than the {things[1]}.")
        return b.ask("gap", f"How much more do the {things[0]} cost than the {things[1]}?")
    if (count == 3 and b.chance(0.6)) or b.chance(0.3):
        return b.ask(last, f"How many dollars does {who} pay in total?")
    b.fact("money", int(b.values[last]) + b.between(2, 60), f"{who} has # dollars.")
    ways: tuple[str, ...] = (f"money - {last}",)
    if count == 2:
        b.derive("after", "money - c1", f"After the {things[0]} {who} has # dollars.")
        ways += ("after - c2",)
    b.derive("change", ways, f"{who} has # dollars left.", "The change is # dollars.")
    if count == 1 and b.chance(0.5):
        b.fact("friends", b.between(2, 6), f"{who} has # friends.")
        b.derive("share", "change / friends", "Each friend gets # dollars.")
        return b.ask("share", f"{who} gives the change to the friends. How much does each friend get?")
    return b.ask("change", f"How many dollars does {who} have left?")


def wages(b: Builder) -> None:
    """Pay per hour, hours per day, days; then spending, saving, sharing."""
    who, other = b.people(2)
    thing = b.items(1)[0][:-1]
    b.fact("rate", b.between(3, 15), f"{who} earns # dollars per hour.")
    b.fact("hours", b.between(2, 9), f"{who} works # hours per day.")
    b.fact("days", b.between(2, 7), f"{who} works # days.")
    b.derive("day", "rate * hours", f"{who} earns # dollars per day.", f"In a day {who} earns # dollars.")
    b.derive("time", "hours * days", f"In total {who} works # hours.")
    pay = b.derive(
        "pay", ("day * days", "rate * time"), f"In total {who} earns # dollars.", "The pay is # dollars."
    )
    b.distract(b.between(3, 15), f"{other} earns # dollars per hour.")
    ending = b.pick(("pay", "left", "left", "short", "share", "share"))
    if ending == "pay":
        return b.ask("pay", f"How many dollars does {who} earn in total?")
    if ending == "short":
        b.fact("cost", pay + b.between(5, 90), f"A new {thing} costs # dollars.")
        b.derive("short", "cost - pay", f"{who} still needs # dollars.")
        return b.ask("short", f"How many dollars does {who} still need for the {thing}?")
    spent = b.between(5, max(6, int(pay * 0.8)))
    b.fact("spent", spent, f"{who} spends # dollars.")
    b.derive("left", "pay - spent", f"{who} has # dollars left.", f"{who} saves # dollars.")
    if ending == "left":
        return b.ask("left", f"How many dollars does {who} have left?")
    b.fact("friends", b.between(2, 8), f"{who} has # friends.")
    b.derive("share", "left / friends", "Each friend gets # dollars.")
    return b.ask("share", "The friends share what is left. How much does each friend get?")


def discount(b: Builder) -> None:
    """A percentage off a price, then several pieces and a fee."""
    who, (thing, other) = b.people(1)[0], b.items(2)
    percent = b.pick((10, 20, 25, 30, 40, 50, 60, 75))
    b.fact("full", b.between(2, 24) * (5 if percent % 20 else 4), f"A {thing[:-1]} costs # dollars.")
    b.fact("percent", percent, "The discount is # percent.")
    b.derive(
        "off",
        "percent / 100 * full",
        "The discount is # dollars.",
        f"{who} saves # dollars on each {thing[:-1]}.",
    )
    ways: tuple[str, ...] = ("full - off",)
    if percent != 50:
        b.derive("keep", "100 - percent", f"{who} pays # percent of the price.")
        ways += ("keep / 100 * full",)
    b.derive("sale", ways, "The new price is # dollars.", f"{who} pays # dollars for a {thing[:-1]}.")
    b.distract(b.between(5, 90), f"A {other[:-1]} costs # dollars.")
    if b.chance(0.2):
        return b.ask("sale", f"What is the new price of a {thing[:-1]}?")
    b.fact("count", b.between(2, 9), f"{who} buys # {thing}.")
    b.derive("bill", "sale * count", f"The {thing} cost # dollars.", "The bill is # dollars.")
    if b.chance(0.3):
        return b.ask("bill", f"How much do the {thing} cost with the discount?")
    if b.chance(0.5):
        b.fact("fee", b.between(2, 15), "The fee is # dollars.")
        b.derive("total", "bill + fee", f"In total {who} pays # dollars.")
        return b.ask("total", f"How much does {who} pay in total?")
    b.fact("money", int(b.values["bill"]) + b.between(3, 50), f"{who} has # dollars.")
    b.derive("left", "money - bill", f"{who} has # dollars left.")
    return b.ask("left", f"How many dollars does {who} have left?")


def mixture(b: Builder) -> None:
    """Two kinds mixed: the price of a pound, or the percentage of juice."""
    (percent_mixture if b.chance(0.45) else price_mixture)(b)


def price_mixture(b: Builder) -> None:
    """Nuts and seeds at two prices, mixed and sold."""
    who = b.people(1)[0]
    for i, kind in enumerate(("nuts", "seeds"), 1):
        b.fact(
            f"w{i}",
            b.between(2, 12),
            f"{who} mixes # pounds of {kind}." if i == 1 else f"{who} adds # pounds of {kind}.",
        )
        b.fact(f"p{i}", price(b, 2, 12), f"The {kind} cost # dollars per pound.")
        b.derive(f"c{i}", f"w{i} * p{i}", f"All the {kind} cost # dollars.")
    b.derive("cost", "c1 + c2", "The mix costs # dollars.")
    b.derive("weight", "w1 + w2", "The mix weighs # pounds.")
    b.distract(b.between(2, 12), "The salt costs # dollars per pound.")
    if b.chance(0.4):
        if 10 * b.values["cost"] % b.values["weight"]:
            raise Rejected
        b.derive("unit", "cost / weight", "A pound of the mix costs # dollars.")
        return b.ask("unit", "How much does a pound of the mix cost?")
    b.fact("price", b.between(5, 15), f"{who} sells the mix at # dollars per pound.")
    b.derive("income", "weight * price", f"{who} gets # dollars for the mix.")
    if b.chance(0.35):
        return b.ask("income", f"How many dollars does {who} get for the mix?")
    b.derive("profit", "income - cost", "The profit is # dollars.")
    return b.ask("profit", "How many dollars is the profit?")


def percent_mixture(b: Builder) -> None:
    """Two jars of different strength."""
    who = b.people(1)[0]
    for i, jar in enumerate(("red", "blue"), 1):
        b.fact(f"w{i}", 2 * b.between(2, 40), f"The {jar} jar holds # cups.")
        b.fact(f"s{i}", b.pick((10, 20, 25, 30, 40, 50, 60, 75)), f"The {jar} jar is # percent juice.")
        b.derive(f"j{i}", f"s{i} / 100 * w{i}", f"The {jar} jar has # cups of juice.")
    b.derive("juice", "j1 + j2", "In total there are # cups of juice.")
    b.derive("cups", "w1 + w2", "In total there are # cups.", "The mix has # cups.")
    b.distract(b.between(3, 60), "The green jar holds # cups.")
    if b.chance(0.3):
        return b.ask("juice", f"{who} mixes the red and blue jars. How many cups of juice are there?")
    b.derive("water", "cups - juice", "In total there are # cups of water.", "The rest is # cups of water.")
    return b.ask(
        "water", f"{who} mixes the red and blue jars. The rest is water. How many cups of water are there?"
    )


def relation(b: Builder, i: int, who: str, base: str, more: str, times: str) -> str:
    """One fact that ties `who` to `base` (more, fewer or times), and the derivation it gives."""
    before = b.values[f"q{i - 1}"]
    kind = b.pick(("more", "more", "fewer", "fewer", "times"))
    if kind == "times" and before <= 30:
        b.fact(f"r{i}", b.between(2, 6), f"{who} {times} {base}.")
        return f"q{i - 1} * r{i}"
    if kind == "fewer" and before > 8:
        b.fact(f"r{i}", b.between(2, int(before) - 2), f"{who} {more.split('|')[1]} {base}.")
        return f"q{i - 1} - r{i}"
    b.fact(f"r{i}", b.between(2, 40), f"{who} {more.split('|')[0]} {base}.")
    return f"q{i - 1} + r{i}"


def ages(b: Builder) -> None:
    """Ages tied to each other, now and some years ahead."""
    people = b.people(b.pick((3, 4, 4)) + 1)
    people, extra = people[:-1], people[-1]
    b.fact("q0", b.between(3, 30), f"{people[0]} is # years old.")
    for i, who in enumerate(people[1:], 1):
        way = relation(
            b, i, who, people[i - 1], "is # years older than|is # years younger than", "is # times as old as"
        )
        if b.derive(f"q{i}", way, f"{who} is # years old.", f"The age of {who} is #.") > 100:
            raise Rejected
    last = len(people) - 1
    b.distract(b.between(3, 60), f"{extra} is # years old.")
    ending = b.pick(("last", "sum", "sum", "ahead", "both"))
    if ending == "last":
        return b.ask(f"q{last}", f"How old is {people[last]}?")
    if ending == "sum":
        b.derive(
            "sum",
            " + ".join(f"q{i}" for i in range(last + 1)),
            "The sum of the ages is #.",
            "Together they are # years old.",
        )
        return b.ask("sum", f"What is the sum of the ages of {' and '.join(people)}?")
    b.fact("ahead", b.between(2, 25), "Think # years ahead.")
    b.derive("later", f"q{last} + ahead", f"Then {people[last]} is # years old.")
    if ending == "ahead":
        return b.ask("later", f"How old is {people[last]} then?")
    b.derive("later0", "q0 + ahead", f"Then {people[0]} is # years old.")
    b.derive("then", "later + later0", "Then the sum of the two ages is #.")
    return b.ask("then", f"What is the sum of the ages of {people[0]} and {people[last]} then?")


def comparison(b: Builder) -> None:
    """Who has more: a chain of two to six people."""
    size = min(b.pick((3, 4, 4, 5, 6)) if not b.steps else max(2, b.steps - 1), 7)
    people, (thing, other) = b.people(size), b.items(2)
    b.fact("q0", b.between(3, 60), f"{people[0]} has # {thing}.")
    for i, who in enumerate(people[1:], 1):
        way = relation(
            b,
            i,
            who,
            people[i - 1],
            f"has # more {thing} than|has # fewer {thing} than",
            f"has # times as many {thing} as",
        )
        b.derive(f"q{i}", way, f"{who} has # {thing}.")
    last = size - 1
    b.distract(b.between(3, 60), f"{people[0]} has # {other}.")
    ending = b.pick(("last", "sum", "sum", "gap", "share", "share", "share"))
    if ending == "gap" and size > 2 and b.values[f"q{last}"] > b.values["q0"]:
        b.derive("gap", f"q{last} - q0", f"The gap is # {thing}.")
        return b.ask("gap", f"How many more {thing} does {people[last]} have than {people[0]}?")
    if ending in ("last", "gap"):
        return b.ask(f"q{last}", f"How many {thing} does {people[last]} have?")
    b.derive(
        "sum",
        " + ".join(f"q{i}" for i in range(size)),
        f"Together they have # {thing}.",
        f"In total there are # {thing}.",
    )
    if ending == "sum":
        return b.ask("sum", f"How many {thing} do they have together?")
    b.fact("boxes", b.between(2, 9), f"They fill # boxes with all the {thing}.")
    if b.values["sum"] % b.values["boxes"]:
        raise Rejected
    b.derive("each", "sum / boxes", f"Each box holds # {thing}.")
    return b.ask("each", f"How many {thing} are in each box?")


def inventory(b: Builder) -> None:
    """A shop's stock over two to nine days."""
    days = b.pick((2, 3, 4, 5, 6, 7, 8, 8, 9, 9)) if not b.steps else min(max(b.steps - 1, 2), 9)
    thing, other = b.items(2)
    b.fact("s0", b.between(10, 200), f"The shop has # {thing} at first.")
    b.distract(b.between(10, 90), f"The shop has # {other} at first.")
    moves: dict[str, list[str]] = {"sells": [], "gets": []}
    for i, day in enumerate(DAYS[:days], 1):
        stock = int(b.values[f"s{i - 1}"])
        verb = "sells" if stock > 20 and b.chance(0.55) else "gets"
        moves[verb].append(f"e{i}")
        b.fact(
            f"e{i}",
            b.between(2, min(stock - 5, 90) if verb == "sells" else 90),
            f"On day {day} the shop {verb} # {thing}.",
        )
        sign = "-" if verb == "sells" else "+"
        ways: tuple[str, ...] = (f"s{i - 1} {sign} e{i}",)
        if i == days and len(moves["sells"]) > 1 and len(moves["gets"]) > 1:
            b.derive("sold", " + ".join(moves["sells"]), f"In total the shop sells # {thing}.")
            b.derive("got", " + ".join(moves["gets"]), f"In total the shop gets # {thing}.")
            ways += ("s0 + got - sold",)
        b.derive(
            f"s{i}", ways, f"After day {day} the shop has # {thing}.", f"There are # {thing} after day {day}."
        )
    return b.ask(f"s{days}", f"How many {thing} does the shop have after day {DAYS[days - 1]}?")
