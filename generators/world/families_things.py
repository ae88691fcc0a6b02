"""Families about things and measures: conversion, distance, travel, work, parts, shapes, boxes."""

from generators.world.build import Builder, Rejected

WEEKDAYS = ("Monday", "Tuesday", "Friday", "Sunday")
PLACES = ("home", "the park", "the lake", "the farm", "the school", "the store")
NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}
FRACTIONS = ("1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "2/5", "3/5", "4/5", "1/6", "5/6", "3/8", "5/8")


def conversion(b: Builder) -> None:
    """Hours and minutes, feet and inches, dozens."""
    who, other, third = b.people(3)
    big, small, size, verb = b.pick((
        ("hours", "minutes", 60, "reads for"), ("minutes", "seconds", 60, "sings for"),
        ("weeks", "days", 7, "travels for"), ("days", "hours", 24, "sails for"),
        ("feet", "inches", 12, "paints"), ("dozen", "eggs", 12, "boils"),
        ("meters", "centimeters", 100, "digs"),
    ))  # fmt: skip
    b.fact("big", b.between(2, 5 if size > 50 else 9), f"First {who} {verb} # {big}.")
    b.fact("small", b.between(2, 90), f"Then {who} {verb} # {small}.")
    b.derive("first", f"big * {size}", f"First {who} {verb} # {small}.")
    b.derive("all", "first + small", f"In total {who} {verb} # {small}.")
    b.distract(b.between(2, 9), f"First {third} {verb} # {big}.")
    ending = b.pick(("all", "rest", "less", "share"))
    if ending == "all":
        return b.ask(
            "all",
            f"How many {small} is that in total?"
            if b.chance(0.3)
            else f"{who} {verb} how many {small} in total?",
        )
    if ending == "share":
        b.fact("days", b.between(2, 10), "It is done in # equal parts.")
        b.derive("part", "all / days", f"Each part is # {small}.")
        return b.ask("part", f"How many {small} is each part?")
    total = b.values["all"]
    if ending == "less":
        b.fact("other", b.between(5, int(total) - 2), f"{other} {verb} # {small}.")
        b.derive("gap", "all - other", f"{who} is ahead by # {small}.")
        return b.ask("gap", f"By how many {small} is {who} ahead of {other}?")
    b.fact("goal", total + b.between(3, 90), f"The plan is # {small}.")
    b.derive("rest", "goal - all", f"It still takes # {small}.")
    return b.ask("rest", f"How many {small} does it still take to fill the plan?")


def distance(b: Builder) -> None:
    """Legs of a road, there and back, days, miles per gallon."""
    legs = b.pick((2, 3, 4, 4)) if not b.steps else min(max(b.steps - 2, 2), 5)
    who, other = b.people(2)
    places = b.rng.sample(PLACES, legs + 1)
    b.fact("l1", b.between(2, 40), f"From {places[0]} to {places[1]} is # miles.")
    reach = "l1"
    for i in range(2, legs + 1):
        b.fact(f"l{i}", b.between(2, 40), f"From {places[i - 1]} to {places[i]} is # miles.")
        ways: tuple[str, ...] = (f"{reach} + l{i}",)
        if i == 3:
            ways = ("l1 + l2 + l3", *ways)
        b.derive(
            f"s{i}",
            ways,
            f"From {places[0]} to {places[i]} is # miles.",
            f"To {places[i]} it is # miles in all.",
        )
        reach = f"s{i}"
    b.distract(b.between(2, 60), f"{other} rides # miles.")
    ending = b.pick(("one", "round", "days", "days", "fuel"))
    way = f"{who} goes from {places[0]} to {places[legs]} by all these roads"
    if ending == "one":
        return b.ask(reach, f"{way}. How many miles is that?")
    b.derive("round", f"2 * {reach}", "There and back is # miles.", "The round trip is # miles.")
    if ending == "round":
        return b.ask("round", f"{way} and back. How many miles is that?")
    if ending == "days":
        b.fact("days", b.between(3, 7), f"{who} does the round trip on # days.")
        b.derive("all", "round * days", f"In total {who} goes # miles.")
        return b.ask("all", f"{way} and back. How many miles is that in total?")
    b.fact("rate", b.between(3, 12), "A gallon lasts # miles.")
    b.derive("fuel", "round / rate", "The trip takes # gallons.")
    return b.ask("fuel", f"{way} and back. How many gallons does it take?")


def travel(b: Builder) -> None:
    """Speed and time in two parts of a day."""
    who, other = b.people(2)
    for i, part in enumerate(("morning", "evening"), 1):
        b.fact(f"v{i}", b.between(3, 60), f"The {part} speed is # miles per hour.")
        b.fact(f"t{i}", b.between(2, 8), f"{who} drives # hours in the {part}.")
        b.derive(
            f"d{i}", f"v{i} * t{i}", f"{who} drives # miles in the {part}.", f"The {part} part is # miles."
        )
    b.derive("way", "d1 + d2", f"In total {who} drives # miles.")
    b.derive("time", "t1 + t2", f"In total {who} drives # hours.")
    b.distract(b.between(3, 60), f"The speed of {other} is # miles per hour.")
    ending = b.pick(("way", "left", "left", "mean", "mean", "gap"))
    if ending == "way":
        return b.ask("way", f"How many miles does {who} drive in total?")
    if ending == "gap" and b.values["d1"] > b.values["d2"]:
        b.derive("gap", "d1 - d2", "The gap is # miles.")
        return b.ask("gap", f"How many more miles does {who} drive in the morning than in the evening?")
    if ending == "mean":
        if 10 * b.values["way"] % b.values["time"]:
            raise Rejected
        b.derive("mean", "way / time", "The average speed is # miles per hour.")
        return b.ask("mean", "What is the average speed of the day?")
    b.fact("trip", b.values["way"] + b.between(5, 120), "The whole trip is # miles.")
    b.derive("after", "trip - d1", "After the morning # miles are left.")
    b.derive("left", ("trip - way", "after - d2"), "At the end # miles are left.")
    return b.ask("left", "How many miles are left at the end?")


def work(b: Builder) -> None:
    """Two workers: joint rate and time, or one after the other."""
    (one, two), thing = b.people(2), b.items(1)[0]
    b.fact("r1", b.between(2, 15), f"{one} makes # {thing} per hour.")
    b.fact("r2", b.between(2, 15), f"{two} makes # {thing} per hour.")
    if b.chance(0.4):
        b.fact("hours", b.between(2, 9), "They work # hours together.")
        b.derive("rate", "r1 + r2", f"Together they make # {thing} per hour.")
        b.derive("m1", "r1 * hours", f"{one} makes # {thing}.")
        b.derive("m2", "r2 * hours", f"{two} makes # {thing}.")
        b.derive("made", ("rate * hours", "m1 + m2"), f"In total they make # {thing}.")
        b.distract(b.between(2, 30), f"{one} sleeps # hours.")
        if b.chance(0.25):
            return b.ask("made", f"How many {thing} do they make in total?")
        b.fact("job", b.values["made"] + b.between(3, 60), f"The job is # {thing}.")
        b.derive("left", "job - made", f"# {thing} are not made yet.", f"They still have # {thing} to make.")
        return b.ask("left", f"How many {thing} do they still have to make?")
    b.fact("h1", b.between(2, 9), f"First {one} works # hours alone.")
    b.derive("m1", "r1 * h1", f"{one} makes # {thing}.")
    b.fact("job", b.values["m1"] + b.values["r2"] * b.between(2, 9), f"The job is # {thing}.")
    b.derive("rest", "job - m1", f"The rest is # {thing}.", f"{two} makes # {thing}.")
    b.derive("h2", "rest / r2", f"{two} works # hours.")
    b.distract(b.between(2, 30), f"{two} sleeps # hours.")
    if b.chance(0.25):
        return b.ask("h2", f"Then {two} makes the rest. How many hours does {two} work?")
    b.derive("time", "h1 + h2", "The job takes # hours.")
    return b.ask("time", f"Then {two} makes the rest. How many hours does the job take?")


def recipe(b: Builder) -> None:
    """Batches of cakes: scaling up, what is missing, what it costs."""
    who, _ = b.people(2)
    batches = b.between(2, 12)
    b.fact("size", b.between(2, 12), "A batch makes # cakes.")
    b.fact("cups", b.between(2, 9), "A batch needs # cups of flour.")
    b.fact("need", b.values["size"] * batches, f"{who} needs # cakes.")
    b.derive("batches", "need / size", f"{who} makes # batches.", "That is # batches.")
    b.derive("flour", "batches * cups", f"{who} needs # cups of flour.")
    b.distract(b.between(2, 12), "A batch needs # eggs.")
    ending = b.pick(("flour", "buy", "cost", "cost"))
    if ending == "flour":
        return b.ask("flour", f"How many cups of flour does {who} need?")
    name = "flour"
    if ending == "buy" or b.chance(0.7):
        b.fact("has", b.between(2, max(3, int(b.values["flour"]) - 2)), f"{who} has # cups of flour.")
        b.derive("buy", "flour - has", f"{who} buys # cups of flour.")
        name = "buy"
    if ending == "buy" and b.chance(0.6):
        return b.ask("buy", f"How many cups of flour must {who} buy?")
    b.fact("price", b.between(2, 6), "A cup of flour costs # dollars.")
    b.derive("cost", f"{name} * price", "The flour costs # dollars.")
    return b.ask("cost", f"How much does the flour cost that {who} needs{' to buy' * (name == 'buy')}?")


def fractions(b: Builder) -> None:
    """A fraction of a whole, then a fraction of the rest."""
    (one, two), (thing, other) = b.people(2), b.items(2)
    first, second = b.pick(FRACTIONS), b.pick(FRACTIONS)
    (n1, d1), (_, d2) = first.split("/"), second.split("/")
    b.fact("all", int(d1) * b.between(3, 30), f"{one} has # {thing}.")
    b.fact("f1", first, f"{one} sells # of the {thing}.")
    ways: tuple[str, ...] = ("f1 * all",)
    if n1 != "1":
        b.derive("unit", f"all / {d1}", f"One part is # {thing}.")
        ways += (f"unit * {n1}",)
    b.derive("sold", ways, f"{one} sells # {thing}.")
    b.derive("rest", ("all - sold", "(1 - f1) * all"), f"The rest is # {thing}.", f"{one} keeps # {thing}.")
    b.distract(b.between(5, 90), f"{one} has # {other}.")
    if b.chance(0.15):
        return b.ask("rest", f"How many {thing} does {one} keep?")
    if b.values["rest"] % int(d2):
        raise Rejected
    b.fact("f2", second, f"{two} gets # of the rest.")
    b.derive("given", "f2 * rest", f"{two} gets # {thing}.")
    if b.chance(0.2):
        return b.ask("given", f"How many {thing} does {two} get?")
    b.derive("left", "rest - given", f"At the end {one} has # {thing}.", f"# {thing} are left.")
    return b.ask("left", f"How many {thing} does {one} have at the end?")


def percent(b: Builder) -> None:
    """Percentages of a group and of its rest."""
    one, two, three = b.pick((("girls", "boys", "tall"), ("adults", "kids", "ill"), ("cats", "dogs", "old")))
    b.fact("all", 20 * b.between(1, 15), "The group has # members.")
    b.fact("p1", b.pick((10, 20, 25, 30, 40, 60, 75)), f"# percent of the group are {one}.")
    b.derive("n1", "p1 / 100 * all", f"There are # {one}.")
    b.derive("p2", "100 - p1", f"# percent of the group are {two}.")
    b.derive("n2", ("all - n1", "p2 / 100 * all"), f"There are # {two}.")
    b.distract(b.between(2, 90), "The group has # cars.")
    ending = b.pick(("n2", "gap", "part", "both", "both"))
    if ending == "n2":
        return b.ask("n2", f"The others are {two}. How many {two} are there?")
    if ending == "gap":
        low, high = sorted(("n1", "n2"), key=lambda name: b.values[name])
        b.derive("gap", f"{high} - {low}", "The gap is # members.")
        more, less = (one, two) if high == "n1" else (two, one)
        return b.ask("gap", f"The others are {two}. How many more {more} than {less} are there?")
    b.fact("p3", b.pick((10, 20, 25, 30, 40, 50, 60, 75)), f"# percent of the {two} are {three}.")
    if b.derive("n3", "p3 / 100 * n2", f"There are # {three} {two}.").denominator > 1:
        raise Rejected
    if ending == "part":
        return b.ask("n3", f"The others are {two}. How many {three} {two} are there?")
    b.derive("n4", "n2 - n3", f"# {two} are not {three}.")
    return b.ask("n4", f"The others are {two}. How many {two} are not {three}?")


def average(b: Builder) -> None:
    """The average of a few days, or the day that is missing from it."""
    who, other = b.people(2)
    count = b.pick((2, 3, 3, 4))
    days, word = WEEKDAYS[:count], NUMBER_WORDS[count]
    missing = b.chance(0.4)
    known = days[: count - missing] if count > 2 or not missing else days[:1]
    for i, day in enumerate(known, 1):
        b.fact(f"a{i}", b.between(3, 60), f"On {day} {who} gets # points.")
    names = [f"a{i}" for i in range(1, len(known) + 1)]
    b.distract(b.between(3, 60), f"On Monday {other} gets # points.")
    if len(names) > 1:
        ways: tuple[str, ...] = (" + ".join(names),)
        if len(names) > 2:
            b.derive("two", "a1 + a2", f"On {days[0]} and {days[1]} {who} gets # points.")
            ways += (" + ".join(("two", *names[2:])),)
        b.derive("sum", ways, "The points so far are #." if missing else "The sum is # points.")
    if not missing:
        b.derive("mean", f"sum / {count}", "The average is # points.")
        if b.chance(0.6):
            return b.ask("mean", f"What is the average of the {word} days?")
        b.fact("best", int(b.values["mean"]) + b.between(2, 30), f"The average of {other} is # points.")
        b.derive("gap", "best - mean", f"{who} is behind by # points.")
        return b.ask(
            "gap", f"By how many points is the average of {who} over the {word} days behind {other}?"
        )
    b.fact("mean", b.between(8, 60), f"The average of the {word} days is # points.")
    b.derive("all", f"mean * {count}", f"In all {word} days {who} gets # points.")
    b.derive(
        "last", f"all - {'sum' if len(names) > 1 else 'a1'}", f"On {days[count - 1]} {who} gets # points."
    )
    return b.ask("last", f"How many points does {who} get on {days[count - 1]}?")


def area(b: Builder) -> None:
    """A garden: fence around it or grass on it, with a pond, at a price."""
    who, other = b.people(2)
    b.fact("long", b.between(4, 25), "The garden is # meters long.")
    b.fact("wide", b.between(3, 12), "The garden is # meters wide.")
    b.distract(b.between(3, 25), f"The garden of {other} is # meters long.")
    if b.chance(0.5):
        b.derive("half", "long + wide", "A long and a short side make # meters.")
        b.derive(
            "around",
            ("2 * (long + wide)", "half * 2"),
            "The perimeter is # meters.",
            "The fence is # meters long.",
        )
        name, what = "around", "fence"
        if b.chance(0.4):
            b.fact("gate", b.between(2, 8), "The gate takes # meters of the fence.")
            b.derive("net", "around - gate", f"{who} needs # meters of fence.")
            name = "net"
        query = f"{who} puts a fence around the garden. How many meters of fence are needed?"
    else:
        b.derive("field", "long * wide", "The area is # square meters.")
        name, what = "field", "grass"
        if b.chance(0.75):
            b.fact("side", b.between(2, 8), "The pond is # meters long.")
            b.fact("edge", b.between(2, 8), "The pond is # meters wide.")
            b.derive("pond", "side * edge", "The pond takes # square meters.")
            b.derive("net", "field - pond", f"{who} needs # square meters of grass.")
            name = "net"
        query = f"{who} puts grass on the rest of the garden. How many square meters of grass are needed?"
        if name == "field":
            query = "How many square meters is the garden?"
    if name == "field" or b.chance(0.5):
        b.fact(
            "price",
            b.between(2, 9),
            f"A meter of {what} costs # dollars."
            if what == "fence"
            else "A square meter of grass costs # dollars.",
        )
        b.derive("cost", f"{name} * price", f"The {what} costs # dollars.")
        rest = "on the rest of" if name == "net" else "on"
        where = "around" if what == "fence" else rest
        return b.ask("cost", f"{who} puts {what} {where} the garden. How many dollars does it cost?")
    return b.ask(name, query)


def crates(b: Builder, who: str, thing: str) -> None:
    """Some bags and loose things: `all`."""
    b.fact("bags", b.between(2, 12), f"{who} has # bags of {thing}.")
    b.fact("size", b.between(3, 12), f"Each bag holds # {thing}.")
    b.derive("inside", "bags * size", f"The bags hold # {thing}.")


def sharing(b: Builder) -> None:
    """Things shared evenly among kids, with a remainder."""
    who, (thing, other) = b.people(1)[0], b.items(2)
    crates(b, who, thing)
    name = "inside"
    if b.chance(0.5):
        b.fact(
            "loss",
            b.between(2, max(3, int(b.values["inside"]) // 2)),
            f"{who} eats # {thing}."
            if thing in ("apples", "eggs", "cakes", "plums")
            else f"{who} loses # {thing}.",
        )
        b.derive("all", "inside - loss", f"{who} has # {thing} to share.")
        name = "all"
    b.fact("kids", b.between(3, 9), "There are # kids.")
    if b.values[name] % b.values["kids"] == 0:
        raise Rejected
    b.derive("each", f"{name} // kids", f"Each kid gets # {thing}.")
    b.derive("given", "each * kids", f"The kids get # {thing}.", f"In total # {thing} are given away.")
    b.derive("left", f"{name} - given", f"# {thing} are left over.", f"{who} keeps # {thing}.")
    b.distract(b.between(3, 40), f"{who} has # {other}.")
    return b.ask("left", f"The kids share the {thing} evenly. How many {thing} are left over?")


def packing(b: Builder) -> None:
    """Rows of things packed in boxes: how many boxes, how full the last one."""
    who, (thing, other) = b.people(1)[0], b.items(2)
    b.fact("rows", b.between(3, 12), f"There are # rows of {thing}.")
    b.fact("row", b.between(3, 12), f"Each row has # {thing}.")
    b.derive("start", "rows * row", f"The rows have # {thing}.")
    name = "start"
    if b.chance(0.6):
        b.fact("more", b.between(2, 40), f"{who} brings # more {thing}.")
        b.derive("all", "start + more", f"In total there are # {thing}.")
        name = "all"
    b.fact("box", b.between(4, 12), f"A box holds # {thing}.")
    b.distract(b.between(3, 12), f"A box holds # {other}.")
    if b.values[name] % b.values["box"] == 0:
        b.derive("boxes", f"{name} / box", f"{who} needs # boxes.")
        return b.ask("boxes", f"How many boxes does {who} need for the {thing}?")
    b.derive("full", f"{name} // box", f"{who} fills # boxes.")
    if b.chance(0.5):
        b.derive("boxes", "full + 1", f"{who} needs # boxes.")
        return b.ask("boxes", f"How many boxes does {who} need for all the {thing}?")
    b.derive("packed", "full * box", f"The full boxes hold # {thing}.")
    b.derive("left", f"{name} - packed", f"# {thing} do not fit.", f"The last box holds # {thing}.")
    return b.ask(
        "left", f"{who} fills as many boxes as possible. How many {thing} are left for the last box?"
    )
