"""Networks trained: batches, optimisers, schedules, when to stop, checkpoints; and by L-BFGS."""

from luce.training.network.epochs import fit_network
from luce.training.network.lbfgs import fit_network_lbfgs
from luce.training.network.optimisers import Adam, Momentum, Optimiser
from luce.training.network.result import NetworkFit, NetworkProgress, NetworkState
from luce.training.network.schedules import Adaptive, Constant, Cosine, InverseScaling, Schedule

__all__ = [
    "Adam",
    "Adaptive",
    "Constant",
    "Cosine",
    "InverseScaling",
    "Momentum",
    "NetworkFit",
    "NetworkProgress",
    "NetworkState",
    "Optimiser",
    "Schedule",
    "fit_network",
    "fit_network_lbfgs",
]
