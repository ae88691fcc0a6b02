"""The first teacher is frozen: what was measured with it can be measured again."""

import hashlib

import pytest

from generators.weights import builtin_names, builtin_path


@pytest.mark.skipif("arith-teacher" not in builtin_names(), reason="the shipped teacher's weights are absent")
def test_the_first_teacher_is_frozen() -> None:
    """Another teacher needs another name."""
    weights = (builtin_path("arith-teacher") / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest()[:16] == "7c60f9c483d948c4"
