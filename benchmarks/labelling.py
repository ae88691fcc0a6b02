"""Which labelling method is right most often for a teacher's token? Tables, a plot and JSON.

    python benchmarks/labelling.py                   # recorded bank `figures` and the simulated teacher
    python benchmarks/labelling.py --bank settings   # the set on which settings were fixed
    python benchmarks/labelling.py --quick           # a fifth of the simulated problems
    python benchmarks/labelling.py --verifier        # instead: a verifier on each method's labels (long; see
                                                     # labelling_verifier.py)

A bank is made by `benchmarks/labelling_banks.py`. Every method replays the same rollouts. An
undetermined chain is left out of accuracy and counted as coverage; `right of all` counts it as wrong.

No recorded rollout is given twice as new evidence: a K for which a bank holds too few (Math-Shepherd draws
anew for each chain through a prefix) is left out, and `adaptive` gives a prefix up after as many as the
bank has; the report says so. Truth is the exact judge's, for a bank of other chains what people said.
The simulated parts run beside the bank `figures` only, since they are the same for every bank.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import labelling_banks
import labelling_claims
import labelling_replay
import labelling_teacher
import labelling_verifier
from labelling_claims import OURS, RIVALS, standard
from labelling_promises import promises
from labelling_replay import Replayed
from labelling_verifier import ChainSet
from record import RESULTS, record

from distill.config import LabellingSettings

SETS = 10
"""Sets of chains that verifiers may be compared on."""
MOST = LabellingSettings().adaptive.most
PUBLISHED = {"method": "math_shepherd", "count_outcome": False, "step_checks": False}
FAMILIES: dict[str, list[dict[str, Any]]] = {
    "math_shepherd": [PUBLISHED | {"rollouts": k} for k in (1, 2, 4, 8, 16)],
    "math_shepherd +outcome": [{"method": "math_shepherd", "rollouts": k} for k in (1, 2, 4, 8, 16)],
    "omegaprm": [{"method": "omegaprm", "rollouts": k} for k in (1, 2, 4, 8, 16)],
    "adaptive": [
        {"adaptive": {"false_negative": fn, "smallest": smallest}}
        for fn, smallest in ((0.45, 1.0), (0.4, 0.9), (0.3, 0.7), (0.2, 0.5), (0.1, 0.4), (0.05, 0.3))
    ],
    labelling_claims.EVERY: [{"confidence": 0.5}],
}
IN_ORDER, UNCORRECTED = "steps in order, no binary search", "error bounds not corrected for nodes"
DEFAULT = {"math_shepherd": 3, "math_shepherd +outcome": 3, "omegaprm": 3, "adaptive": OURS}  # K=8; ours
ABLATION: dict[str, dict[str, Any]] = {
    "adaptive, all of it": {},
    "own outcome not counted": {"count_outcome": False},
    "siblings not counted": {"adaptive": {"siblings": False}},
    "no problem skipped (floor 0)": {"adaptive": {"floor": 0.0}},
    "refutations not used": {"step_checks": False},
    "K=8 at each node, no sequential test": {"adaptive": {"sequential": False}},
    IN_ORDER: {"adaptive": {"bisect": False}},
    UNCORRECTED: {"adaptive": {"corrected": False}},
    "any success counts (repair 0)": {"adaptive": {"repair": 0.0}},
    "not relative to progress": {"adaptive": {"relative": False}},
    "rollouts in batches of 4": {"adaptive": {"batch": 4}},
    "surprisal not weighed": {"surprisal": False},
}
WORLDS = {
    "no repair": (labelling_teacher.World(), {}),
    "repairs 10%": (labelling_teacher.World(repair=0.1), {"repair": 0.1}),
    "repairs 30%": (labelling_teacher.World(repair=0.3), {"repair": 0.3}),
    "breaks 10% of right prefixes": (labelling_teacher.World(breaks=0.1), {}),
    "100 to 1,000 steps": (labelling_teacher.World(steps=(100, 1000), chains=2), {}),
}
REPAIRING = {"smallest": 0.7, "false_positive": 0.2}
FRACTIONS = ("accuracy", "accuracy_wrong", "accuracy_wrong_answer", "coverage", "of_all")
Figures = dict[str, Any]


def settings(given: Mapping[str, Any], checks: bool, most: int = MOST) -> LabellingSettings:
    """Settings with or without step checks; where `given` names them, that holds."""
    adaptive = {"most": most} | given.get("adaptive", {})
    return LabellingSettings.model_validate({"step_checks": checks, **given, "adaptive": adaptive})


class Bank:
    """A bank and what it cannot serve: `left_out` fills as methods ask for more than was recorded."""

    def __init__(self, name: str, items: Sequence[labelling_banks.Item]) -> None:
        """`name` tells whose the truth is: the two shipped banks are of an exact world."""
        self.name, self.items = name, items
        self.least = labelling_banks.least(items)
        self.most = min(MOST, self.least)
        self.left_out: list[str] = []

    def replay(self, name: str, given: Mapping[str, Any], checks: bool) -> Replayed | None:
        """One method replayed; None when the bank has too few rollouts for its K. (`adaptive` is held to what
        the bank has, so there it would be a fault.)"""
        asked = settings(given, checks, self.most)
        try:
            return labelling_replay.run(asked, self.items)
        except labelling_banks.BankSpentError:
            if asked.method == "adaptive" and asked.adaptive.sequential:
                raise
            if name not in self.left_out:
                self.left_out.append(name)
            return None

    def family(self, name: str, checks: bool) -> list[Replayed]:
        """A method at every budget that the bank can serve."""
        budgets = [(f"{name} K={g['rollouts']}" if "rollouts" in g else name, g) for g in FAMILIES[name]]
        found = [self.replay(said, given, checks) for said, given in budgets]
        return [tried for tried in found if tried is not None]

    def about(self) -> Figures:
        """Size, whose the truth is, and where the replay was limited."""
        truths = [truth for item in self.items for truth in item.truth]
        return {
            "bank": self.name,
            "problems": len(self.items),
            "chains": len(truths),
            "chains_with_truth": sum(truth is not None for truth in truths),
            "truth": "exact" if self.name in labelling_banks.SETS else "people",
            "least_rollouts": self.least,
            "adaptive_most": self.most,
            "left_out": self.left_out,
        }


def on_bank(bank: Bank, checks: bool) -> dict[str, list[Replayed]]:
    """Every method at every budget; every chain labelled only where the teacher's surprisal is known."""
    told = any(chain.step_logprobs for item in bank.items for chain in item.chains)
    names = [name for name in FAMILIES if told or name != labelling_claims.EVERY]
    return {name: bank.family(name, checks) for name in names}


