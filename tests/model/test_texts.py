"""Texts as bytes and ends: what goes in comes out, and nothing else does."""

import numpy as np
import pytest

from luce.model.texts import join_texts, split_texts

TEXTS = ["", "a", "née\n\x00", "☂" * 1000, "", "\U0001f427"]


@pytest.mark.parametrize("texts", [[], [""], TEXTS])
def test_they_come_back(texts):
    content, ends = join_texts(texts)
    assert (content.dtype, ends.dtype) == (np.uint8, np.int64)
    assert split_texts(content, ends) == tuple(texts)


def test_half_of_a_surrogate_pair_has_no_bytes():
    with pytest.raises(ValueError, match="surrogates"):
        join_texts(["\ud800"])


@pytest.mark.parametrize(
    "ends", [[], [2], [4], [2, 1, 3], [-1, 3], [3, 2**63 - 1], [-(2**63), 3], [2**63 - 1, 3]]
)
def test_ends_that_are_no_ends(ends):
    with pytest.raises(ValueError, match="do not ascend"):
        split_texts(np.frombuffer(b"abc", np.uint8), np.array(ends, np.int64))


@pytest.mark.parametrize(
    "content", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
def test_bytes_that_are_no_text(content):
    with pytest.raises(UnicodeDecodeError):
        split_texts(np.frombuffer(content, np.uint8), np.array([len(content)]))


def test_a_character_is_not_shared():
    with pytest.raises(UnicodeDecodeError):
        split_texts(np.frombuffer("é".encode(), np.uint8), np.array([1, 2]))
