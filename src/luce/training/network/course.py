"""The epochs of a fit so far: losses and scores, the best network, the way into a checkpoint."""

from collections.abc import Callable
from math import inf
from typing import TypeAlias

import numpy as np

from luce.scorers.network import Network
from luce.training.network.batches import Batches
from luce.training.network.checkpoint import Saved
from luce.training.network.descent import Descent
from luce.training.network.result import Curve, NetworkFit, NetworkProgress, Stopped
from luce.training.network.stopping import Judge, Patience

Validation: TypeAlias = Callable[[Network], tuple[float, float]]


class Course:
    """What changes from epoch to epoch.

    Parameters
    ----------
    descent : Descent
    batches : Batches
    random : numpy.random.Generator
    shuffle : bool
    judge : Judge
    patience : Patience
        From a fit before this one.
    validate : callable or None
        Network -> (score, log loss).
    """

    def __init__(
        self,
        descent: Descent,
        batches: Batches,
        random: np.random.Generator,
        *,
        shuffle: bool,
        judge: Judge,
        patience: Patience,
        validate: Validation | None,
    ) -> None:
        self.descent, self.batches, self.random, self.shuffle = descent, batches, random, shuffle
        self.judge, self.patience, self.validate = judge, patience, validate
        self.steps_before = descent.steps
        self.losses: list[float] = []
        self.validations: list[tuple[float, float]] = []
        self.best_epoch, self.best_score = 0, -inf
        self.best = None if validate is None else descent.parameters.copy()

    def epoch(self, until: float) -> bool:
        """Once over the rows, then validation; False if time was over before the rows were."""
        steps = self.descent.steps
        loss = self.descent.epoch(
            self.batches,
            self.random,
            shuffle=self.shuffle,
            plateaus=self.patience.plateaus,
            until=until,
        )
        network = self.descent.current
        self._add(loss, None if self.validate is None else self.validate(network))
        if self.best is not None and self.best_epoch == len(self.losses):
            np.copyto(self.best, network.parameters)
        return self.descent.steps - steps == len(self.batches)

    def _add(self, loss: float, validation: tuple[float, float] | None) -> None:
        score = -loss
        if validation is not None:
            score = float(validation[0])
            self.validations.append((score, float(validation[1])))
        self.losses.append(loss)
        self.patience = self.judge.after(self.patience, score)
        if score > self.best_score:
            self.best_epoch, self.best_score = len(self.losses), score

    @property
    def has_begun(self) -> bool:
        """Whether a step was done."""
        return self.descent.steps > self.steps_before

    def over(self, max_epochs: int) -> Stopped | None:
        """Why there should be no more epochs."""
        if self.judge.is_over(self.patience):
            return "tol" if self.validate is None else "patience"
        return "max_epochs" if len(self.losses) >= max_epochs else None

    def progress(self, max_epochs: int, seconds: float) -> NetworkProgress:
        """After an epoch."""
        score, loss = self.validations[-1] if self.validations else (None, None)
        network = self.descent.current
        return NetworkProgress(
            epoch=len(self.losses),
            max_epochs=max_epochs,
            loss=self.losses[-1],
            validation_score=score,
            validation_loss=loss,
            best_epoch=self.best_epoch,
            seconds=seconds,
            network=Network(network.layers, network.parameters.copy(), network.map),
        )

    def saved(self) -> Saved:
        """What a checkpoint holds."""
        losses, scores = self._validation_curves()
        return Saved(
            parameters=self.descent.parameters,
            moments=self.descent.moments,
            average=self.descent.average,
            best=self.best,
            loss_curve=np.array(self.losses),
            validation_losses=losses,
            validation_scores=scores,
            random=dict(self.random.bit_generator.state),
        )

    def go_on_from(self, saved: Saved) -> None:
        """Take up what a checkpoint of this fit held.

        Raises ValueError where that is not what the settings of the fit ask for.
        """
        own = self.saved().vectors
        kinds = [
            {name: (vector.shape, vector.dtype) for name, vector in vectors.items()}
            for vectors in (own, saved.vectors)
        ]
        if kinds[0] != kinds[1]:
            raise ValueError(f"it holds {kinds[1]}, and not {kinds[0]}")
        if saved.random["bit_generator"] != self.random.bit_generator.state["bit_generator"]:
            raise ValueError("its random numbers are of another kind")
        for name, vector in own.items():
            np.copyto(vector, saved.vectors[name])
        self.random.bit_generator.state = saved.random
        epochs = len(saved.loss_curve)
        self.descent.count(epochs * len(self.batches), epochs * self.batches.rows)
        validations = zip(saved.validation_scores, saved.validation_losses, strict=True)
        for loss in saved.loss_curve:
            self._add(float(loss), None if self.validate is None else next(validations))

    def fit(self, stopped: Stopped) -> NetworkFit:
        """The end."""
        network = self.descent.current
        parameters = network.parameters
        if self.best is not None and self.best_epoch:
            parameters = self.best
        losses, scores = self._validation_curves()
        return NetworkFit(
            network=Network(network.layers, parameters.copy(), network.map),
            epochs=len(self.losses),
            steps=self.descent.steps - self.steps_before,
            best_epoch=self.best_epoch,
            loss_curve=np.array(self.losses),
            loss=self.losses[-1] if self.losses else np.nan,
            validation_losses=losses,
            validation_scores=scores,
            stopped=stopped,
            state=self.descent.state(self.patience, self.random),
        )

    def _validation_curves(self) -> tuple[Curve, Curve]:
        scores, losses = np.array(self.validations, np.float64).reshape(-1, 2).T.copy()
        return losses, scores
