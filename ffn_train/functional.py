"""The textbook functions: a layer, a two-layer block, a residual sum, and their gradients by hand.

A vector x has shape (D,), and y = W x + b; a batch x has shape (N, D), one sample per row, and
y = x Wᵀ + b. Weights are (fan_out, fan_in). Arguments are arrays or lists of numbers; integers
become float64. A gradient ``dx`` is dLoss/dx and has the shape of x; over a batch the gradients of
W and b are sums over its samples. What dW "does" below is what a step along -dW does in training.

Each training step of a language model runs these equations backward through every feed-forward
block y = W₂ act(W₁ x + b₁) + b₂, at every position of every sequence. ``act`` and ``act'`` are
given as a pair of functions of the pre-activation z, such as ``np.tanh`` and
``lambda z: 1 - np.tanh(z) ** 2``, or the methods ``value`` and ``derivative`` of an activation of
this package, such as ``GELU()`` of ffn_train.nn.activations.gelu.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]
Elementwise = Callable[[Array], Array]


def forward_pass(x: ArrayLike, W: ArrayLike, b: ArrayLike, activation_fn: Elementwise) -> Array:
    """One layer: y = act(z), z = W x + b.

    Shapes: x (D,) or (N, D); W (H, D); b (H,); y (H,) or (N, H).

    In a transformer this is the up-projection of the feed-forward block: row i of W is a direction
    of the residual stream that hidden unit i responds to, -b_i its threshold, and y_i how strongly
    it fires at each position.

    Raises ValueError if a shape does not fit or an argument holds no real numbers.
    """
    x, W, b = _arrays(x=x, W=W, b=b)
    return _apply(activation_fn, _affine(x, W, b), "activation_fn")


def backward_pass(
    dy: ArrayLike,
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike,
    activation_fn: Elementwise,
    activation_grad_fn: Elementwise,
) -> tuple[Array, Array, Array]:
    """The gradients dW, db, dx of one layer y = act(z), z = W x + b, given dy = dLoss/dy.

        dz = dy ∘ act'(z)        through the nonlinearity
        dW = dz xᵀ               over a batch: Σ_n dz_n x_nᵀ
        db = dz                  over a batch: Σ_n dz_n
        dx = Wᵀ dz

    Shapes: dy like y, (H,) or (N, H); dW (H, D); db (H,); dx like x. ``activation_grad_fn`` takes
    the pre-activation z, so that the gradient does not need ``activation_fn``: only the shape of
    its result is checked.

    What each is for when a language model is trained:

    * dW turns each hidden unit's direction towards the inputs that it should have responded to more
      strongly, and away from the others. It is the outer product of dz and x, so it is large only
      where both are: nothing is learned by a dead unit (act'(z) = 0 at every token) or from an
      input that is 0. This matrix, summed over all tokens of the batch, is what the optimizer sees.
    * db moves the unit's threshold: how readily it fires whatever the input.
    * dx is passed on to the layer below and changes no weight here; the product of these factors
      over the depth is what vanishes or explodes.

    Raises ValueError if a shape does not fit or an argument holds no real numbers.
    """
    dy, x, W, b = _arrays(dy=dy, x=x, W=W, b=b)
    z = _affine(x, W, b)
    y = _apply(activation_fn, z, "activation_fn")
    _need("dy", dy, "y", y.shape)
    dz = dy * _apply(activation_grad_fn, z, "activation_grad_fn")
    return _affine_gradients(dz, x, W)


def backprop_two_layer(
    x: ArrayLike,
    W1: ArrayLike,
    b1: ArrayLike,
    W2: ArrayLike,
    b2: ArrayLike,
    activation_fn: Elementwise,
    activation_grad_fn: Elementwise,
    dy: ArrayLike,
) -> tuple[Array, Array, Array, Array, Array]:
    """The gradients dW1, db1, dW2, db2, dx of the feed-forward block y = W2 act(W1 x + b1) + b2.

        z = W1 x + b1,  h = act(z)               forward
        dW2 = dy hᵀ,    db2 = dy,   dh = W2ᵀ dy  the second, linear layer
        dz = dh ∘ act'(z)                        the nonlinearity
        dW1 = dz xᵀ,    db1 = dz,   dx = W1ᵀ dz  the first layer

    Over a batch the gradients of matrices and biases are sums: dW2 = Σ_n dy_n h_nᵀ, db2 = Σ_n dy_n.

    Shapes: x and dy (D,) or (N, D); W1 (H, D); b1 (H,); W2 (D, H); b2 (D,); each gradient like its
    argument. (W2 may map to another width than that of x; dy is then as wide as b2.)

    What each is for when a language model is trained:

    * dW2, column i: what unit i should write into the residual stream when it fires. Read as a
      key-value memory (Geva et al. 2021), W1 holds the keys and W2 the values, and this corrects
      the values, weighted by how strongly each key matched.
    * db2 shifts what the block writes at every position alike.
    * dW1, row i: which inputs should make unit i fire: -dh says how much a larger h_i would lower
      the loss, act' whether the unit still responds to its input.
    * db1 moves the units' thresholds, and with them the share of inputs at which each fires.
    * dx is the block's part of the residual stream's gradient, which is added to the part along the
      skip path (``residual_backward``). Two matrices and one act' multiply it, so without the skip
      path the gradient passes two hundred matrices in a hundred blocks.

    Raises ValueError if a shape does not fit or an argument holds no real numbers.
    """
    x, W1, b1, W2, b2, dy = _arrays(x=x, W1=W1, b1=b1, W2=W2, b2=b2, dy=dy)
    z = _affine(x, W1, b1, names=("W1", "b1"))
    h = _apply(activation_fn, z, "activation_fn")
    _need("W2", W2, f"W1 of shape {W1.shape}", (*np.shape(W2)[:1], len(W1)))
    y = _affine(h, W2, b2, names=("W2", "b2"))
    _need("dy", dy, "y", y.shape)
    dW2, db2, dh = _affine_gradients(dy, h, W2)
    dz = dh * _apply(activation_grad_fn, z, "activation_grad_fn")
    dW1, db1, dx = _affine_gradients(dz, x, W1)
    return dW1, db1, dW2, db2, dx


def residual_backward(dout: ArrayLike) -> tuple[Array, Array]:
    """The gradients dx_input, dx_ffn of a residual sum out = x + ffn(x), given dout = dLoss/dout.

        dx_input = dout      along the skip path, unchanged
        dx_ffn   = dout      into the block; its own backward pass turns it into a part of dx

    The sum copies its gradient to both terms; the whole gradient of x is dx_input plus what comes
    out of the block's backward pass when dx_ffn goes in.

    Without this copy the gradient of a language model of a hundred blocks vanishes on its way back.
    With it dx_input reaches the first block, and the embedding, without passing through a single
    matrix (if no norm lies on the skip path): each block adds a correction to a gradient that is
    already there, instead of being the only way through. So that these corrections do not add up
    to an explosion, deep models have a norm before each branch, or a small factor on it.

    Any shape; the two arrays returned share no memory with each other or with ``dout``.

    Raises ValueError if ``dout`` holds no real numbers.
    """
    (dout,) = _arrays(dout=dout)
    return dout.copy(), dout.copy()


def _arrays(**given: ArrayLike) -> list[Array]:
    """The arguments as floating-point arrays. Raises ValueError naming one that is not numeric."""
    arrays = []
    for name, value in given.items():
        try:
            array = np.asarray(value)
        except ValueError:
            raise ValueError(
                f"{name} must be an array of numbers, got rows of unequal lengths"
            ) from None
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
        arrays.append(array if array.dtype.kind == "f" else array.astype(np.float64))
    return arrays


def _affine(x: Array, W: Array, b: Array, names: tuple[str, str] = ("W", "b")) -> Array:
    """z = W x + b, for a vector or for each row of a batch."""
    weight, bias = names
    if np.ndim(W) != 2:
        raise ValueError(f"{weight} has shape {np.shape(W)}, it needs (fan_out, fan_in)")
    if np.ndim(x) not in (1, 2) or np.shape(x)[-1] != W.shape[1]:
        fan_in = W.shape[1]
        raise ValueError(
            f"x has shape {np.shape(x)}, {weight} of shape {W.shape} needs ({fan_in},) or "
            f"(N, {fan_in})"
        )
    _need(bias, b, f"{weight} of shape {W.shape}", W.shape[:1])
    return x @ W.T + b


def _affine_gradients(dz: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """dW, db and dx of z = W x + b."""
    rows_of_dz, rows_of_x = np.atleast_2d(dz), np.atleast_2d(x)
    return rows_of_dz.T @ rows_of_x, rows_of_dz.sum(axis=0), dz @ W


def _apply(function: Elementwise, z: Array, name: str) -> Array:
    result = function(z.copy())  # which it may overwrite, as np.tanh(z, out=z) does
    _need(f"the result of {name}", result, "z", z.shape)
    # in the precision of z: a derivative such as np.where(z > 0, 1.0, 0.0) is float64 for any z
    return np.asarray(result, np.result_type(z, np.float16))


def _need(name: str, array: Array, what: str, shape: tuple[int, ...]) -> None:
    if np.shape(array) != shape:
        raise ValueError(f"{name} has shape {np.shape(array)}, {what} needs {shape}")
