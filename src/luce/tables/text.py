"""Text columns: hashed word and character n-grams, weighted by how few rows have them."""

import re
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.tables.features import FeatureName
from luce.tables.values import ColumnBlock, is_text, levels, shortened

if TYPE_CHECKING:
    from scipy import sparse

FEWEST_BITS = 10
MOST_BITS = 18

BYTES_TOGETHER = 2**20
"""Texts of so many bytes are hashed together: while it lasts, a byte takes a hundred others."""

SHORTEST, LONGEST = 3, 5
"""Characters that are hashed together."""

_WORD = re.compile(r"\b\w\w+\b")
_NO_BLANKS = re.compile(r"\S+")
_LONG = 2**16  # characters of a word that are hashed at a time
_MANY = 2**18  # words of a text, and pairs, that are hashed at a time


@dataclass(frozen=True, eq=False)
class TextColumn:
    """How one text column becomes features, nearly all of them 0.

    Words and pairs of neighbouring words are hashed into the first half of 2**bits buckets, and
    3 to 5 neighbouring characters within words (a blank on either side of each) into the second,
    after lowering the case, by the hash of scikit-learn's `HashingVectorizer`. A bucket's feature
    is how often it is hit, times `idf`, over the Euclidean norm of the row; a missing value, and
    a text of which no training row had a part, is 0 throughout.

    Attributes
    ----------
    name
        The column's name.
    type
        The Arrow type that the training table had.
    bits
        Of the number of a bucket, 1 to 18.
    idf
        (2**bits,), float32: 1 + log((1 + n) / (1 + m)), where m of the n training rows hit the
        bucket, and 0 where none did.

    Examples
    --------
    >>> column = TextColumn(name="title", type="string", bits=1, idf=np.ones(2, np.float32))
    >>> column.kind
    'text'
    >>> column == TextColumn(name="title", type="string", bits=1, idf=np.zeros(2, np.float32))
    False
    """

    name: str
    type: str
    bits: int
    idf: NDArray[np.float32]

    @property
    def kind(self) -> Literal["text"]:
        """The column's kind."""
        return "text"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TextColumn)
            and (self.name, self.type, self.bits) == (other.name, other.type, other.bits)
            and np.array_equal(self.idf, other.idf)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.type, self.bits))


def fit_text(block: ColumnBlock) -> TextColumn:
    """Return in how few rows each bucket is hit, in as many buckets as so much text deserves."""
    lengths = (pc.sum(pc.utf8_length(levels(part))).as_py() or 0 for part in _light_blocks(block))
    bits = int(np.clip((4 * sum(lengths)).bit_length(), FEWEST_BITS, MOST_BITS))
    rows_with = np.zeros(2**bits, np.int64)
    for hits in _hits(block, bits):
        rows_with += np.bincount(hits.indices, minlength=2**bits)
    rows = len(block.values)
    idf = np.where(rows_with, 1 + np.log((1 + rows) / (1 + rows_with)), 0)
    return TextColumn(block.name, str(block.values.type), bits, idf.astype(np.float32))


def text_features(column: TextColumn, block: ColumnBlock) -> "sparse.csr_array":
    """Return the block's features, (rows, 2**bits), float32, with sorted indices."""
    from scipy import sparse

    pieces = [_weighted(hits, column.idf) for hits in _hits(block, column.bits)]
    if not pieces:
        return sparse.csr_array((0, 2**column.bits), dtype=np.float32)
    return pieces[0] if len(pieces) == 1 else sparse.vstack(pieces, format="csr")


def name_text(column: TextColumn, place: int) -> FeatureName:
    """Return the name of one of the features of `text_features`."""
    what = "words" if place < 2 ** (column.bits - 1) else "characters"
    unit = f"per unit of the hashed {what} of {shortened(column.name)}, bucket {place}"
    return FeatureName(column.name, "bucket", f"{what}, bucket {place}", unit)


def text_bytes(block: ColumnBlock) -> NDArray[np.int64]:
    """Return how many bytes of text each row has, (rows,): 0 where the values are no text."""
    values = block.values
    if pa.types.is_dictionary(values.type):
        values = levels(block)
    elif not is_text(values.type):
        return np.zeros(len(values), np.int64)
    elif pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    return np.asarray(pc.binary_length(values).fill_null(0).to_numpy().astype(np.int64))


