"""Every notebook runs from top to bottom, as a newcomer would run it, and shows what it promises."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from generators.weights import builtin_names

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
pytestmark = pytest.mark.timeout(280)


def executed(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook with its outputs, run where it lies."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    notebook = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(FOLDER)}})
    return client.execute()


def outputs(notebook: Any, kind: str) -> list[Any]:
    """All outputs of a MIME type."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in found if kind in output.get("data", {})]


def printed(notebook: Any) -> str:
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in found if output["output_type"] == "stream")


@pytest.mark.skipif("arith-teacher" not in builtin_names(), reason="the shipped teacher's weights are absent")
def test_quickstart_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed("01_quickstart_tour.ipynb", monkeypatch)
    text = printed(notebook)
    assert "rollouts after step" in text, "the search asked for nothing: pick other problems"
    assert "first error found: step" in text
    tables = outputs(notebook, "text/html")
    assert "#cf222e" in tables[0], "expected a step in the colour of a bad one"
    assert len(outputs(notebook, "image/png")) == 1
    assert "skipped: no verifier" in text or len(tables) == 2


@pytest.mark.skipif("arith-teacher" not in builtin_names(), reason="the shipped teacher's weights are absent")
def test_bring_your_own_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed("03_bring_your_own_domain.ipynb", monkeypatch)
    found = re.search(r"(\d+) chains; within a tenth: (\d+) right; exactly: (\d+) right", printed(notebook))
    assert found
    chains, close, exact = map(int, found.groups())
    assert chains == 36
    assert 0 < exact <= close <= chains
    assert "step labels" in printed(notebook)
    assert len(outputs(notebook, "image/png")) == 1


@pytest.mark.slow
@pytest.mark.skipif("arith-teacher" not in builtin_names(), reason="the shipped teacher's weights are absent")
def test_label_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed("02_label_quality.ipynb", monkeypatch)
    text = printed(notebook)
    chains, wrong = map(int, re.findall(r"(\d+) chains, (\d+) of them with an error", text)[0])
    assert chains == 100
    assert 0 < wrong < chains
    harmless = re.findall(r"^  harmless((?: +\d+){4})$", text, re.MULTILINE)
    assert len(harmless) == 2, "expected harmless errors under both methods"
    assert all(int(row.split()[-1]) > 0 for row in harmless), "expected some of them to be called right"
    assert re.search(r"^[1-9]\d* of \d+ first errors refuted; right steps refuted: 0$", text, re.MULTILINE)
    (ratio,) = re.findall(r"math_shepherd asks for ([\d.]+) times the tokens", text)
    assert float(ratio) > 5
    assert len(outputs(notebook, "image/png")) == 2


@pytest.mark.slow
@pytest.mark.skipif("arith-base" not in builtin_names(), reason="the shipped base's weights are absent")
def test_ship_a_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed("04_ship_a_verifier.ipynb", monkeypatch)
    text = printed(notebook)
    assert "AutoModelForTokenClassification" in text
    steps, wrong = map(int, re.findall(r"(\d+) steps, (\d+) wrong", text)[0])
    precision, recall = map(float, re.findall(r"precision ([\d.]+), recall ([\d.]+)$", text, re.MULTILINE)[0])
    assert precision > 2 * wrong / steps, "expected far more than chance"
    assert recall > 0.4
    assert len(outputs(notebook, "image/png")) == 2
