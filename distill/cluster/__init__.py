"""Ray, and the only package that imports it: a laptop and a cluster are the same to everything else."""

from distill.cluster.board import Reporter, State
from distill.cluster.session import Cluster, Resources, probe
from distill.cluster.shards import OnProgress, Outcomes
from distill.cluster.tries import OUTAGES, Fault, FaultKind, Unit, set_aside_limit

__all__ = [
    "OUTAGES",
    "Cluster",
    "Fault",
    "FaultKind",
    "OnProgress",
    "Outcomes",
    "Reporter",
    "Resources",
    "State",
    "Unit",
    "probe",
    "set_aside_limit",
]
