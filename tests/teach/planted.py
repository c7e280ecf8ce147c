"""Backward passes in three styles, and mistakes that are planted in each."""

from __future__ import annotations

from dataclasses import dataclass

STYLES = ("loops", "matmul", "einsum")

LOOPS_LAYER = """
import numpy as np

def rows(a):
    return a if a.ndim == 2 else a[None]

def backward_pass(grad, data, weight, bias, fn, slope_fn):
    many, deltas = rows(data), rows(grad)
    n, d = many.shape
    h = len(bias)
    dweight, dbias, ddata = np.zeros((h, d)), np.zeros(h), np.zeros((n, d))
    for s in range(n):
        z = np.array([sum(weight[i, j] * many[s, j] for j in range(d)) + bias[i] for i in range(h)])
        slope = slope_fn(z)
        for i in range(h):
            delta = deltas[s, i] * slope[i]
            dbias[i] += delta
            for j in range(d):
                dweight[i, j] += delta * many[s, j]
                ddata[s, j] += weight[i, j] * delta
    ddata = ddata.reshape(data.shape)
    return dweight, dbias, ddata
"""
MATMUL_LAYER = """
import numpy as np

def backward_pass(dy, x, W, b, act, dact):
    X, dY = np.atleast_2d(x), np.atleast_2d(dy)
    Z = X @ W.T + b
    dZ = dY * dact(Z)
    dW = dZ.T @ X
    db = dZ.sum(axis=0)
    dX = dZ @ W
    return dW, db, dX.reshape(x.shape)
"""
EINSUM_LAYER = """
import numpy as np

def preactivation(w, a, c):
    return np.einsum("hd,nd->nh", w, a) + c

def parameters(delta, a):
    return np.einsum("nh,nd->hd", delta, a), np.einsum("nh->h", delta)

def backward_pass(g, inp, kernel, offset, phi, dphi):
    one = inp.ndim == 1
    a = inp[None, :] if one else inp
    g = g[None, :] if one else g
    pre = preactivation(kernel, a, offset)
    delta = np.einsum("nh,nh->nh", g, dphi(pre))
    dkernel, doffset = parameters(delta, a)
    back = np.einsum("nh,hd->nd", delta, kernel)
    return dkernel, doffset, back[0] if one else back
"""
LOOPS_BLOCK = """
import numpy as np

def backprop_two_layer(x, W1, b1, W2, b2, fn, slope_fn, dy):
    xs, dys = np.atleast_2d(x), np.atleast_2d(dy)
    dW1, db1 = np.zeros(W1.shape), np.zeros(b1.shape)
    dW2, db2, dx = np.zeros(W2.shape), np.zeros(b2.shape), np.zeros(xs.shape)
    for n in range(len(xs)):
        z = [b1[i] + sum(W1[i, j] * xs[n, j] for j in range(len(xs[n]))) for i in range(len(b1))]
        h, slope = fn(np.array(z)), slope_fn(np.array(z))
        dh = np.zeros(len(b1))
        for k in range(len(b2)):
            db2[k] += dys[n, k]
            for i in range(len(b1)):
                dW2[k, i] += dys[n, k] * h[i]
                dh[i] += W2[k, i] * dys[n, k]
        for i in range(len(b1)):
            dz = dh[i] * slope[i]
            db1[i] += dz
            for j in range(len(xs[n])):
                dW1[i, j] += dz * xs[n, j]
                dx[n, j] += W1[i, j] * dz
    return dW1, db1, dW2, db2, dx.reshape(x.shape)
"""
MATMUL_BLOCK = """
import numpy as np

def backprop_two_layer(x, W1, b1, W2, b2, f, df, dy):
    X, dY = np.atleast_2d(x), np.atleast_2d(dy)
    Z = X @ W1.T + b1
    H = f(Z)
    dH = dY @ W2
    dZ = dH * df(Z)
    dW1, db1 = dZ.T @ X, np.sum(dZ, axis=0)
    dW2, db2 = dY.T @ H, np.sum(dY, axis=0)
    dX = dZ @ W1
    return dW1, db1, dW2, db2, dX.reshape(x.shape)
"""
EINSUM_BLOCK = """
import numpy as np

def back(delta, w):
    return np.einsum("ij,...i->...j", w, delta)

def outer(delta, a):
    if delta.ndim == 1:
        return np.einsum("i,j->ij", delta, a)
    return np.einsum("ni,nj->ij", delta, a)

def total(delta):
    return delta if delta.ndim == 1 else np.einsum("ni->i", delta)

def backprop_two_layer(inp, up, c1, down, c2, phi, dphi, g):
    pre = np.einsum("ij,...j->...i", up, inp) + c1
    hidden = phi(pre)
    ghidden = back(g, down)
    gpre = ghidden * dphi(pre)
    gdown, gc2 = outer(g, hidden), total(g)
    gup, gc1 = outer(gpre, inp), total(gpre)
    return gup, gc1, gdown, gc2, back(gpre, up)
"""
LOOPS_NORM = """
import math
import numpy as np

def forward(x, gain, shift):
    y = np.zeros(np.atleast_2d(x).shape)
    for n, row in enumerate(np.atleast_2d(x)):
        mean = sum(row) / len(row)
        var = sum((v - mean) ** 2 for v in row) / len(row)
        for k, v in enumerate(row):
            y[n, k] = gain[k] * (v - mean) / math.sqrt(var + 1e-6) + shift[k]
    return y.reshape(x.shape)

def backward(dy, x, gain, shift):
    dgain, dshift, dx = np.zeros(len(gain)), np.zeros(len(shift)), np.zeros(np.atleast_2d(x).shape)
    for n, (row, g) in enumerate(zip(np.atleast_2d(x), np.atleast_2d(dy))):
        size = len(row)
        mean = sum(row) / size
        std = math.sqrt(sum((v - mean) ** 2 for v in row) / size + 1e-6)
        hat = [(v - mean) / std for v in row]
        dhat = [g[k] * gain[k] for k in range(size)]
        first = sum(dhat) / size
        second = sum(a * b for a, b in zip(dhat, hat)) / size
        for k in range(size):
            dgain[k] += g[k] * hat[k]
            dshift[k] += g[k]
            dx[n, k] = (dhat[k] - first - hat[k] * second) / std
    return dgain, dshift, dx.reshape(x.shape)
"""
MATMUL_NORM = """
import numpy as np

def parts(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / std, std

def layernorm_forward(x, gamma, beta):
    return parts(x)[0] * gamma + beta

def layernorm_backward(dout, x, gamma, beta):
    xhat, std = parts(x)
    dgamma, dbeta = dout * xhat, dout
    if x.ndim == 2:
        dgamma, dbeta = dgamma.sum(axis=0), dbeta.sum(axis=0)
    dxhat = dout * gamma
    middle = dxhat.mean(axis=-1, keepdims=True)
    along = xhat * (dxhat * xhat).mean(axis=-1, keepdims=True)
    return (dxhat - middle - along) / std, dgamma, dbeta
"""
EINSUM_NORM = """
import numpy as np

def forward(x, g, b):
    one = np.ones(x.shape[1]) / x.shape[1]
    mu = np.einsum("nd,d->n", x, one)[:, None]
    var = np.einsum("nd,nd,d->n", x - mu, x - mu, one)[:, None]
    hat = (x - mu) * (var + 1e-5) ** -0.5
    return hat * g + b, (hat, (var + 1e-5) ** -0.5, g)

def backward(dy, cache):
    hat, inverse, g = cache
    d = hat.shape[1]
    dhat = np.einsum("nd,d->nd", dy, g)
    dvar = np.einsum("nd,nd->n", dhat, hat)[:, None] / d
    dmu = np.einsum("nd->n", dhat)[:, None] / d
    dx = inverse * (dhat - dmu - hat * dvar)
    return {"dx": dx, "dg": np.einsum("nd,nd->d", dy, hat), "db": np.einsum("nd->d", dy)}
"""
LOOPS_PRENORM = (
    LOOPS_NORM.replace("forward(", "norm_(").replace("backward(", "norm_back(")
    + """
def forward(x, gain, shift, W1, b1, W2, b2):
    y = np.zeros(np.atleast_2d(x).shape)
    for n, row in enumerate(np.atleast_2d(norm_(x, gain, shift))):
        h = [math.tanh(c + sum(w * v for w, v in zip(ws, row))) for c, ws in zip(b1, W1)]
        for k in range(len(b2)):
            y[n, k] = b2[k] + sum(W2[k, i] * h[i] for i in range(len(h)))
    return x + y.reshape(x.shape)

def backward(dout, x, gain, shift, W1, b1, W2, b2):
    a = np.atleast_2d(norm_(x, gain, shift))
    d = np.atleast_2d(dout)
    dW1, db1 = np.zeros(W1.shape), np.zeros(b1.shape)
    dW2, db2, da = np.zeros(W2.shape), np.zeros(b2.shape), np.zeros(a.shape)
    for n in range(len(a)):
        for i in range(len(b1)):
            h = math.tanh(b1[i] + sum(W1[i, j] * a[n, j] for j in range(len(a[n]))))
            dz = sum(W2[k, i] * d[n, k] for k in range(len(b2))) * (1 - h * h)
            db1[i] += dz
            for k in range(len(b2)):
                dW2[k, i] += d[n, k] * h
            for j in range(len(a[n])):
                dW1[i, j] += dz * a[n, j]
                da[n, j] += W1[i, j] * dz
        db2 += d[n]
    dgain, dshift, dbranch = norm_back(da.reshape(x.shape), x, gain, shift)
    dx = dout + dbranch
    return dgain, dshift, dW1, db1, dW2, db2, dx
"""
)
MATMUL_PRENORM = (
    MATMUL_NORM
    + """
def act(z):
    return np.maximum(z, 0)

def block(x, g, s, W1, b1, W2, b2):
    return x + act(layer_norm(x, g, s) @ W1.T + b1) @ W2.T + b2

def layer_norm(x, g, s):
    return parts(x)[0] * g + s

def block_backward(dout, x, g, s, W1, b1, W2, b2):
    a = layer_norm(x, g, s)
    z = a @ W1.T + b1
    D, A, H = map(np.atleast_2d, (dout, a, act(z)))
    dz = (dout @ W2) * (z > 0)
    dZ = np.atleast_2d(dz)
    da = dz @ W1
    dbranch, dg, ds = layernorm_backward(da, x, g, s)
    dx = dout + dbranch
    return dg, ds, dZ.T @ A, dZ.sum(0), D.T @ H, D.sum(0), dx
"""
)
EINSUM_PRENORM = """
import numpy as np

def silu(z):
    return z / (1 + np.exp(-z))

def dsilu(z):
    s = 1 / (1 + np.exp(-z))
    return s + z * s * (1 - s)

def rms(x):
    return np.sqrt(np.einsum("nd,nd->n", x, x)[:, None] / x.shape[1] + 1e-6)

def forward(x, g, w1, b1, w2, b2):
    h = silu(np.einsum("nd,hd->nh", x / rms(x) * g, w1) + b1)
    return x + np.einsum("nh,dh->nd", h, w2) + b2

def backward(dy, x, g, w1, b1, w2, b2):
    r = rms(x)
    hat = x / r
    z = np.einsum("nd,hd->nh", hat * g, w1) + b1
    dz = np.einsum("nd,dh->nh", dy, w2) * dsilu(z)
    da = np.einsum("nh,hd->nd", dz, w1)
    dhat = da * g
    dbranch = (dhat - hat * np.mean(dhat * hat, axis=1, keepdims=True)) / r
    dx = dy + dbranch
    return [
        dx, np.einsum("nd,nd->d", da, hat), np.einsum("nh,nd->hd", dz, hat * g), dz.sum(0),
        np.einsum("nd,nh->dh", dy, silu(z)), dy.sum(0),
    ]
"""
RESIDUAL = {
    "loops": """
import numpy as np

def residual_backward(dout):
    skip, branch = np.zeros(dout.shape), np.zeros(dout.shape)
    for k, d in np.ndenumerate(dout):
        skip[k] = d
        branch[k] = d
    return skip, branch
""",
    "matmul": """
import numpy as np

def residual_backward(dout):
    one = np.eye(dout.shape[-1])
    return dout @ one, dout @ one
""",
    "einsum": """
import numpy as np

def copy(d):
    return np.einsum("...i->...i", d).copy()

def residual_backward(g):
    return {"dx_input": copy(g), "dx_ffn": copy(g)}
""",
}
SOURCES = {
    "layer": {"loops": LOOPS_LAYER, "matmul": MATMUL_LAYER, "einsum": EINSUM_LAYER},
    "block": {"loops": LOOPS_BLOCK, "matmul": MATMUL_BLOCK, "einsum": EINSUM_BLOCK},
    "norm": {"loops": LOOPS_NORM, "matmul": MATMUL_NORM, "einsum": EINSUM_NORM},
    "prenorm": {"loops": LOOPS_PRENORM, "matmul": MATMUL_PRENORM, "einsum": EINSUM_PRENORM},
    "residual": RESIDUAL,
}
Change = tuple[str, str]


