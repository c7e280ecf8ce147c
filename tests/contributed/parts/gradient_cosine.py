"""The cosine of successive gradients, and a figure of it over the steps beside the loss."""

# mypy: ignore-errors

import numpy as np
from matplotlib.figure import Figure

from ffn_train.parts import RunFigure, StepQuantity, choice


@choice("quantity", "gradient_cosine")
class GradientCosine(StepQuantity):
    """Cosine of the angle between the gradients of two successive measured steps."""

    per = "run"
    symbol = r"$\cos(g_t, g_{t-1})$"
    equation = "g·g' / (|g| |g'|)"
    needs = ("gradient", "memory")
    log = False  # it has a sign

    def memory(self, model, dtype):
        return {"before": np.zeros(model.layout.size, dtype)}

    def value(self, step, memory, out):
        now, before = step.gradient, memory["before"]
        # unit vectors first: squares of a small float32 gradient would underflow
        sizes = np.linalg.norm(now.astype(float)), np.linalg.norm(before.astype(float))
        if all(sizes):
            out[...] = (now / sizes[0]) @ (before / sizes[1])
        else:
            out[...] = np.nan
        before[...] = now


@choice("figure", "cosine_and_loss")
class CosineAndLoss(RunFigure):
    """The cosine of successive gradients over the steps, with the training loss beside it."""

    needs = ("gradient_cosine", "loss")

    def draw(self, run):
        figure = Figure(figsize=(8, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        measured = run.measures["gradient_cosine"]
        left.plot(measured.step, np.ravel(measured.values), ".-")
        left.axhline(0, color="grey", linewidth=0.5)
        left.set(xlabel="step", ylabel=GradientCosine.symbol, ylim=(-1.05, 1.05))
        right.plot(run.scalars["step"], run.scalars["loss"])
        right.set(xlabel="step", ylabel="loss")
        return figure
