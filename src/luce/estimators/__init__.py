"""The scikit-learn face: estimators that validate, delegate and store."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luce.estimators.cross_fit import classifier_scores, cross_fit_scores
    from luce.estimators.decision_classifier import DecisionClassifier
    from luce.estimators.network_classifier import NetworkClassifier
    from luce.estimators.softmax_classifier import SoftmaxClassifier

__all__ = [
    "DecisionClassifier",
    "NetworkClassifier",
    "SoftmaxClassifier",
    "classifier_scores",
    "cross_fit_scores",
]

_MODULE_OF = {
    "DecisionClassifier": "decision_classifier",
    "NetworkClassifier": "network_classifier",
    "SoftmaxClassifier": "softmax_classifier",
    "classifier_scores": "cross_fit",
    "cross_fit_scores": "cross_fit",
}


def __getattr__(name: str) -> object:
    """Load scikit-learn only with an estimator: `predictions` in this room does without."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