def changed(source: str, *changes: Change) -> str:
    """A source with something else in place of what is right, wherever that stands."""
    for right, wrong in changes:
        assert right in source, right
        source = source.replace(right, wrong)
    return source


@dataclass(frozen=True)
class Planted:
    """A mistake: what it is to be called, where it is, and what it changes in each style."""

    name: str
    source: str
    loops: Change
    matmul: Change
    einsum: Change

    def written(self, style: str) -> str:
        """The source with the mistake in it."""
        return changed(SOURCES[self.source][style], getattr(self, style))


PLANTED = (
    Planted(
        "W for Wᵀ",
        "layer",
        ("weight[i, j] * delta", "weight[j, i] * delta"),
        ("dZ @ W\n", "dZ @ W.T\n"),
        ('"nh,hd->nd", delta', '"nh,dh->nd", delta'),
    ),
    Planted(
        "W for Wᵀ",
        "block",
        ("W2[k, i] * dys", "W2[i, k] * dys"),
        ("dY @ W2", "dY @ W2.T"),
        ("back(g, down)", "back(g, down.T)"),
    ),
    Planted(
        "act' forgotten",
        "layer",
        ("deltas[s, i] * slope[i]", "deltas[s, i]"),
        ("dY * dact(Z)", "dY"),
        ('np.einsum("nh,nh->nh", g, dphi(pre))', "g"),
    ),
    Planted(
        "act' forgotten",
        "block",
        ("dW1[i, j] += dz", "dW1[i, j] += dh[i]"),
        ("dZ.T @ X", "dH.T @ X"),
        ("outer(gpre, inp)", "outer(ghidden, inp)"),
    ),
    Planted(
        "act' taken at the wrong place",
        "layer",
        ("slope_fn(z)", "slope_fn(fn(z))"),
        ("dact(Z)", "dact(act(Z))"),
        ("dphi(pre)", "dphi(phi(pre))"),
    ),
    Planted(
        "act' taken at the wrong place",
        "block",
        (
            "h, slope = fn(np.array(z)), slope_fn(np.array(z))",
            "h = fn(np.array(z)); slope = slope_fn(h)",
        ),
        ("df(Z)", "df(H)"),
        ("dphi(pre)", "dphi(hidden)"),
    ),
    Planted(
        "act' of another activation",
        "layer",
        ("slope_fn(z)", "1 - np.tanh(z) ** 2"),
        ("dact(Z)", "np.where(Z > 0, 1.0, 0.0)"),
        ("dphi(pre)", "1 / (1 + np.exp(-pre)) / (1 + np.exp(pre))"),
    ),
    Planted(
        "act in place of act'",
        "block",
        ("fn(np.array(z)), slope_fn(np.array(z))", "fn(np.array(z)), fn(np.array(z))"),
        ("df(Z)", "H"),
        ("dphi(pre)", "phi(pre)"),
    ),
    Planted(
        "the sum over the batch forgotten",
        "layer",
        (
            "    return dweight",
            "    if data.ndim == 2:\n        dbias = deltas * slope_fn(many @ weight.T + bias)\n"
            "    return dweight",
        ),
        ("dZ.T @ X", "np.outer(dZ, X)"),
        ('"nh,nd->hd"', '"nh,nd->nhd"'),
    ),
    Planted(
        "a mean over the batch",
        "layer",
        ("return dweight, dbias", "return dweight / n, dbias / n"),
        ("dZ.sum(axis=0)", "dZ.mean(axis=0)"),
        ("delta = np", "delta = 1 / len(a) * np"),
    ),
    Planted(
        "a mean over the batch",
        "block",
        ("return dW1, db1, dW2, db2", "return dW1, db1, dW2 / len(xs), db2 / len(xs)"),
        ("dY.T @ H", "dY.T @ H / len(x)"),
        ('np.einsum("ni->i", delta)', "delta.mean(0)"),
    ),
    Planted(
        "one sample only",
        "layer",
        ("dweight[i, j] +=", "dweight[i, j] ="),
        ("dZ.T @ X", "np.outer(dZ[0], X[0])"),
        ('np.einsum("nh->h", delta)', "delta[-1]"),
    ),
    Planted(
        "one sample only",
        "block",
        ("db1[i] += dz", "db1[i] = dz"),
        ("np.sum(dZ, axis=0)", "dZ[0]"),
        ('"ni,nj->ij", delta, a', '"ni,nj->ij", delta[:1], a[:1]'),
    ),
    Planted(
        "the sum over the wrong axis",
        "layer",
        (
            "    return dweight",
            "    dz = deltas * slope_fn(many @ weight.T + bias)\n"
            "    dbias = dz.sum(axis=1)\n    return dweight",
        ),
        ("dZ.sum(axis=0)", "dZ.sum(axis=1)"),
        ('"nh->h"', '"nh->n"'),
    ),
    Planted(
        "the sum over all axes",
        "layer",
        ("return dweight, dbias", "return dweight, sum(dbias)"),
        ("dZ.sum(axis=0)", "dZ.sum()"),
        ('"nh->h"', '"nh->"'),
    ),
    Planted(
        "the outer product the wrong way round",
        "layer",
        ("return dweight,", "return dweight.T,"),
        ("dZ.T @ X", "X.T @ dZ"),
        ('"nh,nd->hd"', '"nh,nd->dh"'),
    ),
    Planted(
        "the outer product the wrong way round",
        "block",
        ("dW2, db2, dx.", "dW2.T, db2, dx."),
        ("dY.T @ H", "H.T @ dY"),
        ("outer(g, hidden)", "outer(hidden, g)"),
    ),
    Planted(
        "db of another layer",
        "block",
        ("return dW1, db1,", "return dW1, db2,"),
        ("np.sum(dY, axis=0)", "np.sum(dZ, axis=0)"),
        ("total(gpre)", "total(g)"),
    ),
    Planted(
        "the skip part forgotten",
        "residual",
        ("skip[k] = d", "skip[k] = 0"),
        ("return dout @ one", "return 0 * dout"),
        ('"dx_input": copy(g)', '"dx_input": np.zeros(g.shape)'),
    ),
    Planted(
        "the skip part doubled",
        "residual",
        ("skip[k] = d", "skip[k] = d + d"),
        ("return dout @ one", "return 2 * dout"),
        ('"dx_input": copy(g)', '"dx_input": copy(g) + g'),
    ),
    Planted(
        "the skip part halved",
        "prenorm",
        ("dx = dout +", "dx = 0.5 * dout +"),
        ("dx = dout +", "dx = dout / 2 +"),
        ("dx = dy +", "dx = dy * 0.5 +"),
    ),
    Planted(
        "dL/dx of the branch input for that of the block",
        "prenorm",
        ("dx = dout + dbranch", "dx = da.reshape(x.shape)"),
        ("dx = dout + dbranch", "dx = dout + da"),
        ("dx = dy + dbranch", "dx = da"),
    ),
    Planted(
        "a norm without its mean term",
        "norm",
        ("dhat[k] - first", "dhat[k]"),
        ("dxhat - middle", "dxhat"),
        ("dhat - dmu", "dhat"),
    ),
    Planted(
        "a norm without its variance term",
        "norm",
        (" - hat[k] * second", ""),
        (" - along", ""),
        (" - hat * dvar", ""),
    ),
    Planted(
        "an argument changed in place",
        "layer",
        ("delta = deltas[s, i] * slope[i]", "deltas[s, i] *= slope[i]; delta = deltas[s, i]"),
        ("dZ = dY * dact(Z)\n    dW", "dZ = dY * dact(Z)\n    W -= 0.1 * dZ.T @ X\n    dW"),
        ('np.einsum("nh,nh->nh", g, dphi(pre))', "np.multiply(g, dphi(pre), out=g)"),
    ),
    Planted(
        "float32 inside",
        "layer",
        ("np.zeros((h, d)), np.zeros(h)", "np.zeros((h, d)), np.zeros(h, np.float32)"),
        ("dY * dact(Z)", "(dY * dact(Z)).astype(np.float32)"),
        ("delta = np", "kernel = kernel.astype('f4')\n    delta = np"),
    ),
    Planted(
        "the return order exchanged",
        "block",
        ("return dW1, db1, dW2, db2", "return dW2, db2, dW1, db1"),
        ("return dW1, db1, dW2, db2", "return dW2, db1, dW1, db2"),
        ("gdown, gc2, back(gpre, up)", "gc2, gdown, back(gpre, up)"),
    ),
)
