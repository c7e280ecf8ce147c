"""Right gradients in other conventions, wrong ones with and without a single known mistake."""

from __future__ import annotations

from tests.teach.planted import (
    EINSUM_LAYER,
    EINSUM_PRENORM,
    LOOPS_BLOCK,
    LOOPS_LAYER,
    LOOPS_NORM,
    MATMUL_BLOCK,
    MATMUL_LAYER,
    MATMUL_NORM,
    MATMUL_PRENORM,
    RESIDUAL,
    changed,
)

START = "import numpy as np\n"
SCALED_BRANCH = """
def forward(x, W1, W2):
    return x + 0.3 * np.tanh(x @ W1.T) @ W2.T

def backward(dy, x, W1, W2):
    h = np.tanh(x @ W1.T)
    dh = dy @ W2 * (1 - h * h)
    return 0.3 * dh.T @ x, 0.3 * dy.T @ h, dy + 0.3 * dh @ W1
"""
SCALED_BLOCK = """
def rms(x):
    return np.sqrt((x * x).mean(1, keepdims=True) + 1e-6)

def forward(x, g, W1, b1, W2, b2):
    return x - 0.125 * (np.maximum(x / rms(x) * g @ W1 + b1, 0) @ W2 + b2)

def backward(dy, x, g, W1, b1, W2, b2):
    hat = x / rms(x)
    h = np.maximum(hat * g @ W1 + b1, 0)
    d = -0.125 * dy
    dz = d @ W2.T * (h > 0)
    da = dz @ W1.T
    dbranch = (da * g - hat * (da * g * hat).mean(1, keepdims=True)) / rms(x)
    return dy + dbranch, (da * hat).sum(0), (hat * g).T @ dz, dz.sum(0), h.T @ d, d.sum(0)
"""
RIGHT = {
    "weights (fan_in, fan_out), with forward_pass": """
def forward_pass(x, W, b, act):
    return act(x @ W + b)

def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(x @ W + b)
    if x.ndim == 1:
        return np.outer(x, dz), dz, W @ dz
    return x.T @ dz, dz.sum(0), dz @ W.T
""",
    "weights (fan_in, fan_out), a block": """
def backprop_two_layer(x, W1, b1, W2, b2, act, dact, dy):
    z = x @ W1 + b1
    h = act(z)
    dz = (dy @ W2.T) * dact(z)
    return x.T @ dz, dz.sum(0), h.T @ dy, dy.sum(0), dz @ W1.T
""",
    "samples in columns": """
def forward_pass(x, W, b, act):
    return act(W @ x + b)

def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(W @ x + b)
    return dz @ x.T, dz.sum(axis=1, keepdims=True), W.T @ dz
""",
    "samples in columns, biases flat": """
def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(W @ x + b[:, None])
    return dz @ x.T, dz.sum(axis=1), W.T @ dz
""",
    "samples in columns, a block": """
def backprop_two_layer(x, W1, b1, W2, b2, act, dact, dy):
    z = np.dot(W1, x) + b1
    dz = np.dot(W2.T, dy) * dact(z)
    m = x.shape[1]
    ones = np.ones((m, 1))
    return np.dot(dz, x.T), dz.dot(ones), np.dot(dy, act(z).T), dy.dot(ones), np.dot(W1.T, dz)
""",
    "samples in columns, weights (fan_in, fan_out)": """
def forward(x, W, b):
    return np.tanh(W.T @ x + b)

def backward(dy, x, W, b):
    dz = dy * (1 - np.tanh(W.T @ x + b) ** 2)
    return x @ dz.T, dz.sum(1, keepdims=True), W @ dz
""",
    "dx first, biases as rows": """
def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(x @ W.T + b)
    return dz @ W, dz.T @ x, dz.sum(axis=0, keepdims=True)
""",
    "one vector only": """
def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(W.dot(x) + b)
    return np.outer(dz, x), dz, W.T.dot(dz)
""",
    "a cache and a dictionary": """
def affine_forward(x, w, b):
    return np.maximum(0, x.dot(w) + b), (x, w, x.dot(w) + b)

def affine_backward(dout, cache):
    x, w, z = cache
    dout = dout * (z > 0)
    return {"db": dout.sum(0), "dw": x.T.dot(dout), "dx": dout.dot(w.T)}
""",
    "other orders of arguments, an activation of its own": """
def bump(z):
    return z * np.exp(-z * z)

def forward(x, W1, W2, b1, b2):
    return bump(x @ W1.T + b1) @ W2.T + b2

def backward(x, W1, W2, b1, b2, dy):
    z = x @ W1.T + b1
    dz = dy @ W2 * (1 - 2 * z * z) * np.exp(-z * z)
    return dz.T @ x, dy.T @ bump(z), dz.sum(0), dy.sum(0), dz @ W1
""",
    "any number of arguments": """
def forward(x, *p):
    return np.tanh(x @ p[0].T + p[1])

def backward(dy, x, *p):
    dz = dy * (1 - forward(x, *p) ** 2)
    return dz @ p[0], dz.T @ x, dz.sum(0)
""",
    "what the backward pass needs is kept aside": """
kept = {}

def forward(x, W, b):
    kept.update(x=x, W=W, y=np.tanh(x @ W + b))
    return kept["y"]

def backward(dout):
    dz = dout * (1 - kept["y"] ** 2)
    return dz @ kept["W"].T, kept["x"].T @ dz, dz.sum(0)
""",
    "the forward pass keeps its activations, and its arguments are given again": """
class Net:
    pass

net = Net()

def forward(X, W1, b1, W2, b2):
    net.A = np.tanh(W1 @ X + b1[:, None])
    return W2 @ net.A + b2[:, None]

def backward(dY, X, W1, b1, W2, b2):
    dZ = W2.T @ dY * (1 - net.A**2)
    return {"W1": dZ @ X.T, "b1": dZ.sum(1), "W2": dY @ net.A.T, "b2": dY.sum(1), "X": W1.T @ dZ}
""",
    "a forward pass that is none of the known": """
def softmax_forward(x, W):
    e = np.exp(x @ W.T)
    return e / e.sum(-1, keepdims=True)

def softmax_backward(dy, x, W):
    p = softmax_forward(x, W)
    dz = p * (dy - (dy * p).sum(-1, keepdims=True))
    return (np.atleast_2d(dz).T @ np.atleast_2d(x)), dz @ W
""",
    "a branch times a constant": SCALED_BRANCH,
    "a block with a norm and a branch times a constant": SCALED_BLOCK,
    "a layer of two others, each with its cache, for batches": """
def affine_forward(x, w, b):
    return x.reshape(len(x), -1).dot(w) + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    return dout.dot(w.T).reshape(x.shape), x.reshape(len(x), -1).T.dot(dout), dout.sum(axis=0)

def affine_relu_forward(x, w, b):
    a, first = affine_forward(x, w, b)
    return np.maximum(0, a), (first, a)

def affine_relu_backward(dout, cache):
    first, a = cache
    return affine_backward(dout * (a > 0), first)
""",
    "a backward pass that takes the output": """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def sigmoid_backward(dy, y):
    return dy * y * (1 - y)
""",
    "a softmax whose backward pass takes the output": """
def softmax_forward(x):
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)

def softmax_backward(dout, out):
    return out * (dout - (dout * out).sum(-1, keepdims=True))
""",
    "a second array like x": """
def residual_forward(x, ffn):
    return x + ffn

def residual_backward(dout):
    return dout, dout
""",
    "a product, in capitals": """
def forward(X, F):
    return X * F

def backward(dY, X, F):
    return dY * F, dY * X
""",
    "a second array like y, beside weights": """
def rnn_forward(x, h, Wx, Wh, b):
    return np.tanh(x @ Wx + h @ Wh + b)

def rnn_backward(dy, x, h, Wx, Wh, b):
    dz = dy * (1 - rnn_forward(x, h, Wx, Wh, b) ** 2)
    return dz @ Wx.T, dz @ Wh.T, x.T @ dz, h.T @ dz, dz.sum(0)
""",
    "a second array like y, in the place of a bias": """
def forward(x, W, skip):
    return x @ W + skip

def backward(dy, x, W, skip):
    return dy @ W.T, x.T @ dy, dy
""",
    "two batches and a number": """
def mix_forward(x, f, t):
    return t * x + (1 - t) * f

def mix_backward(dy, x, f, t):
    return t * dy, (1 - t) * dy, np.sum(dy * (x - f))
""",
    "a number": """
def forward(x, scale):
    return x * scale

def backward(dy, x, scale):
    return dy * scale, (dy * x).sum()
""",
    "one vector, and x last": """
def forward(W, b, x):
    return np.tanh(W @ x + b)

def backward(dy, W, b, x):
    dz = dy * (1 - np.tanh(W @ x + b) ** 2)
    return np.outer(dz, x), dz, W.T @ dz
""",
    "x in the middle": """
def forward(h, x, W):
    return np.tanh(x @ W) * h

def backward(dy, h, x, W):
    t = np.tanh(x @ W)
    dz = dy * h * (1 - t**2)
    return dy * t, dz @ W.T, x.T @ dz
""",
    "forward_pass keeps what backward_pass needs": """
kept = {}

def forward_pass(x, W, b, act):
    kept["z"] = x @ W + b
    return act(kept["z"])

def backward_pass(dy, x, W, b, act, dact):
    dz = dy * dact(kept["z"])
    return x.T @ dz, dz.sum(0), dz @ W.T
""",
    "forward_pass keeps all but the derivative": """
def forward_pass(x, W, b, act):
    forward_pass.cache = x, W, x @ W.T + b
    return act(forward_pass.cache[-1])

def backward_pass(dy, act_grad):
    x, W, z = forward_pass.cache
    dz = dy * act_grad(z)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "activations by default": """
def relu(z):
    return np.maximum(z, 0)

def relu_grad(z):
    return (z > 0) * 1.0

def forward_pass(x, W, b, activation_fn=relu):
    return activation_fn(x @ W.T + b)

def backward_pass(dy, x, W, b, activation_fn=relu, activation_grad_fn=relu_grad):
    dz = dy * activation_grad_fn(x @ W.T + b)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "activations by default, each function with its own": """
def relu(z):
    return np.maximum(z, 0)

def relu_grad(z):
    return (z > 0) * 1.0

def forward(x, W, b, activation_fn=relu):
    return activation_fn(x @ W.T + b)

def backward(dy, x, W, b, activation_grad_fn=relu_grad):
    dz = dy * activation_grad_fn(x @ W.T + b)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "activations by default, which are ignored": """
def relu(z):
    return np.maximum(z, 0)

def forward(x, W, b, act=relu):
    return relu(x @ W.T + b)

def backward(dy, x, W, b, act_grad=relu):
    dz = dy * (x @ W.T + b > 0)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "an activation, and its derivative in the same place": """
def forward(x, W, b, f):
    return f(x @ W.T + b)

def backward(dy, x, W, b, df):
    dz = dy * df(x @ W.T + b)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "an array to write into by default": """
def forward(x, W, b, out=None):
    return np.add(x @ W.T, b, out=out)

def backward(dy, x, W, b):
    return dy.T @ x, dy.sum(0), dy @ W
""",
    "a state by default": """
def forward(x, Wx, Wh, b, h=None):
    return np.tanh(x @ Wx + (0 if h is None else h @ Wh) + b)

def backward(dy, x, Wx, Wh, b, h=None):
    h = np.zeros((len(x), len(Wh))) if h is None else h
    dz = dy * (1 - forward(x, Wx, Wh, b, h) ** 2)
    return dz @ Wx.T, x.T @ dz, h.T @ dz, dz.sum(0), dz @ Wh.T
""",
    "an activation by default, which is not passed on": """
def forward(x, W, b, act=np.tanh, rate=0.5):
    return rate * act(x @ W.T + b)

def backward(dy, x, W, b):
    dz = 0.5 * dy * (1 - np.tanh(x @ W.T + b) ** 2)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "weights by default": """
def forward(x, W=None, b=None):
    return np.tanh(x @ W.T + b)

def backward(dy, x, W=None, b=None):
    dz = dy * (1 - np.tanh(x @ W.T + b) ** 2)
    return dz.T @ x, dz.sum(0), dz @ W
""",
    "no bias by default": """
def forward(x, W, b=None):
    return x @ W.T if b is None else x @ W.T + b

def backward(dy, x, W, b=None):
    return dy.T @ x, dy @ W
""",
    "arguments by keyword alone": """
def forward(x, *, W, b):
    return np.tanh(x @ W + b)

def backward(dy, *, x, W, b):
    dz = dy * (1 - forward(x, W=W, b=b) ** 2)
    return x.T @ dz, dz.sum(0), dz @ W.T
""",
    "declared shapes": """
shapes = {"x": (4, 3, 2), "scale": (2, 2)}

def forward(x, scale):
    return np.einsum("abc,cd->abd", x, scale) ** 2

def backward(dy, x, scale):
    d = 2 * dy * np.einsum("abc,cd->abd", x, scale)
    return np.einsum("abc,abd->cd", x, d), np.einsum("abd,cd->abc", d, scale)
""",
}


