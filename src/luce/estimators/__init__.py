"""The scikit-learn face: estimators that validate, delegate and store."""

from luce.estimators.softmax_classifier import SoftmaxClassifier

__all__ = ["SoftmaxClassifier"]
