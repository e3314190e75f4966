"""The scikit-learn face: estimators that validate, delegate and store."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luce.estimators.softmax_classifier import SoftmaxClassifier

__all__ = ["SoftmaxClassifier"]


def __getattr__(name: str) -> object:
    """Load scikit-learn only with the estimator: `predictions` in this room does without."""
    if name in __all__:
        from luce.estimators import softmax_classifier

        return getattr(softmax_classifier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
