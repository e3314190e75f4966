import numpy as np
import pytest
import scipy.sparse

from luce.errors import DataError
from luce.training.network import fit_network, fit_network_lbfgs

WEIGHTS = np.ones(120)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x.astype(np.float32), y, None), "dtype float32; expected .* float64"),
        (lambda x, y: (x.tolist(), y, None), "list; expected an array"),
        (lambda x, y: (x[0], y, None), r"shape \(4,\)"),
        (lambda x, y: (np.asfortranarray(x), y, None), "C-contiguous"),
        (lambda x, y: (x[:, :3].copy(), y, None), "takes 4 features, and is given 3"),
        (lambda x, y: (scipy.sparse.csc_array(x), y, None), "expected an array or CSR"),
        (lambda x, y: (x, y[1:], None), r"targets have shape \(119,\)"),
        (lambda x, y: (x, y.astype(np.int32), None), "dtype int32"),
        (lambda x, y: (x, np.eye(4)[y], None), r"\(120, 3\) distributions"),
        (lambda x, y: (x, np.eye(3, dtype=np.float32)[y], None), "distributions of float64"),
        (lambda x, y: (x, changed(y, 17, 3), None), "row 18 has label 3.* 0 to 2"),
        (lambda x, y: (x, changed(y, 17, -1), None), "row 18 has label -1"),
        (lambda x, y: (x, y, WEIGHTS[1:]), "sample_weight has shape"),
        (lambda x, y: (x, y, WEIGHTS.astype(np.float32)), "float64"),
        (lambda x, y: (x, y, changed(WEIGHTS, 3, -1)), "negative"),
        (lambda x, y: (x, y, changed(WEIGHTS, 3, np.nan)), "not finite"),
        (lambda x, y: (x, y, 1e308 * WEIGHTS), "nearer 1"),
        (lambda x, y: (x, y, 1e-320 * WEIGHTS), "nearer 1"),
        (lambda x, y: (x, y, 0 * WEIGHTS), "no rows of positive weight"),
        (lambda x, y: (x[:0], y[:0], None), "no rows of positive weight"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, network, random, change, message):
    features, targets, weights = change(*rows())
    with pytest.raises(DataError, match=message):
        fit_network(network(), features, targets, random=random, sample_weight=weights)
    with pytest.raises(DataError, match=message):
        fit_network_lbfgs(network(), features, targets, sample_weight=weights)
