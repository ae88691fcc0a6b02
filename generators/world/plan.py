"""Plans: which derivations a solution takes, and in which order."""

import random

from generators.world.graph import DERIVED, Graph
from generators.world.numbers import Expr, has_floor, leaves, substitute

P_OTHER_DERIVATION = 0.25
P_OTHER_ORDER = 0.4
P_FOLD = 0.1
P_SWAP = 0.1
LARGEST_FOLD = 5

Plan = list[tuple[str, Expr]]


def make_plan(graph: Graph, rng: random.Random) -> Plan:
    """The (target, derivation) pairs of one solution in a valid order."""
    chosen: dict[str, Expr] = {}
    order: list[str] = []
    _choose(graph, graph.goal, rng, chosen, order)
    if len(order) > 2 and rng.random() < P_OTHER_ORDER:
        order = _shuffled(order, chosen, rng)
    _fold(graph, order, chosen, rng)
    return [(name, _swapped(chosen[name], rng)) for name in order]


def _choose(graph: Graph, name: str, rng: random.Random, chosen: dict[str, Expr], order: list[str]) -> None:
    quantity = graph.quantities[name]
    if name in chosen or quantity.role != DERIVED:
        return
    ways = quantity.derivations
    other = len(ways) > 1 and rng.random() < P_OTHER_DERIVATION * (len(ways) - 1)
    chosen[name] = way = ways[rng.randrange(1, len(ways))] if other else ways[0]
    for leaf in leaves(way):
        _choose(graph, leaf, rng, chosen, order)
    order.append(name)


def _shuffled(order: list[str], chosen: dict[str, Expr], rng: random.Random) -> list[str]:
    """A random topological order."""
    waiting = {name: {leaf for leaf in leaves(chosen[name]) if leaf in chosen} for name in order}
    result: list[str] = []
    while waiting:
        ready = [name for name, inputs in waiting.items() if not inputs]
        result.append(ready[int(rng.random() * len(ready))])
        del waiting[result[-1]]
        for inputs in waiting.values():
            inputs.discard(result[-1])
    return result


def _fold(graph: Graph, order: list[str], chosen: dict[str, Expr], rng: random.Random) -> None:
    """Sometimes put one derivation inside the only step that uses it, in place."""
    for name in order[:-1]:
        if rng.random() >= P_FOLD or has_floor(chosen[name]):
            continue
        users = [user for user in order if name in leaves(chosen[user])]
        if len(users) != 1 or leaves(chosen[users[0]]).count(name) != 1:
            continue
        folded = substitute(chosen[users[0]], {name: chosen[name]})
        if len(leaves(folded)) <= LARGEST_FOLD and not has_floor(folded):
            chosen[users[0]] = folded
            order.remove(name)


def _swapped(expr: Expr, rng: random.Random) -> Expr:
    """Sometimes `b + a` for `a + b`."""
    if (
        expr[0] in "+*"
        and type(expr[1]) is not tuple
        and type(expr[2]) is not tuple
        and rng.random() < P_SWAP
    ):
        return (expr[0], expr[2], expr[1])
    return expr