NAMED = {
    "dL/dx of the branch input for that of the block": """
def rms(v):
    return np.sqrt((v * v).mean(-1, keepdims=True) + 1e-5)

def forward(x, gain, W):
    return x + np.tanh(gain * x / rms(x) @ W.T)

def backward(dy, x, gain, W):
    normed = x / rms(x)
    t = np.tanh(gain * normed @ W.T)
    dt = dy * (1 - t**2)
    du = dt @ W
    return dy + du, (du * normed).sum(0), dt.T @ (gain * normed)
""",
    "the outer product the wrong way round": """
def forward(x, W, b):
    return np.tanh(W @ x + b)

def backward(dy, x, W, b):
    dz = dy * (1 - np.tanh(W @ x + b) ** 2)
    return np.outer(x, dz), dz, W.T @ dz
""",
    "a mean over the batch": """
def forward(x, W, b=None):
    return x @ W.T if b is None else x @ W.T + b

def backward(dy, x, W, b=None):
    return (dy.T @ x, dy @ W) if b is None else (dy.T @ x, dy.mean(0), dy @ W)
""",
    "the sum over the batch forgotten": """
def forward(x, kernel, offset):
    return x @ kernel + offset

def backward(dy, x, kernel, offset):
    return x.T @ dy, dy, dy @ kernel.T
""",
    "the branch's factor forgotten": changed(SCALED_BRANCH, ("dy + 0.3 * dh", "dy + dh")),
    "the branch's factor on the skip path": changed(
        SCALED_BLOCK, ("return dy + dbranch", "return d + dbranch")
    ),
    "W for Wᵀ": """
shapes = {"x": (5, 3), "w": (3, 3)}  # but none for b

def affine_forward(x, w, b):
    return x.dot(w) + b, (x, w)

def affine_backward(dout, cache):
    x, w = cache
    return dout.dot(w), x.T.dot(dout), dout.sum(axis=0)
""",
    "the skip part forgotten": """
def norm(v):
    centred = v - v.mean(1, keepdims=True)
    std = np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    return centred / std, std

def forward(x, W1, b1, W2, b2, g, s):
    return norm(x + np.maximum(x @ W1 + b1, 0) @ W2 + b2)[0] * g + s

def backward(dy, x, W1, b1, W2, b2, g, s):
    h = np.maximum(x @ W1 + b1, 0)
    n, std = norm(x + h @ W2 + b2)
    dn = dy * g
    du = (dn - dn.mean(1, keepdims=True) - n * (dn * n).mean(1, keepdims=True)) / std
    dz = du @ W2.T * (h > 0)
    return dz @ W1.T, x.T @ dz, dz.sum(0), h.T @ du, du.sum(0), (dy * n).sum(0), dy.sum(0)
""",
    "act' forgotten": """
def forward(x, w, b):
    return 1 / (1 + np.exp(-(x @ w + b)))

def backward(dL, x, w, b):
    gw, gb, gx = np.zeros(w.shape), np.zeros(b.shape), np.zeros(x.shape)
    for k in range(len(x)):
        gw += np.outer(x[k], dL[k])
        gb += dL[k]
        gx[k] = w @ dL[k]
    return gx, gw, gb
""",
    "a norm without its variance term": """
def ln(x, g, b):
    centred = x - x.mean(1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    return g * centred * inverse + b, (centred * inverse, inverse, g)

def ln_backward(dy, cache):
    xhat, inverse, g = cache
    d = dy * g
    return inverse * (d - d.mean(1, keepdims=True)), np.sum(dy * xhat, axis=0), np.sum(dy, axis=0)

ln_forward = ln  # another name of the same
""",
}
UNNAMED = {
    "the branch's part doubled, which is not the skip part": """
import numpy as np

def residual_backward(dout):
    return dout, 2 * dout
""",
    "a mean and W for Wᵀ, shapes declared in part": """
import numpy as np
shapes = {"x": (4, 3), "W": (3, 3)}

def forward(x, W, b):
    return np.tanh(x @ W.T + b)

def backward(dy, x, W, b):
    dz = dy * (1 - np.tanh(x @ W.T + b) ** 2)
    return dz.T @ x / len(x), dz.sum(0), dz @ W.T
""",
    "a mean, and a sum forgotten": """
def forward(x, W, b):
    return x @ W + b

def backward(dy, x, W, b):
    return dy @ W.T, x.T @ dy / len(x), dy
""",
    "act' forgotten and a mean": changed(
        MATMUL_LAYER, ("dY * dact(Z)", "dY"), ("dZ.sum(axis=0)", "dZ.mean(axis=0)")
    ),
    "W for Wᵀ and an outer product": changed(
        MATMUL_LAYER, ("dZ @ W\n", "dZ @ W.T\n"), ("dZ.T @ X", "X.T @ dZ")
    ),
    "db of another layer and one sample": changed(
        LOOPS_BLOCK, ("return dW1, db1,", "return dW1, db2,"), ("dW2[k, i] +=", "dW2[k, i] =")
    ),
    "neither a mean nor a variance term": changed(
        MATMUL_NORM, ("dxhat - middle", "dxhat"), (" - along", "")
    ),
    "no mean term and a mean over the batch": changed(
        MATMUL_NORM, ("dxhat - middle", "dxhat"), ("dbeta.sum(axis=0)", "dbeta.mean(axis=0)")
    ),
    "the skip part and act' forgotten": changed(
        MATMUL_PRENORM, ("dx = dout +", "dx = 0 * dout +"), (" * (z > 0)", "")
    ),
    "in place and W for Wᵀ": changed(
        EINSUM_LAYER,
        ('np.einsum("nh,nh->nh", g, dphi(pre))', "np.multiply(g, dphi(pre), out=g)"),
        ('"nh,hd->nd", delta', '"nh,dh->nd", delta'),
    ),
    "float32 and act' forgotten": changed(MATMUL_LAYER, ("dY * dact(Z)", "dY.astype(np.float32)")),
    "a return order and a sign": changed(
        MATMUL_BLOCK, ("return dW1, db1, dW2, db2", "return dW2, -db2, dW1, db1")
    ),
    "weight decay": changed(
        LOOPS_LAYER, ("ddata = ddata", "dweight += 0.01 * weight\n    ddata = ddata")
    ),
    "a factor": changed(EINSUM_PRENORM, ("dx = dy + dbranch", "dx = dy + 1.1 * dbranch")),
    "a factor in place of that of the branch": changed(
        SCALED_BRANCH, ("dy + 0.3 * dh", "dy + 0.2 * dh")
    ),
    "an activation's factor forgotten in one gradient": """
def forward(x, W1, W2):
    return 0.3 * np.tanh(x @ W1.T) @ W2.T

def backward(dy, x, W1, W2):
    h = np.tanh(x @ W1.T)
    dh = dy @ W2 * (1 - h * h)
    return 0.3 * dh.T @ x, 0.3 * dy.T @ h, dh @ W1
""",
    "samples mixed": changed(MATMUL_BLOCK, ("dX = dZ @ W1", "dX = np.roll(dZ, 1, axis=0) @ W1")),
    "clipped": changed(MATMUL_LAYER, ("dW = dZ.T @ X", "dW = np.clip(dZ.T @ X, -1, 1)")),
    "rounded to decimals": changed(MATMUL_LAYER, ("dZ @ W\n", "np.round(dZ @ W, 6)\n")),
    "another constant": changed(
        LOOPS_NORM, ("size + 1e-6)\n        hat", "size + 1e-3)\n        hat")
    ),
    "chance": changed(RESIDUAL["matmul"], ("return dout", "return np.random.rand() * dout")),
    "nothing for db": changed(MATMUL_LAYER, ("return dW, db", "return dW, None")),
    "not a number": changed(MATMUL_LAYER, ("return dW, db", "return dW, db * np.nan")),
}
RIGHT = {name: START + source for name, source in RIGHT.items()}
NAMED = {name: START + source for name, source in NAMED.items()}
UNNAMED = {name: START + source for name, source in UNNAMED.items()}
SCALED_BLOCK = START + SCALED_BLOCK