def on_worlds(count: int) -> dict[str, dict[str, Replayed]]:
    """Simulated teachers: fixed K at each K and threshold, OmegaPRM and ours, without step checks."""
    found: dict[str, dict[str, Replayed]] = {}
    for world_name, (world, ours) in WORLDS.items():
        wanted = count // 25 if world.steps[1] >= 1000 else count
        rivals: dict[str, dict[str, Any]] = {"omegaprm K=8": {"method": "omegaprm"}}
        ks = (1, 2, 4, 8) if wanted == count else (1,)
        for k in ks:
            rivals[f"math_shepherd +outcome K={k}"] = {"method": "math_shepherd", "rollouts": k}
        if ours:
            for at in (0.25, 0.5):
                given = {"method": "math_shepherd", "rollouts": 8, "good_at": at}
                rivals[f"math_shepherd +outcome K=8, good above {at}"] = given
        rivals["adaptive"] = {"adaptive": {**ours, **(REPAIRING if ours else {})}}
        found[world_name] = {
            name: labelling_replay.run(settings(given, False), labelling_teacher.problems(world, wanted))
            for name, given in rivals.items()
        }
    return found


def ablation(bank: Bank) -> dict[str, Figures]:
    """The default with one ingredient taken away at a time, step checks on."""
    found = {name: bank.replay(name, given, True) for name, given in ABLATION.items()}
    found["shared prefixes rolled out for each chain"] = labelling_replay.run_unshared(
        settings({}, True, bank.most), bank.items
    )
    return {name: tried.figures for name, tried in found.items() if tried is not None}


