import numpy as np
import pytest

from luce.calibration.given import checked_scores, labelled, scores_of
from luce.errors import CalibrationWarning, DataError


def test_scores_that_look_like_probabilities_are_warned_of():
    p = [[0.2, 0.8], [0.5, 0.5]]
    with pytest.warns(CalibrationWarning, match="look like probabilities") as caught:
        checked_scores(p, as_is=False)
    assert len(caught) == 1
    checked_scores(p, as_is=True)


@pytest.mark.parametrize(
    "scores",
    [
        [[0.2, 0.8], [0.5, 0.6]],
        [[0.2, 0.8], [-0.5, 1.5]],
        [[-0.2, 1.2], [0.5, 0.5]],
        [[1.0], [1.0]],
        np.empty((0, 2)),
    ],
)
def test_other_scores_are_not(scores):
    checked_scores(scores, as_is=False)


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "class 1 is nan"), (np.inf, "class 1 is inf")])
def test_scores_that_are_none_are_named(bad, shown):
    with pytest.raises(DataError, match=f"row 2: the score of {shown}; expected a finite number"):
        checked_scores([[0.0, 1.0], [-np.inf, 2.0], [0.0, bad]], as_is=False)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (1, 1, 1)])
def test_the_shape_is_rows_by_classes(shape):
    with pytest.raises(DataError, match="expected \\(rows, classes\\)"):
        checked_scores(np.zeros(shape), as_is=False)


def test_words_are_no_scores():
    with pytest.raises(DataError, match="scores have dtype"):
        checked_scores([["a", "b"]], as_is=False)


def test_probabilities_become_their_logarithms():
    found = scores_of(np.array([[0.25, 0.75], [0.0, 1.0]], np.float32), as_is=False)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32([[np.log(0.25), np.log(0.75)], [-np.inf, 0.0]]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.6], r"sum to 1\.1; "),
        ([-0.1, 1.1], r"class 0 is -0\.1; "),
        ([0.5, np.nan], "class 1 is nan"),
        ([0.0, 0.0], "sum to 0; "),
        ([np.inf, 0.0], "sum to inf; "),
    ],
)
def test_probabilities_that_are_none_are_named(row, message):
    with pytest.raises(
        DataError, match=f"row 1: the probabilit.*{message}.*for scores there are"
    ) as error:
        scores_of([[0.5, 0.5], row], as_is=False)
    assert ("as_is=True" in str(error.value)) == (row == [0.5, 0.6])


def test_probabilities_that_only_want_dividing_may_come_as_they_are():
    np.testing.assert_array_equal(scores_of([[1.0, 2.0]], as_is=True), np.log([[1.0, 2.0]]))
    for row in ([-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]):
        with pytest.raises(DataError, match="row 0"):
            scores_of([row], as_is=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "bool"])
def test_scores_are_computed_in_single_or_double(dtype):
    expected = np.float32 if dtype in ("float16", "float32") else np.float64
    assert checked_scores(np.ones((1, 2), dtype), as_is=False).dtype == expected


def test_rows_without_weight_are_no_rows():
    rows = labelled(np.arange(6.0).reshape(3, 2), [0, 1, 1], [1.0, 0.0, 2.0])
    assert rows.labels.tolist() == [0, 1]
    assert rows.of_labels().tolist() == [0.0, 5.0]
    assert rows.effective == pytest.approx(9 / 5)


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        ([0, 2], None, "row 1: the label 2 is no class; expected 0 to 1"),
        ([0, -1], None, "row 1: the label -1"),
        ([0], None, "labels have shape"),
        ([0.0, 1.0], None, "dtype float64; expected integers"),
        ([0, 1], [1.0, -1.0], "row 1: the weight -1.0"),
        ([0, 1], [np.inf, 1.0], "row 0: the weight inf"),
        ([0, 1], [1.0], "sample_weight has shape"),
        ([0, 1], [0.0, 0.0], "weights sum to 0"),
    ],
)
def test_labels_and_weights_that_do_not_fit_are_named(labels, weights, message):
    with pytest.raises(DataError, match=message):
        labelled(np.zeros((2, 2)), labels, weights)


def test_no_row_is_too_few():
    with pytest.raises(DataError, match="there is no row"):
        labelled(np.zeros((0, 2)), [], None)
