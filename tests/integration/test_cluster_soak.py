"""At least twenty random faults in one labelling run, and at its end what an undisturbed run leaves."""

import json
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from cluster_nodes import Nodes, counts, kill, nodes, shard_files, workers
from pipeline_runs import COMMAND, LABELLED, environment

FAULTS = 22
SECONDS = 2400
SEED = 4
RECIPE = """\
name: soak
problems: {source: world, count: 60, heldout: 0, shard_size: 4}
teacher: {backend: scripted, model: "scripted:world?slip=0.15&delay=4", max_new_tokens: 2000, replicas: 2}
chains: {per_problem: 2, heldout_per_problem: 8}
labelling: {method: math_shepherd, rollouts: 3}
cluster: {retries: 8, stall_seconds: 15}
"""


class Driver:
    """The command that is killed and given again until it ends by itself."""

    def __init__(self, place: Path, address: str) -> None:
        self._place = place
        self._command = [*COMMAND, "pilot", "recipe.yaml", "--sample", "60", f"cluster.address={address}"]
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        with (self._place / "output.txt").open("ab") as file:
            self.process = subprocess.Popen(
                self._command, cwd=self._place, env=environment(), stdout=file, stderr=file
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.start()


def disturb(there: Nodes, driver: Driver, chance: random.Random) -> str:
    """One random fault; what it was, "" where nobody was there to suffer it."""
    fault = chance.choices(("worker", "hang", "node", "driver"), (4, 2, 2, 1))[0]
    at_work = workers()
    if not at_work:
        return ""
    if fault == "worker":
        kill(chance.choice(at_work))
    elif fault == "hang":
        kill(chance.choice(at_work), signal.SIGSTOP)
    elif fault == "node":
        there.replace(chance.choice(there.nodes))
    else:
        driver.kill()
    return fault


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_twenty_random_faults_change_nothing(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for place in (undisturbed, disturbed):
        place.mkdir()
        (place / "recipe.yaml").write_text(RECIPE)
    chance, done = random.Random(SEED), Counter[str]()
    with nodes(2) as there:
        assert Driver(undisturbed, there.address).process.wait() == 0
        driver, began = Driver(disturbed, there.address), time.monotonic()
        while driver.process.poll() is None:
            assert time.monotonic() - began < SECONDS, f"not ended after {done}"
            time.sleep(chance.uniform(1.0, 6.0))
            if (
                done.total() < FAULTS
                and driver.process.poll() is None
                and (fault := disturb(there, driver, chance))
            ):
                done[fault] += 1
                print(f"{time.monotonic() - began:6.0f} s  {fault}", flush=True)
    output = (disturbed / "output.txt").read_text()
    print(f"{done.total()} faults: {dict(done)}; {driver.starts} starts of the command")
    assert driver.process.returncode == 0, output
    assert done.total() >= 20, "the run ended before it was disturbed enough: raise the delay"
    compare(undisturbed / "runs" / "soak-pilot", disturbed / "runs" / "soak-pilot")


def compare(expected: Path, found: Path) -> None:
    """The same bytes in every shard, the same counts in every stage."""
    assert shard_files(found, *LABELLED) == shard_files(expected, *LABELLED)
    assert counts(found, *LABELLED) == counts(expected, *LABELLED)
    for stage in LABELLED:
        stats = json.loads((found / stage / "manifest.json").read_text())["stats"]
        faults = Counter(fault["kind"] for fault in stats.get("faults", []))
        print(stage, stats.get("retries"), dict(faults))
