"""From scores to probabilities to decisions: multi-class classification done whole.

The names below follow the chain features -> scores -> softmax -> probabilities -> decision. Each
is loaded when it is first used, so that ``import luce`` costs next to nothing.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from luce import calibration, decisions
    from luce.errors import DataError, LuceError, ModelFileError, NotDifferentiableError
    from luce.estimators import DecisionClassifier, NetworkClassifier, SoftmaxClassifier
    from luce.kernels.threads import num_threads, threads
    from luce.kernels.versions import show_versions
    from luce.losses.cross_entropy import cross_entropy, cross_entropy_gradient
    from luce.losses.fenchel_young import FenchelYoung
    from luce.losses.linear_cross_entropy import linear_cross_entropy
    from luce.maps.hardmax import Hardmax, argmax, hardmax, topk
    from luce.maps.logsumexp import logsumexp
    from luce.maps.softmax import log_softmax, softmax
    from luce.maps.softmax_map import Softmax
    from luce.model import Model, load
    from luce.model.train import train

_ROOM_OF = {
    "argmax": "maps",
    "topk": "maps",
    "hardmax": "maps",
    "softmax": "maps",
    "log_softmax": "maps",
    "logsumexp": "maps",
    "Softmax": "maps",
    "Hardmax": "maps",
    "FenchelYoung": "losses",
    "cross_entropy": "losses",
    "cross_entropy_gradient": "losses",
    "linear_cross_entropy": "losses",
    "calibration": "calibration",
    "decisions": "decisions",
    "SoftmaxClassifier": "estimators",
    "NetworkClassifier": "estimators",
    "DecisionClassifier": "estimators",
    "train": "model",
    "load": "model",
    "Model": "model",
    "num_threads": "kernels.threads",
    "threads": "kernels.threads",
    "show_versions": "kernels.versions",
    "LuceError": "errors",
    "DataError": "errors",
    "ModelFileError": "errors",
    "NotDifferentiableError": "errors",
}

__all__ = [
    "DataError",
    "DecisionClassifier",
    "FenchelYoung",
    "Hardmax",
    "LuceError",
    "Model",
    "ModelFileError",
    "NetworkClassifier",
    "NotDifferentiableError",
    "Softmax",
    "SoftmaxClassifier",
    "argmax",
    "calibration",
    "cross_entropy",
    "cross_entropy_gradient",
    "decisions",
    "hardmax",
    "linear_cross_entropy",
    "load",
    "log_softmax",
    "logsumexp",
    "num_threads",
    "show_versions",
    "softmax",
    "threads",
    "topk",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("luce")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'luce' has no attribute {name!r}")
    room = import_module(f"luce.{_ROOM_OF[name]}")
    value = room if name == _ROOM_OF[name] else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _spare_limited_memory() -> None:
    """Have Arrow, not loaded yet, take memory as it needs it where the process has a limit.

    Its own pool takes a gigabyte at once, and leaves nothing for others within the limit.
    """
    if sys.platform == "win32":
        return
    import resource

    kinds = (resource.RLIMIT_DATA, resource.RLIMIT_AS)
    if any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in kinds):
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


_spare_limited_memory()