def light_parts(sizes: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Cut rows of such sizes into parts of at most `most` in all, or of one row that has more."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    first = 0
    while first < len(sizes):
        end = int(np.searchsorted(ends, ends[first] + most, "right")) - 1
        yield slice(first, max(end, first + 1))
        first = max(end, first + 1)


def _hits(block: ColumnBlock, bits: int) -> Iterator[Any]:
    """How often each row hits each bucket, a CSR array for each part of the block."""
    from scipy import sparse

    for part in _light_blocks(block):
        texts = [(text or "").lower() for text in levels(part).to_pylist()]
        halves = _hits_of_words(texts, bits - 1), _hits_of_characters(texts, bits - 1)
        yield sparse.csr_array(sparse.hstack(halves, format="csr"))


def _light_blocks(block: ColumnBlock) -> Iterator[ColumnBlock]:
    for piece in block.pieces():
        for part in light_parts(text_bytes(piece), BYTES_TOGETHER):
            yield piece.slice(part.start, part.stop - part.start)


def _hits_of_words(texts: Sequence[str], bits: int) -> Any:
    from scipy import sparse

    if len(texts) > 1:
        return _hasher(bits).transform(map(_words_and_pairs, texts))
    hits = sparse.csr_array((1, 2**bits), dtype=np.float32)
    parts = _words_and_pairs(texts[0])
    while some := list(islice(parts, _MANY)):
        hits = hits + sparse.csr_array(_hasher(bits).transform([some]))
    return hits


def _hits_of_characters(texts: Sequence[str], bits: int) -> Any:
    from scipy import sparse

    hits = sparse.csr_array((len(texts), 2**bits), dtype=np.float32)
    for words, counts in _counted_words(texts):
        hits = hits + counts @ sparse.csr_array(_hasher(bits).transform(map(_neighbours, words)))
    return hits


def _counted_words(texts: Sequence[str]) -> Iterator[tuple[Collection[str], Any]]:
    """Words, each once, and how often each text has them, (texts, words); some words at a time."""
    from scipy import sparse

    numbers: dict[str, int] = {}
    places = array("i"), array("i")
    characters = 0

    def counts() -> Any:
        ones = np.ones(len(places[0]), np.float32)
        return sparse.csr_array((ones, places), shape=(len(texts), len(numbers)))

    for row, text in enumerate(texts):
        for word in _padded_words(text):
            number = numbers.get(word)
            if number is None:
                number = numbers[word] = len(numbers)
                characters += len(word)
            places[0].append(row)
            places[1].append(number)
            if characters > BYTES_TOGETHER:
                yield numbers, counts()
                numbers, places, characters = {}, (array("i"), array("i")), 0
    if numbers:
        yield numbers, counts()


def _words_and_pairs(text: str) -> Iterator[str]:
    """Words of two letters or more, and pairs of neighbours."""
    before = None
    for match in _WORD.finditer(text):
        word = match[0]
        yield word
        if before is not None:
            yield f"{before} {word}"
        before = word


def _padded_words(text: str) -> Iterator[str]:
    """What is between blanks, with a blank on either side; where it is long, in parts of it."""
    for match in _NO_BLANKS.finditer(text):
        word = f" {match[0]} "
        if len(word) <= _LONG:
            yield word
        else:
            for first in range(0, len(word), _LONG):
                yield word[first : first + _LONG + LONGEST - 1]


def _neighbours(word: str) -> list[str]:
    """Characters next to each other; of a part of a long word those that start before the next."""
    return [
        word[first : first + count]
        for count in range(SHORTEST, LONGEST + 1)
        for first in range(min(len(word) - count + 1, _LONG))
    ]


def _hasher(bits: int) -> Any:
    from sklearn.feature_extraction import FeatureHasher

    return FeatureHasher(2**bits, input_type="string", alternate_sign=False, dtype=np.float32)


def _weighted(hits: Any, idf: NDArray[np.float32]) -> Any:
    hits.data = hits.data * idf[hits.indices]
    hits.eliminate_zeros()
    hits.sort_indices()
    lengths = np.diff(hits.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    norms = np.sqrt(np.bincount(rows, hits.data.astype(np.float64) ** 2, len(lengths)))
    hits.data = (hits.data / norms[rows]).astype(np.float32)
    return hits
