"""Writes ``foreign``: a run as another program might record it, with nothing of this package.

Its tensors have names of their own, in another order than that of computation; it has no
configuration, provenance, score, baseline, theory or summary; its files have a column and a key
that nobody knows. One quantity does not apply, one was measured more often than the others, and one
is not finite at a step.
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "foreign"
DEPTH, STEPS = 3, 9
TENSORS = [
    *(("head.kernel", [1, 4], None, "head", "kernel", 9), ("embed.table", [7, 4], None, "embed", "table", 0)),
    *(
        (f"h.{block}.{role}", shape, block, f"h.{block}", role, block + 1)
        for block in (2, 0, 1)
        for role, shape in (("mlp.fc/w", [8, 4]), ("mlp.proj/w", [4, 8]), ("ln_scale", [4]))
    ),
]


def quantity(name, per, file="measures.npy", **more):
    return {"name": name, "per": per, "file": file, **more}


def main():
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    keys = ("name", "shape", "block", "layer", "role", "order")
    layout = {
        "schema": 2,
        "depth": DEPTH,
        "recorded_by": "another program",
        "tensors": [{**dict(zip(keys, t, strict=True)), "trainable": True} for t in TENSORS],
        "quantities": [
            quantity("gradient_norm", "tensor", symbol="|dL/dθ|", says="Norm of each gradient."),
            quantity("weight_norm", "tensor"),
            quantity("update_norm", "tensor", needs=["update"]),
            quantity("signal_rms", "boundary"),
            quantity("signal_gradient_rms", "boundary", colour="blue"),
            quantity("skip_gradient_rms", "block"),
            quantity("branch_gradient_rms", "block"),
            quantity("dead_share", "block", absent="gelu has no dead units", log=False),
            quantity("attention_entropy", "block", "measures-2.npy", unit="nats", log=False),
            quantity("temperature", "run", "measures-2.npy", says="Of the softmax."),
            quantity("never_written", "run"),
        ],
    }
    (HERE / "layout.json").write_text(json.dumps(layout, indent=1, ensure_ascii=False) + "\n")
    shapes = {"tensor": (len(TENSORS),), "boundary": (DEPTH + 1,), "block": (DEPTH,), "run": ()}
    for file, every in (("measures.npy", 4), ("measures-2.npy", 2)):
        mask = [q for q in layout["quantities"] if q["file"] == file and q["name"] != "never_written"]
        fields = [("step", "<i8"), *((q["name"], "<f8", shapes[q["per"]]) for q in mask)]
        fields.append(("of_another_version", "<f8", (2,)))
        rows = np.zeros(len(range(0, STEPS, every)), fields)
        for name in rows.dtype.names:
            rows[name] = np.exp(rng.normal(size=rows[name].shape))
        rows["step"] = range(0, STEPS, every)
        if "dead_share" in rows.dtype.names:
            rows["dead_share"], rows["update_norm"][-1] = np.nan, np.nan
            rows["signal_gradient_rms"][-1, 1] = np.inf
        np.save(HERE / file, rows)
    lines = ["step,loss,tokens"]
    lines += [f"{step},{2 / (step + 1)!r},{step * 512}" for step in range(STEPS)]
    (HERE / "scalars.csv").write_text("\n".join(lines) + "\n")
    (HERE / "status.json").write_text('{"state": "finished", "reason": null}\n')


if __name__ == "__main__":
    main()
