"""Many texts as two arrays: their UTF-8 bytes end to end, and where each of them ends."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def join_texts(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    r"""Bytes of all texts, and the end of each among them.

    Raises
    ------
    ValueError
        A text has no UTF-8: it holds half of a surrogate pair.

    Examples
    --------
    >>> content, ends = join_texts(["née", ""])
    >>> content.tobytes(), ends.tolist()
    (b'n\xc3\xa9e', [4, 4])
    """
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def split_texts(content: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[str, ...]:
    """Texts of `join_texts`'s arrays, trusting nothing in them.

    Raises
    ------
    ValueError
        The ends do not ascend to the number of bytes, or a text is no UTF-8.

    Examples
    --------
    >>> split_texts(*join_texts(["née", ""]))
    ('née', '')
    """
    bounds = np.concatenate([np.zeros(1, np.int64), ends])
    if bounds[-1] != len(content) or (bounds[1:] < bounds[:-1]).any():
        raise ValueError("the ends of its texts do not ascend to the number of their bytes")
    whole = content.tobytes()
    return tuple(whole[start:end].decode() for start, end in pairwise(bounds.tolist()))
