"""The residual branch: y = W₂ act(W₁ x + b₁) + b₂, or gated y = W₂ (act(W_g x + b_g) ∘ u) + b₂."""

from __future__ import annotations

from ffn_train.nn.compiled.blas import product, product_of_transpose, product_with_transpose
from ffn_train.nn.compiled.jit import call, inlined


@inlined
def linear_of(theta, start, fan_out, fan_in):
    """The weight and bias that begin at ``start``, and where the next tensor begins."""
    middle = start + fan_out * fan_in
    weight = theta[start:middle].reshape(fan_out, fan_in)
    return weight, theta[middle : middle + fan_out], middle + fan_out


@inlined
def products_backward(theta, grads, at, fan_out, fan_in, dy, x, dx):
    """dW = dyᵀ x and dx = dy W of the affine map at ``at``."""
    weight, _, _ = linear_of(theta, at, fan_out, fan_in)
    dweight, _, _ = linear_of(grads, at, fan_out, fan_in)
    product_of_transpose(dy, x, dweight)
    product(dy, weight, dx)


@inlined
def branch(scheme, theta, at, inner, hidden, slope, value, gate, y):
    """W₂ h into ``y``, without b₂, which is returned; ``gate`` is scratch for h ∘ u."""
    weight, bias, at = linear_of(theta, at, scheme.hidden, scheme.width)
    product_with_transpose(inner, weight, hidden)
    call(scheme.activate, (hidden, slope, bias, scheme.settings))
    through = hidden
    if scheme.gated:
        weight, bias, at = linear_of(theta, at, scheme.hidden, scheme.width)
        product_with_transpose(inner, weight, value)
        for n in range(value.shape[0]):
            for j in range(value.shape[1]):
                value[n, j] += bias[j]
                gate[n, j] = hidden[n, j] * value[n, j]
        through = gate
    weight, bias, at = linear_of(theta, at, scheme.width, scheme.hidden)
    product_with_transpose(through, weight, y)
    return bias


@inlined
def branch_backward(
    scheme, theta, grads, at, dy, inner, hidden, slope, value, dhidden, dvalue, dinner
):
    """All gradients but db₂, from dL/dy, which is overwritten, to dL/dinner.

    ``dhidden`` and ``dvalue`` (N, H) are scratch; without a gate ``dvalue`` is empty.
    """
    through, layer = hidden, scheme.hidden * (scheme.width + 1)
    up_at = at + layer if scheme.gated else at
    if scheme.gated:
        for n in range(value.shape[0]):
            for j in range(value.shape[1]):
                dvalue[n, j] = hidden[n, j] * value[n, j]
        through = dvalue
    products_backward(
        theta, grads, up_at + layer, scheme.width, scheme.hidden, dy, through, dhidden
    )
    if scheme.gated:
        _, dbias, _ = linear_of(grads, up_at, scheme.hidden, scheme.width)
        dbias[:] = 0
        for n in range(value.shape[0]):
            for j in range(value.shape[1]):
                du = dhidden[n, j] * hidden[n, j]
                dvalue[n, j] = du
                dbias[j] += du
                dhidden[n, j] *= value[n, j]
        products_backward(theta, grads, up_at, scheme.hidden, scheme.width, dvalue, inner, dy)
    _, dbias, _ = linear_of(grads, at, scheme.hidden, scheme.width)
    call(scheme.activate_backward, (dhidden, slope, dbias, scheme.settings))
    products_backward(theta, grads, at, scheme.hidden, scheme.width, dhidden, inner, dinner)
    if scheme.gated:
        for n in range(dy.shape[0]):
            for j in range(dy.shape[1]):
                dinner[n, j] += dy[n, j]
