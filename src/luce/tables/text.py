"""Text columns: hashed word and character n-grams, weighted by how few rows have them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.tables.features import FeatureName
from luce.tables.values import ColumnBlock, levels, shortened

if TYPE_CHECKING:
    from scipy import sparse

FEWEST_BITS = 10
MOST_BITS = 18

WORDS = {"analyzer": "word", "ngram_range": (1, 2)}
CHARACTERS = {"analyzer": "char_wb", "ngram_range": (3, 5)}


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
    lengths = (pc.sum(pc.utf8_length(levels(piece))).as_py() or 0 for piece in block.pieces())
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


def _hits(block: ColumnBlock, bits: int) -> Iterator[Any]:
    """How often each row hits each bucket, a CSR array for each piece of the block."""
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer

    halves = [
        HashingVectorizer(
            **ngrams, n_features=2 ** (bits - 1), alternate_sign=False, norm=None, dtype=np.float32
        )
        for ngrams in (WORDS, CHARACTERS)
    ]
    for piece in block.pieces():
        texts = [text or "" for text in levels(piece).to_pylist()]
        hits = sparse.hstack([half.transform(texts) for half in halves], format="csr")
        yield sparse.csr_array(hits)


def _weighted(hits: Any, idf: NDArray[np.float32]) -> Any:
    hits.data = hits.data * idf[hits.indices]
    hits.eliminate_zeros()
    hits.sort_indices()
    lengths = np.diff(hits.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    norms = np.sqrt(np.bincount(rows, hits.data.astype(np.float64) ** 2, len(lengths)))
    hits.data = (hits.data / norms[rows]).astype(np.float32)
    return hits
