"""A network (multi-layer perceptron) with scikit-learn's manners."""

import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from luce.errors import DataError
from luce.estimators.callbacks import CallbackSupport, Reporter, with_callbacks
from luce.estimators.network_answers import NetworkAnswers
from luce.estimators.network_fit import descend, hold_out, one_epoch, start
from luce.estimators.network_parameters import (
    check_parameters,
    hidden_sizes,
    refuse_for_partial_fit,
)
from luce.estimators.network_report import end_line, epoch_line, why_unfinished
from luce.estimators.network_rows import (
    Rows,
    class_weights,
    classes_to_come,
    read_rows,
    require_all_classes,
)
from luce.maps.map import Map
from luce.training.network import NetworkFit, NetworkProgress, NetworkState


class NetworkClassifier(CallbackSupport, NetworkAnswers):
    """A multi-layer perceptron whose last layer is a softmax, trained by backpropagation.

    Has the parameters of scikit-learn's MLPClassifier with their defaults and meanings, and more.
    What differs: two classes are a softmax of two outputs, not one logistic output;
    `learning_rate` holds for every solver but L-BFGS; early stopping looks at the log loss unless
    `scoring` is given, as accuracy moves in jumps and does not see how sure the network is; Adam's
    epsilon is added to the unbiased root, as Kingma and Ba did first; rows of weight 0 are as if
    they were not there.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int, default=(100,)
        Units of each hidden layer; ``()`` is softmax regression.
    activation : "identity", "logistic", "tanh", "relu" or "gelu", default="relu"
        Of the hidden layers.
    solver : "adam", "adamw", "sgd" or "lbfgs", default="adam"
        By small steps over batches of rows; or "lbfgs", by all rows at once, for small problems.
    alpha : float, default=0.0001
        Penalty: each batch's loss has ``alpha / 2 * |coefs_|^2`` divided by the sum of its weights.
        With "adamw" it is the decay instead: each step takes the share
        ``learning rate * alpha`` from the coefficients, whatever the batch (0.01 is usual).
    batch_size : int, default="auto"
        Rows of a batch; "auto" is 200, and more than there are is all of them.
    learning_rate : "constant", "invscaling", "adaptive" or "cosine", default="constant"
        How the rate goes on from `learning_rate_init`: the same; divided by
        ``(rows seen + 1) ** power_t`` after each epoch; divided by 5 whenever two successive epochs
        improve by less than `tol`, until it is 1e-6; or down to 0 along a cosine over `max_iter`
        epochs.
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
        For "invscaling".
    max_iter : int, default=200
        Most epochs (readings of all training rows; iterations of "lbfgs"). Where the fit was not
        planned to last as long (by "cosine") a `ConvergenceWarning` tells that it did.
    shuffle : bool, default=True
        Draw the order of the rows anew for each epoch.
    random_state : int, RandomState or None, default=None
        Of the first weights, of what is held out, of the order of rows and of dropout.
    tol : float, default=1e-4
        What an epoch must improve the best loss (or validation score) by. For "lbfgs" the largest
        entry of the gradient at which to stop.
    verbose : bool, default=False
        Print a line for each epoch.
    warm_start : bool, default=False
        `fit` goes on from the last fit's weights (not from its optimiser's averages).
    momentum : float, default=0.9
        For "sgd".
    nesterovs_momentum : bool, default=True
        For "sgd".
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows (of each class), stop when the score on them has
        not improved by `tol` for `n_iter_no_change` epochs, and keep the best epoch. Otherwise the
        training loss decides, and the last epoch is kept. "lbfgs" holds out nothing.
    validation_fraction : float, default=0.1
    beta_1 : float, default=0.9
        For Adam: what the average of gradients keeps at each step.
    beta_2 : float, default=0.999
        For Adam: what the average of their squares keeps.
    epsilon : float, default=1e-8
        For Adam.
    n_iter_no_change : int, default=10
        More epochs than this without an improvement by `tol` end the fit; infinity for never.
    max_fun : int, default=15000
        Most evaluations of the loss by "lbfgs".
    class_weight : dict or "balanced", optional
        Weight of each class, multiplied with `sample_weight`, in validation too.
    label_smoothing : float, default=0.0
        Share of each target that is divided equally among all classes, in training.
    dropout : float, default=0.0
        Share of the hidden units that a step leaves out.
    layer_norm : bool, default=False
        Normalise each row before each hidden layer's activation.
    residual : bool, default=False
        Add to a hidden layer's outputs what it was given, where the two are as wide (not for the
        first).
    scoring : str or callable, optional
        What early stopping raises: the name of a scikit-learn scorer, or a function of
        (estimator, X, y). By default minus the loss, which is the log loss with softmax.
    warmup : float, default=0.0
        For "cosine": share of the steps in which the rate rises first.
    max_norm : float, optional
        Longer gradients are shortened to this Euclidean length.
    averaging : float, optional
        Decay of a moving average of the weights (such as 0.999), which then is the result.
    map : Map, optional
        Ends the network, and brings its loss; by default ``luce.Softmax()``.
    max_seconds : float, optional
        The fit stops when these are over, with a `ConvergenceWarning`.
    checkpoint : path, optional
        A file that is written after every epoch, and that `fit` goes on from if it is there: to
        the bits of a fit that was never interrupted. Needs an integer `random_state`.
    n_jobs : int, optional
        Threads; by default `luce.num_threads()`; -1 means the same. Results do not depend on it.

    Attributes
    ----------
    classes_ : array of shape (k,)
        For soft targets the numbers of their columns.
    network_ : luce.scorers.Network
        The layers with their parameters: ``network_.trace(X[:4], labels)``.
    coefs_, intercepts_ : list of arrays
        Of the dense layers, (inputs, outputs) and (outputs,), in X's dtype: views of the network's.
    n_iter_ : int
        Epochs of the last fit.
    t_ : int
        Rows seen, of all fits that went on from each other.
    loss_ : float
        Training loss with penalty, in the last epoch.
    best_loss_ : float
        The least of `loss_curve_`; None with early stopping.
    loss_curve_ : list of float
        Training loss of each epoch; of the epochs before too where a fit went on from another.
    validation_scores_ : list of float
        Score on the held-out rows after each epoch; None without early stopping.
    best_validation_score_ : float
        The best of them, whose epoch was kept; None without early stopping.
    validation_loss_curve_ : list of float
        Log loss on the held-out rows after each epoch, whatever the scoring; None without.
    n_layers_ : int
        With the features and the output.
    n_outputs_ : int
    out_activation_ : str
        The map's name.
    n_features_in_ : int
    feature_names_in_ : array of shape (d,), if X has names

    Raises
    ------
    DataError
        (by `fit` and `partial_fit`) For a parameter out of range, one class only, several labels a
        row, or targets that are no distributions. A `ValueError`, as all of scikit-learn's own
        complaints about X and y.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from luce import NetworkClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = NetworkClassifier(batch_size=32, learning_rate="cosine", max_iter=20)
    >>> classifier.fit(X[:1000] / 16, y[:1000]).score(X[1000:] / 16, y[1000:]) > 0.8
    True
    >>> [coef.shape for coef in classifier.coefs_]
    [(64, 100), (100, 10)]
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: dict[Any, float] | str | None = None,
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
        scoring: str | Callable[..., float] | None = None,
        warmup: float = 0.0,
        max_norm: float | None = None,
        averaging: float | None = None,
        map: Map | None = None,
        max_seconds: float | None = None,
        checkpoint: str | PathLike[str] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.residual = residual
        self.scoring = scoring
        self.warmup = warmup
        self.max_norm = max_norm
        self.averaging = averaging
        self.map = map
        self.max_seconds = max_seconds
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs

    t_: int
    _state: NetworkState | None

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        validation_data: tuple[ArrayLike, ...] | None = None,
    ) -> Self:
        """Fit to features X (n, d) and targets y, optionally weighted (n,); returns self.

        X is a dense array or sparse matrix (CSR inside, never made dense), float32 or float64,
        which all is computed in; other dtypes become float64. y has labels (n,), or soft targets
        (n, k): floats that are not negative, and whose rows sum to 1. With `validation_data`, which
        is (X, y) or (X, y, sample_weight), the fit stops early by these rows and holds out none.
        Raises `ValueError` for bad input. Ctrl-C raises `KeyboardInterrupt`, with the best so far
        in the attributes.
        """
        check_parameters(self)
        earlier = getattr(self, "network_", None) if self.warm_start else None
        known = None if earlier is None else self.classes_
        rows, classes = read_rows(self, X, y, sample_weight, classes=known, reset=earlier is None)
        require_all_classes(rows, classes)
        random_state = check_random_state(self.random_state)
        random = _generator(random_state)
        network = start(self, rows, classes, random, earlier)
        rows, held_out = hold_out(self, rows, classes, validation_data, random_state)
        reporter = Reporter(self, rows.features, y, sample_weight, part="epoch")

        def on_epoch(progress: NetworkProgress) -> bool:
            self._tell(progress)
            return reporter.has_callbacks and reporter.report(
                lambda: {"classes_": classes, "network_": progress.network}
            )

        tells = on_epoch if self.verbose or reporter.has_callbacks else None
        with self._threads():
            fit = descend(self, network, rows, held_out, classes, random, tells)
        self._keep(fit, rows, classes, goes_on=earlier is not None)
        reporter.finish()
        if self.verbose:
            print(end_line(self, fit), flush=True)
        if fit.stopped == "interrupted":
            raise KeyboardInterrupt
        if unfinished := why_unfinished(self, fit):
            warnings.warn(unfinished, ConvergenceWarning, stacklevel=3)
        return self

    @available_if(lambda self: self.solver != "lbfgs")
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go on by one epoch over these rows, with the optimiser as it was left; returns self.

        X, y and `sample_weight` are as for `fit`. The first call needs `classes`, all labels that
        will ever come (soft targets do without); not each call has to have rows of all of them.
        Raises `ValueError` for bad input, early stopping, or balanced class weights, which need all
        rows at once.
        """
        check_parameters(self)
        refuse_for_partial_fit(self)
        earlier = getattr(self, "network_", None)
        known = classes_to_come(classes, None if earlier is None else self.classes_)
        rows, found = read_rows(self, X, y, sample_weight, classes=known, reset=earlier is None)
        if known is None and rows.are_labelled:
            raise DataError(
                "The first call of partial_fit needs classes: all labels that will ever come."
            )
        if self.class_weight is not None:
            rows = rows.weighted(class_weights(rows, found, self.class_weight))
        random = _generator(check_random_state(self.random_state))
        network = start(self, rows, found, random, earlier)
        state = None if earlier is None else self._state
        with self._threads():
            fit = one_epoch(self, network, rows, random, state, self._tell)
        self._keep(fit, rows, found, goes_on=earlier is not None)
        self._state = fit.state
        if fit.stopped == "interrupted":
            raise KeyboardInterrupt
        return self

    def _tell(self, progress: NetworkProgress) -> None:
        if self.verbose:
            print(epoch_line(progress), flush=True)

    def _keep(self, fit: NetworkFit, rows: Rows, classes: NDArray[Any], *, goes_on: bool) -> None:
        """The attributes of a fit, which may go on from the one that they are of."""
        rows_before, curves = (self.t_, self._curves()) if goes_on else (0, ([], [], []))
        losses, scores, validation_losses = (
            [*before, *more.tolist()]
            for before, more in zip(
                curves, (fit.loss_curve, fit.validation_scores, fit.validation_losses), strict=True
            )
        )
        is_validated = len(fit.validation_scores) > 0
        readings = fit.steps if self.solver == "lbfgs" else fit.epochs
        self.classes_, self.network_ = classes, fit.network
        self.n_iter_, self.t_ = fit.epochs, rows_before + readings * len(rows.places())
        self.n_layers_ = len(hidden_sizes(self)) + 2
        self.n_outputs_ = len(classes)
        self.out_activation_ = type(fit.network.map).__name__.lower()
        self.loss_, self.loss_curve_ = fit.loss, losses
        self.best_loss_ = None if is_validated else min(losses, default=None)
        self.validation_scores_ = scores if is_validated else None
        self.validation_loss_curve_ = validation_losses if is_validated else None
        self.best_validation_score_ = (
            float(fit.validation_scores[fit.best_epoch - 1]) if is_validated else None
        )
        self._state = None

    def _curves(self) -> tuple[list[float], ...]:
        return self.loss_curve_, self.validation_scores_ or [], self.validation_loss_curve_ or []


def _generator(random_state: np.random.RandomState) -> np.random.Generator:
    return np.random.default_rng(random_state.randint(1 << 32, size=4, dtype=np.uint64))
