"""scikit-learn's callbacks, where it has them (1.9 and later): one task a pass."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce.training import Progress

__all__ = ["CallbackSupport", "PassReporter", "as_fitted", "with_callbacks"]

Method = TypeVar("Method", bound=Callable[..., Any])

if TYPE_CHECKING:

    class CallbackSupport:
        """What scikit-learn's mixin is to the type checker."""

    def with_callbacks(method: Method) -> Method:
        """Tear the callbacks down after the method."""

else:
    try:
        from sklearn.callback import CallbackSupportMixin as CallbackSupport
        from sklearn.callback import with_callbacks
    except ImportError:  # older than 1.9

        class CallbackSupport:
            """Nothing to support."""

        def with_callbacks(method: Method) -> Method:
            """The method, called from one frame further down as by scikit-learn's own decorator."""
            return wraps(method)(lambda *args, **kwargs: method(*args, **kwargs))


def as_fitted(
    coef: NDArray[np.float64],
    intercept: NDArray[np.float64],
    classes: NDArray[Any],
    dtype: "np.dtype[Any]",
) -> dict[str, NDArray[Any]]:
    """A fit as scikit-learn's attributes: for two classes one row, the second minus the first."""
    if len(classes) == 2:
        coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
    return {"classes_": classes, "coef_": coef.astype(dtype), "intercept_": intercept.astype(dtype)}


class PassReporter:
    """Tells an estimator's callbacks of the fit and of every pass, which any of them may end.

    Parameters
    ----------
    estimator : estimator with `CallbackSupport`, in its `fit`
    features, y, sample_weight
        What it is fitted to.
    classes : array of shape (k,)
    """

    def __init__(
        self,
        estimator: Any,
        features: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        classes: NDArray[Any],
    ) -> None:
        self.context: Any = None
        self.on_pass: Callable[[Progress], bool] | None = None
        if not hasattr(estimator, "_init_callback_context"):
            return
        self.context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": features, "y": y, "metadata": metadata}
        self.context.call_on_fit_task_begin(**self.data)
        self.classes = classes
        if hasattr(estimator, "_skl_callbacks"):
            self.on_pass = self.report

    def report(self, progress: Progress) -> bool:
        """One pass: begun and ended at once; True if a callback wants no more."""
        fitted = as_fitted(*progress.fitted(), self.classes, self.data["X"].dtype)
        task = self.context.subcontext(task_name="pass")
        task.call_on_fit_task_begin(**self.data)
        return bool(task.call_on_fit_task_end(**self.data, reconstruction_attributes=fitted))

    def finish(self) -> None:
        """The fit is over, and its attributes are set."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})
