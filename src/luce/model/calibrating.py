"""Calibrated probabilities of encoded rows."""

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.calibration import TemperatureScaling, VectorScaling
from luce.model.scorer import Scorer

if TYPE_CHECKING:
    from luce.scorers.linear import Features

Calibrate: TypeAlias = Literal["none", "auto", "temperature", "vector"]
ModelCalibrator: TypeAlias = TemperatureScaling | VectorScaling


def probabilities(
    scorer: Scorer, calibrator: ModelCalibrator | None, features: "Features"
) -> NDArray[np.float32]:
    """Probabilities of encoded rows, shape (n, k), calibrated if there is a calibrator."""
    if calibrator is None:
        return scorer.probabilities(features)
    return calibrator.probabilities(scorer.log_probabilities(features), as_is=True)


def log_probabilities(
    scorer: Scorer, calibrator: ModelCalibrator | None, features: "Features"
) -> NDArray[np.float32]:
    """Logarithms of `probabilities`."""
    found = scorer.log_probabilities(features)
    return found if calibrator is None else calibrator.log_probabilities(found, as_is=True)
