"""How a network is fitted to encoded rows, and when that stops."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.model.events import Report
from luce.model.fitting import EncodedRows, Fitted, Weights
from luce.model.network import SMALLEST_SCALE, NetworkScorer, StandardisedDense
from luce.model.record import NetworkTraining
from luce.model.rows import blocks_of
from luce.model.split import set_aside
from luce.scorers import Dense, Network, Relu, split
from luce.tables import EmbeddingColumn, Encoder
from luce.tables.kinds import column_width
from luce.tables.storage import RESERVED, available_memory
from luce.training.network import fit_network

HIDDEN = 100
LEARNING_RATE = 1e-3
PENALTY = 1e-4
LARGEST_BATCH, LEAST_BATCH = 200, 16
STEPS_AN_EPOCH = 20  # at least, where the rows are few
MOST_EPOCHS = 200
PATIENCE = 10
SHARE_ASIDE = 0.2
COPIES = 9
"""Of the parameters: their gradient, what Adam remembers, the best ones, those to be told of."""


@dataclass(frozen=True)
class NetworkRecipe:
    """A network of one hidden layer, as it is where rows that are set aside are predicted best."""

    seed: int

    def fit(self, data: EncodedRows, report: Report, weights: Weights | None = None) -> Fitted:
        """Fit by Adam to most of the rows, for as long as the others' log loss falls.

        Raises
        ------
        DataError
            There are too few rows to set some aside, or the loss is not finite.
        """
        weights = data.weights if weights is None else weights
        rows = data.rows
        aside = set_aside(rows.labels, rows.groups, weights, SHARE_ASIDE, self.seed)
        kept = np.where(aside, 0.0, weights)
        random = np.random.default_rng(self.seed)
        batch = int(np.count_nonzero(kept)) // STEPS_AN_EPOCH
        batch = min(max(batch, LEAST_BATCH), LARGEST_BATCH)

        def validate(network: Network) -> tuple[float, float]:
            losses = data.losses(NetworkScorer(network), aside)
            loss = float(weights[aside] @ losses / weights[aside].sum())
            if not math.isfinite(loss):
                raise DataError(
                    "the network's scores of some rows are not finite: look for a value that is "
                    "far larger than all others, or train a linear model"
                )
            return -loss, loss

        fit = fit_network(
            _start(data, kept, random),
            data.features,
            rows.labels,
            sample_weight=kept,
            learning_rate=LEARNING_RATE,
            batch_size=batch,
            max_epochs=MOST_EPOCHS,
            penalty=PENALTY,
            random=random,
            patience=PATIENCE,
            validate=validate,
            on_epoch=report,
        )
        if fit.stopped == "interrupted":
            raise KeyboardInterrupt
        scorer = NetworkScorer(fit.network)
        record = NetworkTraining(
            layers=scorer.described,
            standardised=scorer.standardised,
            learning_rate=LEARNING_RATE,
            batch_size=batch,
            penalty=PENALTY,
            epochs=fit.epochs,
            best_epoch=fit.best_epoch,
            validation_rows=int(aside.sum()),
            validation_loss=float(fit.validation_losses[fit.best_epoch - 1]),
        )
        return Fitted(scorer, record)


def _start(data: EncodedRows, weights: Weights, random: np.random.Generator) -> Network:
    """A network to be trained on the rows of positive weight.

    A feature that is 0 in all of them has no weight: nothing could be learnt of it.
    """
    shape = data.features.shape[1], HIDDEN
    _require_memory(shape[0] * HIDDEN)
    centre, scale, varies = _spread(data, weights)
    unscaled = _unscaled(data.encoder)
    if unscaled.any():
        first: Dense = StandardisedDense(*shape, Relu(), centre=centre, scale=scale)
    else:
        first = Dense(*shape, Relu())
    layers = (first, Dense(HIDDEN, data.classes))
    network = Network.initial(layers, random)
    split(layers, network.parameters)[0][0][~varies] = 0
    return network


def _require_memory(parameters: int) -> None:
    wanted = COPIES * 4 * parameters
    if wanted > max(available_memory(), RESERVED):
        raise DataError(
            f"a network of {parameters:,} parameters takes {wanted / 1e9:,.1f} GB of memory while "
            "it is trained, more than there is: train a linear model, or drop columns"
        )


def _spread(
    data: EncodedRows, weights: Weights
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Centre and scale of each feature, and whether anything is left of it then; all (d,).

    The centre is the mean, and the scale the standard deviation as if every row had a number but 0:
    what is mostly 0 has that of its other numbers. Sparse features stay where they are; and so do
    those that the encoder has scaled.
    """
    features = data.features
    unscaled = _unscaled(data.encoder)
    blocks = blocks_of(features, 0)
    sums, squares, hits = np.zeros((3, len(unscaled)))
    if isinstance(features, np.ndarray):
        for block in blocks:
            sums += weights[block] @ features[block]
        centre = np.where(unscaled, sums / weights.sum(), 0).astype(np.float32)
        for block in blocks:
            rows, of_rows = features[block], weights[block]
            squares += of_rows @ (rows.astype(np.float64) - centre) ** 2
            hits += of_rows @ (rows != 0)
    else:
        centre = np.zeros(len(unscaled), np.float32)
        for block in blocks:
            entries = features[block]
            of_entries = np.repeat(weights[block], np.diff(entries.indptr))
            hits += np.bincount(entries.indices, of_entries, len(hits))
            of_entries *= entries.data.astype(np.float64) ** 2
            squares += np.bincount(entries.indices, of_entries, len(squares))
    varies = squares > 0
    # What is constant here may be more or less elsewhere, by some of its size.
    scale = np.where(varies, np.sqrt(squares / np.where(varies, hits, 1)), abs(centre))
    scale[~unscaled | (scale < SMALLEST_SCALE)] = 1
    return centre, scale.astype(np.float32), varies


def _unscaled(encoder: Encoder) -> NDArray[np.bool_]:
    """Which features have no scale of their encoder's: the numbers of embeddings, (d,)."""
    parts = [np.empty(0, np.bool_)]
    for column in encoder.columns:
        part = np.zeros(column_width(column), np.bool_)
        if isinstance(column, EmbeddingColumn):
            part[: column.length] = True
        parts.append(part)
    return np.concatenate(parts)
