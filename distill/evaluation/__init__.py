"""Evaluation on held-out chains: first-error F1, calibration, and best-of-n, each with its interval."""

from distill.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
