"""Which rows are held out: stratified by class, whole groups where rows come in groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError

Indices = NDArray[np.int64]

TRAINED_ON = -1


def hold_out(
    labels: Indices, groups: Indices | None, share: float, seed: int | Sequence[int]
) -> NDArray[np.bool_]:
    """Choose rows to validate on: about `share` of every class, shape (n,).

    A class keeps at least one row to train on. Where there are groups, about `share` of the rows
    of every class are chosen, as well as whole groups allow.

    Raises
    ------
    DataError
        There is one group only, or no row would be left to validate on.

    Examples
    --------
    >>> hold_out(np.array([0, 0, 0, 0, 1, 1]), None, 0.5, seed=0).sum()
    np.int64(3)
    """
    if groups is not None:
        part = deal_groups(labels, groups, (share, 1 - share), seed)
        return np.asarray(part == 0)
    held = np.zeros(len(labels), dtype=np.bool_)
    random = np.random.default_rng(seed)
    expected = share * np.bincount(labels)
    counts = np.floor(expected).astype(np.int64)
    nearest = np.argsort(counts - expected + 1e-6 * random.random(len(counts)))
    counts[nearest[: round(expected.sum()) - counts.sum()]] += 1
    for of_class, count in zip(_rows_of_classes(labels), counts, strict=True):
        rows = random.permutation(of_class)
        held[rows[: min(count, len(rows) - 1)]] = True
    if not held.any():
        raise DataError(
            f"{len(labels)} rows of {int(labels.max()) + 1} classes are too few to hold out "
            f"a share of {share:g} of each class: hold out a larger share, bring more rows, or a "
            "validation table of your own"
        )
    return held


def set_aside(
    labels: Indices, groups: Indices | None, weights: NDArray[np.float64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose rows to learn nothing from but when to stop or what to prefer, shape (n,).

    As `hold_out` of the rows of positive weight; groups that hold all rows of a class that is there
    are not set aside.

    Raises
    ------
    DataError
        No row would be set aside.

    Examples
    --------
    >>> set_aside(np.array([0, 0, 0, 0, 1, 1]), None, np.array([1, 1, 1, 0, 1, 0]), 0.5, seed=0)
    array([False, False,  True, False, False, False])
    """
    there = np.flatnonzero(weights)
    labels = labels[there]
    groups = None if groups is None else groups[there]
    try:
        chosen = hold_out(labels, groups, share, seed)
    except DataError:
        chosen = np.zeros(len(labels), np.bool_)
    if groups is not None:
        lost = np.setdiff1d(labels, labels[~chosen])
        chosen &= ~np.isin(groups, groups[np.isin(labels, lost)])
    if not chosen.any():
        grouped = "" if groups is None else f" and {len(np.unique(groups)):,} groups"
        raise DataError(
            "a network needs rows that can be set aside while it is trained, and these "
            f"{len(labels):,} of {len(np.unique(labels)):,} classes{grouped} are too few: bring "
            "more rows, or train a linear model"
        )
    aside = np.zeros(len(weights), np.bool_)
    aside[there[chosen]] = True
    return aside


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
    if groups is not None:
        return deal_groups(labels, groups, (1 / folds,) * folds, seed)
    random = np.random.default_rng(seed)
    fold = np.full(len(labels), TRAINED_ON)
    for of_class in _rows_of_classes(labels):
        rows = random.permutation(of_class)
        if len(rows) > 1:
            fold[rows] = np.arange(len(rows)) % folds
    return fold


def deal_groups(
    labels: Indices, groups: Indices, shares: tuple[float, ...], seed: int | Sequence[int]
) -> Indices:
    """Deal whole groups into parts that get about these shares of every class, shape (n,).

    The largest groups first, each to the part whose class counts then come nearest to its share;
    a part that got none takes the smallest group of the fullest part.

    Raises
    ------
    DataError
        There are fewer groups than parts.

    Examples
    --------
    >>> deal_groups(np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 2]), (0.3, 0.7), seed=1)
    array([1, 1, 1, 1, 0, 0])
    """
    names, groups = np.unique(groups, return_inverse=True)
    count, classes, parts = len(names), int(labels.max()) + 1, len(shares)
    if count < parts:
        raise DataError(
            f"the rows are of {count} group{'s' if count > 1 else ''}, too few to deal into "
            f"{parts} parts: bring more groups, or do without"
        )
    members, rows = np.unique(groups * classes + labels, return_counts=True)
    group_of, class_of = np.divmod(members, classes)
    weights = rows / np.bincount(labels, minlength=classes)[class_of]
    ends = np.searchsorted(group_of, np.arange(count + 1))
    order = np.random.default_rng(seed).permutation(count)
    sizes = np.bincount(group_of, weights)
    order = order[np.argsort(-sizes[order], kind="stable")]
    missing = np.tile(np.array(shares)[:, None], (1, classes))
    part = np.empty(count, dtype=np.int64)
    for group in order:
        some = slice(ends[group], ends[group + 1])
        # Of (missing - members)^2, what depends on the part.
        part[group] = np.argmin(-missing[:, class_of[some]] @ weights[some])
        missing[part[group], class_of[some]] -= weights[some]
    for empty in np.setdiff1d(np.arange(parts), part):
        fullest = np.bincount(part).argmax()
        part[order[part[order] == fullest][-1]] = empty
    return part[groups]


def _rows_of_classes(labels: Indices) -> list[Indices]:
    """The rows of each class, 0 to the largest label."""
    ends = np.cumsum(np.bincount(labels))[:-1]
    return np.split(np.argsort(labels, kind="stable"), ends)
