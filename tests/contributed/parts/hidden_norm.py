"""The largest hidden unit of any block."""

# mypy: ignore-errors

from ffn_train.parts import PassQuantity, choice


@choice("quantity", "hidden_norm")
class HiddenNorm(PassQuantity):
    """Largest absolute hidden unit of any block over the batch."""

    per = "run"
    symbol = r"$\max |h|$"
    equation = "max_lnj |h_lnj|"
    needs = ("signals",)

    def forward(self, at, partial):
        for hidden in at.hidden:
            partial[...] = max(partial, hidden.max(), -hidden.min())

    def combine(self, partial, other):
        partial[...] = max(partial, other)

    def value(self, partial, batch, out):
        out[...] = partial
