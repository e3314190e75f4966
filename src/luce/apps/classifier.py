"""What is said of a model's classifier: its kind, how it was fitted, and what is in it."""

from collections.abc import Mapping
from typing import Any, assert_never

from rich.console import Console

from luce.apps.layout import MOST_CLASSES, Right, add, counted, new_table
from luce.model import Model
from luce.model.choosing import ERRORS_TO_WIN
from luce.model.fitting import FOLDS, GRID
from luce.model.record import Choice, LinearTraining, NetworkTraining


def named(model: Model) -> str:
    """What kind of classifier it is."""
    match model.document.training.fit:
        case LinearTraining():
            return "linear softmax classifier"
        case NetworkTraining(layers=layers):
            hidden = (f"{layer.outputs:,} {layer.activation}" for layer in layers[:-1])
            return f"softmax network of {' and '.join(hidden) or 'no hidden'} units"
        case other:
            assert_never(other)


def parameters(model: Model) -> int:
    """How many numbers were learnt."""
    fixed = {"centre", "scale"}
    return sum(array.size for name, array in model.scorer.tensors.items() if name not in fixed)


def penalty(model: Model) -> str:
    """The strength of the penalty, with the name that it goes by."""
    match model.document.training.fit:
        case LinearTraining(C=C):
            return f"C = {C:g}"
        case NetworkTraining(penalty=alpha):
            return f"alpha = {alpha:g}"
        case other:
            assert_never(other)


def print_choices(out: Console, model: Model) -> None:
    """What was not told but chosen, and why."""
    training = model.document.training
    if training.choice is not None:
        out.print(chosen(training.choice))
    fit = training.fit
    if isinstance(fit, LinearTraining) and fit.C_chosen_by == "cross-validation":
        out.print(
            f"C = {fit.C:g}, the best of {GRID[0]:g} to {GRID[-1]:g} in a "
            f"{FOLDS}-fold cross-validation of the rows fitted on"
        )


def chosen(choice: Choice) -> str:
    """Why the network, or the linear model."""
    found = {"linear": choice.linear, "network": choice.network}
    other = "network" if choice.chosen == "linear" else "linear"
    better = choice.linear - choice.network
    figures = (
        f"{choice.chosen}: validation log loss {found[choice.chosen]:.3f}, {other} "
        f"{found[other]:.3f}; difference {abs(better):.3f} +- {choice.standard_error:.3f},\n"
        f"on {counted(choice.rows, 'row')} of those fitted on, set aside from both"
    )
    if choice.chosen == "linear" and better > 0:
        return (
            f"{figures};\nwithin {ERRORS_TO_WIN:g} standard errors it may be chance, and "
            "the simpler model is taken"
        )
    return figures


def fitted(model: Model) -> str:
    """How well the fit succeeded."""
    match model.document.training.fit:
        case LinearTraining() as fit:
            certified = fit.optimality_gap <= fit.tol
            return (
                f"{'Certificate' if certified else '[bold yellow]Not certified[/]'}: within "
                f"{fit.optimality_gap:.1e} of the minimum, relatively (asked: {fit.tol:.0e}); "
                f"{fit.passes} passes."
            )
        case NetworkTraining() as fit:
            return (
                f"Network: epoch {fit.best_epoch} of {fit.epochs}, the best by its log loss, "
                f"{fit.validation_loss:.3f}, on {counted(fit.validation_rows, 'row')}\n"
                "of those fitted on, set aside to tell when to stop."
            )
        case other:
            assert_never(other)


def print_inside(out: Console, model: Model) -> None:
    """What pushes each class, or the layers."""
    fit = model.document.training.fit
    if isinstance(fit, NetworkTraining):
        _print_layers(out, fit)
    else:
        _print_pushes(out, model)


def inside_as_json(model: Model) -> Mapping[str, Any]:
    """What `print_inside` prints; the layers are in the document already."""
    if isinstance(model.document.training.fit, NetworkTraining):
        return {}
    pushes = {
        str(label): [
            {"column": push.feature.column, "unit": push.feature.unit, "push": push.coefficient}
            for push in of_class
        ]
        for label, of_class in zip(model.document.target.classes, model.pushes(), strict=True)
    }
    return {"pushes": pushes}


def _print_layers(out: Console, fit: NetworkTraining) -> None:
    out.print(
        "Layers, from the features to the scores of the classes"
        + ("; the numbers of embeddings are centred and scaled before" if fit.standardised else "")
        + "\n"
    )
    listed = new_table(
        "layer", Right("inputs"), Right("outputs"), "activation", Right("parameters")
    )
    for place, layer in enumerate(fit.layers, 1):
        last = place == len(fit.layers)
        add(
            listed,
            f"{place} dense",
            f"{layer.inputs:,}",
            f"{layer.outputs:,}",
            "none: softmax" if last else layer.activation,
            f"{(layer.inputs + 1) * layer.outputs:,}",
        )
    out.print(listed)
    out.print(
        f"\nAdam, learning rate {fit.learning_rate:g}, batches of {counted(fit.batch_size, 'row')}"
    )


def _print_pushes(out: Console, model: Model) -> None:
    classes = model.document.target.classes
    out.print("What pushes each class most (change of its score, less the mean over the classes)")
    for label, pushes in list(zip(classes, model.pushes(), strict=True))[:MOST_CLASSES]:
        listed = new_table(f"{label}", Right("push"), "unit")
        for push in pushes:
            add(listed, push.feature.column, f"{push.coefficient:+.2f}", push.feature.unit)
        out.print()
        out.print(listed)
    if len(classes) > MOST_CLASSES:
        out.print(f"and {counted(len(classes) - MOST_CLASSES, 'class')} more: see --json")
