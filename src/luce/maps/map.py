"""What a map offers to losses and networks."""

from typing import Any, Protocol, runtime_checkable

from numpy.typing import ArrayLike

from luce.maps._rows import Array


@runtime_checkable
class Map(Protocol):
    """argmax_p <p, scores> - T omega(p) over the simplex, as a value.

    The derivatives take probabilities, the map's own output. A row without a possible class has
    probabilities and derivatives 0; a NaN makes its own row NaN and no other.

    Notes
    -----
    Three more attributes are read where a map has them:

    - ``axis``, the classes; the last axis when absent.
    - ``temperature``, T, a number or an array that broadcasts against the scores with size one
      along the classes; 1 when absent.
    - ``fenchel_young(scores, targets, value, gradient)``, its Fenchel-Young loss in a form of its
      own, for a map whose loss would lose digits in the general one: the value of every row and the
      gradient, each if it is wanted, or None where it is left to the general form. The scores are
      float32 or float64; the targets are labels (int64, the shape of the batch) or distributions
      (float64, the shape of the scores), both checked.

    Examples
    --------
    >>> from luce.maps import Hardmax
    >>> from luce.maps.map import Map
    >>> isinstance(Hardmax(), Map)
    True
    """

    def __call__(self, scores: ArrayLike) -> Array:
        """Probabilities, of the shape of the scores."""

    def jvp(self, probabilities: ArrayLike, tangent: ArrayLike) -> Array:
        """How the probabilities move when the scores move along `tangent`."""

    def vjp(self, probabilities: ArrayLike, cotangent: ArrayLike) -> Array:
        """The gradient of <cotangent, probabilities> with respect to the scores."""

    def jacobian(self, probabilities: ArrayLike) -> Array:
        """All the derivatives: the batch, the classes, the classes again."""

    def omega(self, probabilities: ArrayLike) -> Any:
        """The regulariser of every row, without the temperature."""
