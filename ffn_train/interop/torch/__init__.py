"""The gradient flow of a PyTorch network while it trains; only this folder imports torch.

A block's input x_l is handed on as a view, and the block's submodules read a view of that view, so
that hooks on these tensors see dL/dx_l and its branch part; the rest of it came by the skip path.
Nothing of the network or its gradients is changed.
"""
