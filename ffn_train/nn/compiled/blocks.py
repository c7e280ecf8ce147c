"""Forward and backward pass of a segment of a stack, each in one call of compiled code.

The equations are those of ``ffn_train.nn.blocks`` and ``ffn_train.nn.layers``, which the tests
compare these with.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ffn_train.nn.compiled.branch import branch, branch_backward
from ffn_train.nn.compiled.ends import linear, linear_backward, read_out, read_out_backward
from ffn_train.nn.compiled.jit import entry, inlined, summing
from ffn_train.nn.compiled.norms import norm, norm_backward
from ffn_train.nn.compiled.scheme import POST, PRE, kept_of, norm_of


@inlined
def _multiplier_of(scheme, theta, at):
    if scheme.learnable:
        return theta[at], at + 1
    return theta.dtype.type(scheme.multiplier), at


@summing
def _dot(a, b):
    total = a.dtype.type(0)
    for n in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += a[n, j] * b[n, j]
    return total


# No array is read under one name and written under another: such aliasing would keep the compiler
# from vectorising the loop.


@inlined
def _sum(branch, multiplier, skip, x, y):
    """y = a f + s x."""
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            out = multiplier * branch[n, j]
            y[n, j] = out + skip * x[n, j] if skip != 0 else out


@inlined
def _add_to(y, bias, multiplier, skip, x):
    """y <- a (y + b) + s x."""
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            out = multiplier * (y[n, j] + bias[j])
            y[n, j] = out + skip * x[n, j] if skip != 0 else out


@entry
def forward(record, theta, x, signals, hiddens, storage, y, blocks):
    """Forward pass of the segment with parameters ``theta`` from ``x`` (N, inputs) or (N, D).

    Fills ``signals`` (k+1, N, D) with x_l, ``hiddens`` (k, N, H) with act(z), ``storage`` with what
    else is kept, and ``y`` (N, outputs) if the segment ends in a read-out. k is ``blocks``, or 1:
    then each block overwrites the one before.
    """
    scheme = record[0]
    slots, rows = hiddens.shape[:2]
    kept = kept_of(scheme, storage, slots, rows)
    skip = theta.dtype.type(scheme.skip)
    gate = np.empty((rows, scheme.hidden if scheme.gated else 0), theta.dtype)
    total = np.empty((rows, scheme.width if scheme.placement == POST else 0), theta.dtype)
    if scheme.inputs > 0:
        linear(theta, 0, scheme.width, scheme.inputs, x, signals[0])
    else:
        signals[0] = x
    for block in range(blocks):
        slot = block if slots == blocks else 0
        if slot < block:
            signals[0] = signals[1]
        below, above, hidden = signals[slot], signals[slot + 1], hiddens[slot]
        multiplier, at = _multiplier_of(scheme, theta, scheme.before + block * scheme.block)
        gain, shift, at = norm_of(scheme, theta, at)
        # placeholders for the arrays that this scheme does not have, unused under these names
        inner, slope, value, output, joined = below, hidden, hidden, above, above
        if scheme.placement == PRE:
            inner = kept.inner[slot]
            norm(scheme, below, gain, shift, kept, slot, inner)
        if scheme.keeps_slope:
            slope = kept.slope[slot]
        if scheme.gated:
            value = kept.value[slot]
        if scheme.placement == POST:
            output = joined = total
        if scheme.learnable:
            output = kept.branch[slot]
        bias = branch(scheme, theta, at, inner, hidden, slope, value, gate, output)
        if scheme.learnable:
            for n in range(rows):
                for j in range(scheme.width):
                    output[n, j] += bias[j]
            _sum(output, multiplier, skip, below, joined)
        else:
            _add_to(joined, bias, multiplier, skip, below)
        if scheme.placement == POST:
            norm(scheme, joined, gain, shift, kept, slot, above)
    if scheme.outputs > 0:
        end = scheme.before + blocks * scheme.block
        read_out(scheme, theta, end, signals[slots], kept, slots, y)


@entry
def backward(record, theta, grads, x, signals, hiddens, storage, dy, dx, flow):
    """Backward pass, from dL/dy of the segment's output to dL/dx of its input; fills ``grads``.

    ``flow`` (2 or 3, k+1, N, D) receives every dL/dx_l, its branch part and, if it has a third
    entry, its skip part, which otherwise is dL/dx_{l+1} itself. If empty it receives nothing.
    """
    scheme = record[0]
    blocks, rows = hiddens.shape[:2]
    kept = kept_of(scheme, storage, blocks, rows)
    real = theta.dtype.type
    zero, one, skip = real(0), real(1), real(scheme.skip)
    dhidden = np.empty((rows, scheme.hidden), theta.dtype)
    dvalue = np.empty((rows, scheme.hidden if scheme.gated else 0), theta.dtype)
    observed = len(flow) > 0
    scratch = np.empty((6, rows, scheme.width), theta.dtype)
    dsum, dbranch, dnormed = scratch[0], scratch[1], scratch[2]  # unpacking would give strided ones
    dsignals = flow[0] if observed else scratch[4:]
    slots = len(dsignals)  # for every x_l, or for the last two
    above = dsignals[blocks % slots]
    if scheme.outputs > 0:
        end, last = scheme.before + blocks * scheme.block, signals[blocks]
        read_out_backward(scheme, theta, grads, end, dy, last, kept, blocks, dnormed, above)
    else:
        above[:] = dy
    for block in range(blocks - 1, -1, -1):
        first = scheme.before + block * scheme.block
        multiplier, at = _multiplier_of(scheme, theta, first)
        dgain, dshift, _ = norm_of(scheme, grads, at)
        gain, _, at = norm_of(scheme, theta, at)
        hidden = hiddens[block]
        inner, slope, value, dz = signals[block], hidden, hidden, above
        dx_branch = flow[1, block] if observed else scratch[3]
        dinner = dx_branch
        if scheme.placement == PRE:
            inner, dinner = kept.inner[block], dnormed
        if scheme.keeps_slope:
            slope = kept.slope[block]
        if scheme.gated:
            value = kept.value[block]
        if scheme.placement == POST:
            dz = dsum
            norm_backward(scheme, above, gain, kept, block, dgain, dshift, dz)
        if scheme.learnable:
            grads[first] = _dot(dz, kept.branch[block])
        dbias = grads[first + scheme.block - scheme.width : first + scheme.block]
        dbias[:] = 0
        for n in range(rows):
            for j in range(scheme.width):
                d = multiplier * dz[n, j]
                dbranch[n, j] = d
                dbias[j] += d
        branch_backward(
            scheme, theta, grads, at, dbranch, inner, hidden, slope, value, dhidden, dvalue, dinner
        )
        if scheme.placement == PRE:
            norm_backward(scheme, dinner, gain, kept, block, dgain, dshift, dx_branch)
        below = dsignals[block % slots]
        _sum(dx_branch, one, skip, dz, below)
        if len(flow) > 2:
            _sum(dz, skip, zero, dz, flow[2, block])  # s dz
        above = below
    if scheme.inputs > 0:
        linear_backward(theta, grads, 0, scheme.width, scheme.inputs, above, x, dx)
    else:
        dx[:] = above


def delay() -> str | None:
    """The line that announces the compilation before a first use; None once the cache has it."""
    folder, compiling = backward.stats.cache_path, "compiling for this machine, which takes about"
    if folder is None:
        return (
            f"engine=compiled: {compiling} 20 seconds in every process: the result cannot be "
            "cached (set NUMBA_CACHE_DIR to a directory that can be written to)"
        )
    if any(Path(folder).glob(f"blocks.{backward.__qualname__}-*.nbi")):
        return None
    return f"engine=compiled: {compiling} 20 seconds once"
