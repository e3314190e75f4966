"""Probabilities that mean what they say: how good they are, on rows held out from training."""

from luce.calibration.evaluation import Evaluation, Figure, RunningEvaluation, evaluate
from luce.calibration.metrics import (
    accuracy,
    brier_score,
    expected_calibration_error,
    log_loss,
)

__all__ = [
    "Evaluation",
    "Figure",
    "RunningEvaluation",
    "accuracy",
    "brier_score",
    "evaluate",
    "expected_calibration_error",
    "log_loss",
]
