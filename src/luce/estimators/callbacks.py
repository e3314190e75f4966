"""scikit-learn's callbacks, where it has them (1.9 and later): one task a pass or epoch."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import ArrayLike

__all__ = ["CallbackSupport", "Reporter", "with_callbacks"]

Method = TypeVar("Method", bound=Callable[..., Any])
Attributes = Callable[[], dict[str, Any]]

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


class Reporter:
    """Tells an estimator's callbacks of the fit and of its parts, after each of which it may end.

    Parameters
    ----------
    estimator : estimator with `CallbackSupport` and `max_iter`, in its `fit`
    features, y, sample_weight
        What it is fitted to.
    part : str
        What one of at most `max_iter` parts is called: "pass".

    Attributes
    ----------
    has_callbacks : bool
        Whether anyone listens to `report`.
    """

    def __init__(
        self,
        estimator: Any,
        features: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        part: str,
    ) -> None:
        self.context: Any = None
        self.part = part
        self.has_callbacks = hasattr(estimator, "_skl_callbacks")
        if not hasattr(estimator, "_init_callback_context"):
            return
        self.context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": features, "y": y, "metadata": metadata}
        self.context.call_on_fit_task_begin(**self.data)

    def report(self, fitted: Attributes) -> bool:
        """One part: begun and ended at once; True if a callback wants no more.

        `fitted` gives the attributes of the estimator as if this part had been the last.
        """
        task = self.context.subcontext(task_name=self.part)
        task.call_on_fit_task_begin(**self.data)
        return bool(task.call_on_fit_task_end(**self.data, reconstruction_attributes=fitted))

    def finish(self) -> None:
        """The fit is over, and its attributes are set."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})
