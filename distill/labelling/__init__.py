"""From chains to step labels: policies ask for rollouts, evidence is stored, labels are derived late."""

from distill.labelling.labels import derive_labels
from distill.labelling.policies import METHODS, make_policy
from distill.labelling.protocol import Policy, RolloutRequest, RolloutResult
from distill.labelling.quality import label_accuracy

__all__ = [
    "METHODS",
    "Policy",
    "RolloutRequest",
    "RolloutResult",
    "derive_labels",
    "label_accuracy",
    "make_policy",
]
