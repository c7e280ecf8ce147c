"""Mean-field predictions of a stack's norms at initialisation, in the shapes of the measured ones.

The state is a pair of kernels over the actual batch, N x N: Q_ab = E[x_a · x_b]/D of the signal at
each block boundary and P_ab = E[g_a · g_b]/D of its gradient g = dLoss/dx. Wide random layers turn
both into recursions from block to block (Poole et al. 2016; Schoenholz et al. 2017; Yang 2019).

Two modes. *A priori*: from the batch, its targets and the variances alone. *Anchored*: the signal
starts from the measured x_0 and the gradient from the measured dLoss/dx_L, which takes out the
random factors of the input projection and the read-out that all blocks share.
"""

from ffn_train.theory.anchor import Anchor
from ffn_train.theory.prediction import Prediction, Unpredicted, predict, predict_anchored

__all__ = ["Anchor", "Prediction", "Unpredicted", "predict", "predict_anchored"]