def ablated_worlds(count: int) -> dict[str, dict[str, Replayed]]:
    """What the bank's short chains cannot show: binary search and corrected bounds, by length of chain."""
    kept = ("adaptive, all of it", IN_ORDER, UNCORRECTED)
    return {
        f"{name}, one ingredient taken away": {
            kind: labelling_replay.run(
                settings(ABLATION[kind], False), labelling_teacher.problems(WORLDS[name][0], problems)
            )
            for kind in kept
        }
        for name, problems in (("no repair", count), ("100 to 1,000 steps", count // 25))
    }


def simulator_speed(count: int) -> list[Figures]:
    """Problems a second of one core (processor time, so that other work counts little) that are simulated,
    labelled by `adaptive` and held against the truth."""
    rows = []
    for name, (world, ours) in WORLDS.items():
        wanted = count // 25 if world.steps[1] >= 1000 else count
        started = time.process_time()
        labelling_replay.run(settings({"adaptive": ours}, False), labelling_teacher.problems(world, wanted))
        rows.append({"world": name, "problems a second": wanted / (time.process_time() - started)})
    return rows


def probes(lengths: Sequence[int] = (10, 50, 100, 500, 1000)) -> list[Figures]:
    """Different prefixes that `adaptive` asks for in one wrong chain, by its length."""
    rows = []
    for n in lengths:
        world = labelling_teacher.World(steps=(n, n), pass_rate=(0.4, 0.9), chains=1, refutable=0.0)
        sources = [s for s in labelling_teacher.problems(world, 60) if s.truth[0] >= 0]
        counts = [
            len({r.step for r in labelling_replay.search(settings({}, False), s).asked} - {-1})
            for s in sources
        ]
        searched = [count for count in counts if count]
        rows.append({"steps": n, "probes": sum(searched) / len(searched), "log2": math.log2(n)})
    return rows


def table(rows: Sequence[tuple[str, Figures]], base: float) -> str:
    """Markdown: one method a line; `base` is the tokens a chain to which costs are related."""
    head = (
        "method | first error right | on wrong chains | of these, wrong answers | coverage | right of all "
        "| bad steps: precision | recall | rollout tokens a chain | a right label | cost"
    )
    lines = [f"| {head} |", "|" + "---|" * 11]
    for name, f in rows:
        fractions = [_points(f[k]) for k in FRACTIONS]
        steps = [_points(f[k], False) for k in ("step_precision", "step_recall")]
        costs = [f"{f['tokens_per_chain']:.1f}", f"{f['tokens_per_right_label']:.1f}"]
        ratio = base / f["tokens_per_chain"] if f["tokens_per_chain"] else math.inf
        lines.append("| " + " | ".join([name, *fractions, *steps, *costs, f"1/{ratio:.1f}"]) + " |")
    return "\n".join(lines)


def _points(found: Figures, interval: bool = True) -> str:
    if found["value"] is None:
        return "–"
    text = f"{100 * found['value']:.1f}"
    return f"{text} [{100 * found['low']:.0f}, {100 * found['high']:.0f}]" if interval else text


def _plain_table(rows: Sequence[Figures]) -> str:
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    shown: Callable[[Any], str] = lambda v: (  # noqa: E731
        _points(v) if isinstance(v, dict) else f"{v:.4g}" if isinstance(v, float) else str(v)
    )
    return "\n".join([*lines, *("| " + " | ".join(shown(v) for v in row.values()) + " |" for row in rows)])


def plot(found: Mapping[str, list[Figures]], target: Path) -> None:
    """Accuracy against tokens, one curve a method."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "labelling"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    parts = (("accuracy", "first error right, labelled chains"), ("of_all", "first error right, all chains"))
    for axis, (field, title) in zip(axes, parts, strict=True):
        for name, family in found.items():
            x = [f["tokens_per_chain"] for f in family]
            axis.plot(
                x, [100 * (f[field]["value"] or 0) for f in family], marker="o", markersize=3, label=name
            )
        axis.set(xscale="log", xlabel="rollout tokens a chain", title=title)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("%")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def compare_verifiers(names: Sequence[str], seeds: int, chains: ChainSet) -> None:
    """Print the table of verifiers by whose labels they were trained on, add them to the set's JSON, and
    print the gaps of all sets of that size measured so far."""
    given = {name: FAMILIES[name][DEFAULT[name]] for name in labelling_claims.RIVALS}
    methods: dict[str, Mapping[str, Any]] = {labelling_verifier.TRUTH: {}, "adaptive": {}} | given
    found = labelling_verifier.compare({name: methods[name] for name in names or methods}, seeds, chains)
    print(labelling_verifier.table(found))
    known = _measured(chains)
    command = "python benchmarks/labelling.py --verifier" + (f" --set {chains.seed}" if chains.seed else "")
    command += f" --problems {chains.problems}" if chains.problems else ""
    record(chains.result, command, known | found)
    alike = [chains._replace(seed=seed) for seed in range(SETS)]
    sets = {one.seed: figures for one in alike if (figures := _measured(one))}
    print("\n".join(labelling_verifier.gap_lines(sets, "adaptive")))


def _measured(chains: ChainSet) -> Figures:
    path = RESULTS / f"{chains.result}.json"
    return json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}


def main() -> None:
    """Print all tables, write the plot and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bank", default="figures")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--verifier", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="trainings on each method's labels")
    parser.add_argument("--set", type=int, default=0, choices=range(SETS), help="chains of another seed")
    parser.add_argument("--problems", type=int, help="problems to label and train on, instead of 1,100")
    parser.add_argument("--only", default="", help="methods whose labels to train on, with commas between")
    asked = parser.parse_args()
    if asked.verifier:
        names = [name for name in asked.only.split(",") if name]
        compare_verifiers(names, asked.seeds, ChainSet(asked.set, asked.problems))
        return
    bank = Bank(asked.bank, labelling_banks.read(labelling_banks.DATA / f"bank-{asked.bank}.jsonl.gz"))
    found = measure(bank, asked.quick)
    text = report(found)
    print(text)
    name = "labelling" if asked.bank == "figures" else f"labelling-{asked.bank}"
    record(name, f"python benchmarks/labelling.py --bank {asked.bank}" + " --quick" * asked.quick, found)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    plot(found["without_checks"], RESULTS / f"{name}.svg")


def measure(bank: Bank, quick: bool) -> Figures:
    """All figures of a bank; beside the bank `figures` those of the simulated teacher too."""
    without, with_checks = on_bank(bank, False), on_bank(bank, True)
    found: Figures = {
        "base_tokens": standard(without["math_shepherd"], "math_shepherd").tokens,
        "without_checks": {name: [f.figures for f in family] for name, family in without.items()},
        "with_checks": {name: [f.figures for f in family] for name, family in with_checks.items()},
        "fixed_and_default": {
            key: _compared(family)
            for key, family in (("without_checks", without), ("with_checks", with_checks))
        },
        "ablation": ablation(bank),
        "claims": labelling_claims.claims(without, with_checks),
    }
    if bank.name == "figures":
        worlds = on_worlds(200 if quick else 1000) | ablated_worlds(200 if quick else 1000)
        found["worlds"] = {w: {n: f.figures for n, f in tried.items()} for w, tried in worlds.items()}
        found |= {"promises": promises(1000 if quick else 10_000), "probes": probes()}
        found["simulator"] = simulator_speed(200 if quick else 1000)
        found["claims"] += labelling_claims.repair_claims(worlds)
    return bank.about() | found


def _compared(families: Mapping[str, Sequence[Replayed]]) -> Figures:
    """Math-Shepherd with K=1, and each method as it is compared."""
    chosen = [("math_shepherd", families["math_shepherd"][0])]
    chosen += [(name, standard(family, name)) for name, family in families.items()]
    return {f"{n} K={f.figures['rollouts']}" if n in RIVALS else n: f.figures for n, f in chosen}


def report(found: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    base = found["base_tokens"]
    parts = [_head(found)]
    for key, title in (("without_checks", "without step checks"), ("with_checks", "with step checks")):
        rows = [*found["fixed_and_default"][key].items()]
        parts += [f"\n**Fixed K and the default, {title}**\n", table(rows, base)]
    parts += [
        "\n**One ingredient taken away, with step checks**\n",
        table([*found["ablation"].items()], base),
    ]
    for name, methods in found.get("worlds", {}).items():
        against = max(f["tokens_per_chain"] for f in methods.values())
        parts += [f"\n**Simulated: {name}**\n", table([*methods.items()], against)]
    for key in ("promises", "probes", "simulator"):
        if key in found:
            parts += [f"\n**{key}**\n", _plain_table(found[key])]
    parts += ["\n**claims**\n", labelling_claims.table(found["claims"])]
    return "\n".join(parts) + "\n"


def _head(found: Mapping[str, Any]) -> str:
    text = (
        f"Bank `{found['bank']}`: {found['problems']} problems, {found['chains']} chains, "
        f"{found['chains_with_truth']} with a first error known ({found['truth']}); at least "
        f"{found['least_rollouts']} rollouts a prefix."
    )
    if found["adaptive_most"] < MOST:
        text += f" `adaptive` gives a prefix up after {found['adaptive_most']} rollouts, not {MOST}."
    if found["left_out"]:
        text += f" Left out, more than was recorded: {', '.join(found['left_out'])}."
    return text


if __name__ == "__main__":
    main()
