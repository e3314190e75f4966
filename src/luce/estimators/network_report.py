"""What a fit of a network tells its user, while it goes on and when it ends."""

from typing import Any

from luce.training.network import NetworkFit, NetworkProgress

ENDED = {
    "tol": "the loss has not improved by tol={self.tol} for more than n_iter_no_change="
    "{self.n_iter_no_change} epochs",
    "patience": "the score has not improved by tol={self.tol} for more than n_iter_no_change="
    "{self.n_iter_no_change} epochs",
    "max_epochs": "all of max_iter={self.max_iter} were used up",
    "max_seconds": "max_seconds={self.max_seconds} were over",
    "max_fun": "all max_fun={self.max_fun} evaluations of the loss were used up",
    "precision": "rounding hides any further progress",
    "callback": "a callback has ended the fit",
    "interrupted": "the fit was interrupted",
}
REMEDIES = {
    "max_epochs": "raise max_iter",
    "max_seconds": "raise max_seconds",
    "max_fun": "raise max_fun",
    "precision": "raise tol, or scale the features",
}


def epoch_line(progress: NetworkProgress) -> str:
    """One line for an epoch."""
    parts = [f"loss {progress.loss:.6f}"]
    if progress.validation_loss is not None:
        parts.append(f"validation loss {progress.validation_loss:.6f}")
        if progress.validation_score != -progress.validation_loss:
            parts.append(f"score {progress.validation_score:.6f}")
        parts.append(f"best epoch {progress.best_epoch}")
    parts.append(f"{progress.seconds:.2f} s")
    return f"epoch {progress.epoch} of {progress.max_epochs}: {', '.join(parts)}"


def end_line(estimator: Any, fit: NetworkFit) -> str:
    """One line for the end: why it came, and what is kept."""
    return f"Ended after {_epochs(estimator, fit)}: {_why(estimator, fit)}; {_kept(fit)}."


def why_unfinished(estimator: Any, fit: NetworkFit) -> str | None:
    """What to warn of, if the fit was ended by a limit that it was not planned to reach."""
    planned = fit.stopped == "max_epochs" and estimator.learning_rate == "cosine"
    if fit.stopped not in REMEDIES or (planned and estimator.solver != "lbfgs"):
        return None
    remedy = REMEDIES[fit.stopped]
    if fit.stopped == "max_epochs" and estimator.solver != "lbfgs" and not _is_validated(fit):
        remedy += ", or let early_stopping=True find the best epoch"
    return f"{end_line(estimator, fit)} If that is too early, {remedy}."


def _epochs(estimator: Any, fit: NetworkFit) -> str:
    return f"{fit.epochs} {'iterations' if estimator.solver == 'lbfgs' else 'epochs'}"


def _why(estimator: Any, fit: NetworkFit) -> str:
    if fit.stopped == "tol" and estimator.solver == "lbfgs":
        return f"the gradient is within tol={estimator.tol}, or the loss falls no more"
    return ENDED[fit.stopped].format(self=estimator)


def _kept(fit: NetworkFit) -> str:
    if _is_validated(fit):
        return f"epoch {fit.best_epoch} was the best on the held-out rows, and is kept"
    return f"the training loss is {fit.loss:.4g}"


def _is_validated(fit: NetworkFit) -> bool:
    return len(fit.validation_scores) > 0
