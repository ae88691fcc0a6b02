"""Starting Ray on this machine, or joining a cluster, and what is said when that fails."""

import os
from contextlib import suppress
from typing import Any

import psutil
import ray

from distill.config import ClusterSettings
from distill.errors import ClusterError


def connect(settings: ClusterSettings) -> None:
    """`ray.init`, tried twice for a local Ray, whose processes may miss Ray's own deadline on a busy machine,
    and for Ray Client, whose server on the head node starts a process for each client that may not come up.

    Raises:
        ClusterError: Ray does not start, or there is no cluster at the address.
    """
    options = _init_options(settings)
    before = set(psutil.Process().children(recursive=True))
    for last in (False, True):
        try:
            ray.init(**options)
            return
        except BaseException as error:  # Ray raises a bare Exception on its deadline
            ray.shutdown()
            for half_started in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.Error):
                    half_started.kill()  # Ray leaves them, and they make the machine busier still
            if not isinstance(error, Exception):  # Ctrl-C
                raise
            if last or not (options["address"] == "local" or isinstance(error, ConnectionAbortedError)):
                raise ClusterError(_start_trouble(options["address"], error)) from error


def _start_trouble(address: str, error: Exception) -> str:
    advice = (
        "Wait until the machine is less busy, see that /tmp has room, and give the same command again; what "
        "is finished is kept. `distill doctor` tries Ray alone."
        if address == "local"
        else "See that the cluster runs (`ray status` on its head node) and that cluster.address is right."
    )
    told = str(error).rstrip(".")
    return f"expected Ray at '{address}', found: {type(error).__name__}: {told}. {advice}"


def _init_options(settings: ClusterSettings) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": "error", "ignore_reinit_error": True}
    if settings.address != "local":
        return {"address": settings.address, **quiet}
    return {
        "address": "local",
        "include_dashboard": False,
        "num_cpus": os.cpu_count(),
        "object_store_memory": int(settings.object_store_gib * 2**30),
        **quiet,
    }
