"""Losses over the logits at the ends of steps. Each is a *sum*; the trainer divides by the labelled steps
of the whole optimiser step, so that packing, accumulation and data parallelism do not change it.

Shapes: N = positions of a batch, S = labelled steps, P = pairs. Logit 1 is "correct", 0 "wrong"; a
margin is logit 1 - logit 0, so that P(correct) = sigmoid(margin).
"""

from torch import Tensor
from torch.nn import functional as F

from distill.verifier.data import IGNORED


def hard_cross_entropy(logits_N2: Tensor, labels_N: Tensor) -> Tensor:
    """-sum [y log p + (1 - y) log(1 - p)] over labels y in {0, 1}; -100 takes no part.

    "Let's Verify Step by Step" (arXiv 2305.20050, section 2.6: the likelihood of the label at each
    step's last token); Math-Shepherd (arXiv 2312.08935, equation 2) with its hard estimate (equation 3).
    On the last step alone it is the outcome-supervised model (ORM) of Cobbe et al. (arXiv 2110.14168)
    and Uesato et al. (arXiv 2211.14275), Math-Shepherd's equation 1; `outcome_labels` chooses those labels.
    """
    return F.cross_entropy(logits_N2.float(), labels_N, ignore_index=IGNORED, reduction="sum")


def soft_cross_entropy(logits_N2: Tensor, soft_N: Tensor, evidence_N: Tensor) -> Tensor:
    """-sum w [q log p + (1 - q) log(1 - p)] with q the estimated P(correct) and w >= 0 its evidence.

    Math-Shepherd's equation 2 with its soft estimate (arXiv 2312.08935, equation 4). There every label
    has the same K rollouts; here they differ, and w = 1 - the width of the 95% interval of the Beta
    posterior, so that a label of one rollout does not count like one of sixteen.
    """
    margins_N = logits_N2[:, 1].float() - logits_N2[:, 0].float()
    losses_N = F.binary_cross_entropy_with_logits(margins_N, soft_N, reduction="none")
    return (evidence_N * losses_N).sum()


def pairwise_ranking(logits_N2: Tensor, pairs_P2: Tensor) -> Tensor:
    """-sum log sigmoid(margin of the good step - margin of the bad step), over positions (good, bad).

    Bradley-Terry, as in InstructGPT's equation 1 (arXiv 2203.02155), on two steps that continue the
    same prefix, so that everything but the step itself cancels. PQM (arXiv 2410.11287) ranks the steps
    of one chain in the same spirit.
    """
    margins_N = logits_N2[:, 1].float() - logits_N2[:, 0].float()
    return -F.logsigmoid(margins_N[pairs_P2[:, 0]] - margins_N[pairs_P2[:, 1]]).sum()


def step_loss(logits: Tensor, batch: dict[str, Tensor], contrast: float) -> Tensor:
    """The loss of a batch, by what the batch holds: `labels` [rows, length], and with the soft loss
    `soft` and `evidence` of that shape, with the contrastive one `pairs` [P, 2] into the flat batch."""
    logits_N2 = logits.reshape(-1, 2)
    if "soft" in batch:
        return soft_cross_entropy(logits_N2, batch["soft"].reshape(-1), batch["evidence"].reshape(-1))
    loss = hard_cross_entropy(logits_N2, batch["labels"].reshape(-1))
    if "pairs" in batch and len(batch["pairs"]):
        loss = loss + contrast * pairwise_ranking(logits_N2, batch["pairs"])
    return loss


def outcome_labels(steps: int, outcome: int | None) -> tuple[int, ...]:
    """The outcome-only labels of a chain: the final answer's at the last step, nothing elsewhere."""
    last = IGNORED if outcome is None else outcome
    return (IGNORED,) * (steps - 1) + (last,) if steps else ()
