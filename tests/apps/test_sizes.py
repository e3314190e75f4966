"""Amounts of memory as people write them."""

import pytest

from luce.apps.sizes import bytes_of
from luce.errors import DataError


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("2kB", 2000), ("1.5GiB", 3 << 29), (" 3 M ", 3 * 10**6), ("4TB", 4 * 10**12)],
)
def test_sizes_in_words(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1.2.3GB", "0", "1e999GB", "3 bananas", "IB"])
def test_no_sizes(text):
    with pytest.raises(DataError, match="no amount of memory"):
        bytes_of(text)
