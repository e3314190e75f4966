"""Which rows are held out: stratified by class, whole groups where rows come in groups."""

import warnings

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError

Indices = NDArray[np.int64]

TRAINED_ON = -1


def hold_out(labels: Indices, groups: Indices | None, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose rows to validate on: about `share` of every class, shape (n,).

    A class keeps at least one row to train on. Where there are groups, about `share` of the rows
    are chosen as whole groups, as evenly over the classes as groups allow.

    Raises
    ------
    DataError
        There are fewer than two groups, or no row would be left to train on or to validate on.

    Examples
    --------
    >>> hold_out(np.array([0, 0, 0, 0, 1, 1]), None, 0.5, seed=0).sum()
    np.int64(3)
    """
    if groups is not None:
        return np.equal(fold_of_rows(labels, groups, max(2, round(1 / share)), seed), 0)
    held = np.zeros(len(labels), dtype=np.bool_)
    random = np.random.default_rng(seed)
    for label in range(int(labels.max()) + 1):
        rows = random.permutation(np.flatnonzero(labels == label))
        held[rows[: min(round(share * len(rows)), len(rows) - 1)]] = True
    if not held.any():
        raise DataError(
            f"{len(labels)} rows of {int(labels.max()) + 1} classes are too few to hold out "
            f"{share:.0%} of each class: bring more rows, or a validation table of your own"
        )
    return held


def fold_of_rows(labels: Indices, groups: Indices | None, folds: int, seed: int) -> Indices:
    """Deal rows into folds 0 to folds - 1 for cross-validation, evenly for every class, shape (n,).

    Rows of a class that has one row only get `TRAINED_ON`: they are in no fold. Rows of a group
    get the same fold.

    Raises
    ------
    DataError
        There are fewer groups than folds.

    Examples
    --------
    >>> fold_of_rows(np.array([0, 0, 0, 0, 1]), None, 2, seed=0)
    array([ 1,  0,  0,  1, -1])
    """
    if groups is None:
        random = np.random.default_rng(seed)
        fold = np.full(len(labels), TRAINED_ON)
        for label in range(int(labels.max()) + 1):
            rows = random.permutation(np.flatnonzero(labels == label))
            if len(rows) > 1:
                fold[rows] = np.arange(len(rows)) % folds
        return fold

    from sklearn.model_selection import StratifiedGroupKFold

    present = int(groups.max()) + 1
    if present < folds:
        raise DataError(
            f"there are {present} groups, fewer than the {folds} parts to make of them: "
            "bring more groups, hold out a larger share, or do without groups"
        )
    fold = np.zeros(len(labels), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            fold[held] = number
    return fold
