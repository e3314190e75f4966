import numpy as np
import pytest

from luce.calibration.displays.given import as_indices
from luce.errors import DataError

TABLE = np.array([[0.2, 0.8], [0.6, 0.4]])


def test_indices_stay_indices():
    labels, table, names = as_indices([1, 0], TABLE, None)
    np.testing.assert_array_equal(labels, [1, 0])
    assert names == [0, 1]
    assert table is TABLE


@pytest.mark.parametrize("classes", [["no", "yes"], [True, False], [3, 1], [0.5, 1.5]])
def test_labels_become_the_places_of_their_classes(classes):
    labels, _, names = as_indices(np.array(classes)[[1, 0]], TABLE, np.array(classes))
    np.testing.assert_array_equal(labels, [1, 0])
    assert names == classes


def test_one_column_is_the_second_of_two_classes():
    _, table, _ = as_indices([1, 0], TABLE[:, 1], None)
    np.testing.assert_allclose(table, TABLE)


@pytest.mark.parametrize(
    ("y_true", "y_prob", "classes", "message"),
    [
        (["a", "b"], TABLE, None, "y_true has dtype <U1; expected class indices"),
        (["a", "c"], TABLE, ["a", "b"], "row 1: the label .*'c'.* is none of the classes"),
        ([0, 1], TABLE, ["a", "b", "c"], "there are 3 classes; y_prob has 2 columns"),
        ([[0], [1]], TABLE, None, r"y_true has shape \(2, 1\) and y_prob \(2, 2\)"),
        ([0, 1], TABLE[None], None, r"y_prob \(1, 2, 2\)"),
        ([0, 1], [0, 1], None, r"y_prob \(2,\)"),
    ],
)
def test_what_does_not_fit(y_true, y_prob, classes, message):
    with pytest.raises(DataError, match=message):
        as_indices(y_true, y_prob, classes)
