"""A laboratory for gradient flow in residual feed-forward stacks."""
