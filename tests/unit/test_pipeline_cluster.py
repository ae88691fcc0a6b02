"""What the cluster does where Ray has no answer of its own. Ray is not started here."""

from typing import Any

import pytest
import ray

from distill import cluster
from distill.cluster import Cluster, Resources
from distill.config import ClusterSettings
from distill.errors import ClusterError

LATE = Exception("The current node timed out during startup.")


class Starts:
    """Stands in for `ray.init`: raises what it is given, in order, then starts."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.calls = [*errors], 0

    def __call__(self, **options: Any) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.mark.parametrize(
    ("errors", "address", "calls", "told"),
    [
        ((), "local", 1, ""),
        ((LATE,), "local", 2, ""),
        ((LATE, LATE), "local", 2, r"timed out during startup\. Wait until the machine is less busy"),
        ((ConnectionError("no cluster"),), "auto", 1, "no cluster.*cluster.address"),
    ],
)
def test_a_late_start_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, errors: tuple[Exception, ...], address: str, calls: int, told: str
) -> None:
    starts = Starts(*errors)
    monkeypatch.setattr(ray, "init", starts)
    if told:
        with pytest.raises(ClusterError, match=told):
            cluster._start({"address": address})
    else:
        cluster._start({"address": address})
    assert starts.calls == calls


def test_ctrl_c_is_no_late_start(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(KeyboardInterrupt())
    monkeypatch.setattr(ray, "init", starts)
    with pytest.raises(KeyboardInterrupt):
        cluster._start({"address": "local"})
    assert starts.calls == 1


@pytest.mark.parametrize(
    ("address", "replicas", "resources", "told"),
    [
        ("local", 1, Resources(gpus=1.0), "expected 1 GPUs for 1 worker"),
        ("local", 3, Resources(cpus=1.0), "expected 3 CPUs for 3 worker"),
        ("local", 2, Resources(cpus=1.0), ""),
        ("auto", 9, Resources(gpus=9.0), ""),
    ],
)
def test_a_machine_without_room_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str, replicas: int, resources: Resources, told: str
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    there = Cluster(ClusterSettings(address=address))
    if not told:
        return there._require_room(replicas, resources)
    with pytest.raises(ClusterError, match=told):
        there._require_room(replicas, resources)
    return None


def test_work_taken_up_by_another_process_is_a_retry() -> None:
    board = cluster._Board()
    for key, worker in (("a", "1"), ("a", "1"), ("b", "1"), ("b", "2"), ("c", "2"), ("b", "3")):
        board.put(key, worker, (0, 1, 0, ""))
    assert board.retries() == 2
    board.clear()
    assert board.retries() == 0
