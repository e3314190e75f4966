"""Pictures in scikit-learn's convention: reliability, and risk against coverage.

They need matplotlib (`pip install 'luce[plot]'`), which is loaded when something is drawn.
"""

from luce.calibration.displays.reliability import ReliabilityDisplay
from luce.calibration.displays.risk_coverage import RiskCoverageDisplay

__all__ = ["ReliabilityDisplay", "RiskCoverageDisplay"]
