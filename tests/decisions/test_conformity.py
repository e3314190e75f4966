import numpy as np
import pytest

from luce.decisions.conformity import SCORES, ranking, scores_of


def plain(name, row, u, penalty, unpenalised):
    """The definitions, class by class."""
    order = sorted(range(len(row)), key=lambda c: (-row[c], c))
    scores = np.empty(len(row))
    for place, c in enumerate(order):
        before = sum(row[o] for o in order[:place])
        rank = place + 1
        scores[c] = {
            "lac": 1 - row[c],
            "aps": before + u * row[c],
            "raps": before + u * row[c] + penalty * max(0, rank - unpenalised),
            "saps": u * row[order[0]] if rank == 1 else row[order[0]] + (rank - 2 + u) * penalty,
        }[name]
    return scores


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_the_definitions(name, k, few_levels):
    probabilities = few_levels(60, k)
    u = np.random.default_rng(0).uniform(size=60)
    u[:20] = 1
    found = scores_of(name, probabilities, u, 0.07, 2)
    for row, part, scores in zip(probabilities, u, found, strict=True):
        np.testing.assert_allclose(scores, plain(name, row, part, 0.07, 2), rtol=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_the_names_of_classes_do_not_matter(name):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(9), size=20)
    shuffled = random.permutation(9)
    u = random.uniform(size=20)
    found = scores_of(name, probabilities, u, 0.1, 1)
    np.testing.assert_array_equal(
        scores_of(name, probabilities[:, shuffled], u, 0.1, 1), found[:, shuffled]
    )


@pytest.mark.parametrize("k", [2, 17, 300])
def test_ranking_is_stable(k, few_levels):
    block = few_levels(50, k)
    block[::2] = np.random.default_rng(0).dirichlet(np.ones(k), size=25)
    np.testing.assert_array_equal(ranking(block), np.argsort(-block, axis=1, kind="stable"))
