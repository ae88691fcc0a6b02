"""The verifier: a small 4-bit model that scores every step of a chain.

labelled chains -> `train_verifier` -> `export` -> `Verifier.score` -> `hybrid_scores`
"""

from distill.first_error import FirstErrorF1, first_error_f1, predict_first_error
from distill.verifier import _quiet  # noqa: F401
from distill.verifier.augment import augmented_examples
from distill.verifier.calibrate import Calibration, calibrate, fit_temperature, fit_threshold
from distill.verifier.data import ChainFormat, Example, examples, training_examples
from distill.verifier.drift import Estimate, FormFigures, HeldoutChain, Measured
from distill.verifier.export import ExportResult, export, finish
from distill.verifier.hybrid import HybridParams, checker_scores, fit_hybrid, hybrid_scores
from distill.verifier.logprob import StepLogprobs, step_logprobs
from distill.verifier.package import Package, read_package, update_package
from distill.verifier.score import Verifier
from distill.verifier.size import SizeReport, size_report
from distill.verifier.train import TrainResult, read_result, train_verifier

__all__ = [
    "Calibration", "ChainFormat", "Estimate", "Example", "ExportResult", "FirstErrorF1", "FormFigures",
    "HeldoutChain", "HybridParams", "Measured", "Package", "SizeReport", "StepLogprobs", "TrainResult",
    "Verifier", "augmented_examples", "calibrate", "checker_scores", "examples", "export", "finish",
    "first_error_f1", "fit_hybrid", "fit_temperature", "fit_threshold", "hybrid_scores",
    "predict_first_error", "read_package", "read_result", "size_report", "step_logprobs", "train_verifier",
    "training_examples", "update_package",
]  # fmt: skip
