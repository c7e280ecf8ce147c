"""Whether a run learned: the verdict's words on its losses, beside those on its gradients."""

from __future__ import annotations

import numpy as np

from ffn_train.runs import Run

ROWS = 20  # of the training loss, which is that of a batch, to average over at the end
WORSE, GAP = 2.0, 0.2  # validation loss over training loss, and between the two's R²


def learning(run: Run, flow: str) -> str:
    """The verdict on the flow, after what the losses say against the run."""
    found = _against(run)
    return f"{found}; the flow is {flow}" if found else flow


def _against(run: Run) -> str:
    if run.config["optimizer"]["lr"] == 0:
        return "nothing was learned: optimizer.lr=0 changes no weight"
    r2, loss = (run.scalars[name][-1] for name in ("validation_r2", "validation_loss"))
    training = run.scalars["loss"][-ROWS:].mean()
    if loss > WORSE * training and (1 - r2) * (1 - training / loss) > GAP:
        best = np.nanmin(run.scalars["validation_loss"])
        return (
            f"overfitting: the loss is {training:.3g} in training and {loss:.3g} on the validation "
            f"rows (at best {best:.3g})"
        )
    if r2 <= 0:
        return f"no better than predicting the mean: R² is {r2:.2g} on the validation rows"
    return ""
