"""Probabilities that mean what they say: how good they are, and how to make them better."""

from luce.calibration.calibration_errors import (
    expected_calibration_error,
    maximum_calibration_error,
    smooth_calibration_error,
)
from luce.calibration.calibrator import Calibrator, ScoreMap
from luce.calibration.choice import Choice, calibrate, calibrate_from_probabilities
from luce.calibration.curves import (
    ReliabilityCurve,
    RiskCoverageCurve,
    reliability_curve,
    risk_coverage_curve,
)
from luce.calibration.displays import ReliabilityDisplay, RiskCoverageDisplay
from luce.calibration.evaluation import Evaluation, Figure, RunningEvaluation, evaluate
from luce.calibration.held_out import Improvement
from luce.calibration.isotonic import IsotonicScaling
from luce.calibration.matrix import MatrixScaling
from luce.calibration.metrics import accuracy, brier_score, log_loss
from luce.calibration.prior_shift import PriorShift
from luce.calibration.report import CalibrationError, CalibrationReport, calibration_report
from luce.calibration.splits import Split, brier_score_split, log_loss_split
from luce.calibration.temperature import TemperatureScaling
from luce.calibration.testing import CalibrationTest, calibration_test
from luce.calibration.vector import VectorScaling

__all__ = [
    "CalibrationError",
    "CalibrationReport",
    "CalibrationTest",
    "Calibrator",
    "Choice",
    "Evaluation",
    "Figure",
    "Improvement",
    "IsotonicScaling",
    "MatrixScaling",
    "PriorShift",
    "ReliabilityCurve",
    "ReliabilityDisplay",
    "RiskCoverageCurve",
    "RiskCoverageDisplay",
    "RunningEvaluation",
    "ScoreMap",
    "Split",
    "TemperatureScaling",
    "VectorScaling",
    "accuracy",
    "brier_score",
    "brier_score_split",
    "calibrate",
    "calibrate_from_probabilities",
    "calibration_report",
    "calibration_test",
    "evaluate",
    "expected_calibration_error",
    "log_loss",
    "log_loss_split",
    "maximum_calibration_error",
    "reliability_curve",
    "risk_coverage_curve",
    "smooth_calibration_error",
]
