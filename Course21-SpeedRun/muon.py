"""Course 21 · SpeedRun — an optimizer for the convolutions: Muon (Jordan et al. 2024), written anew.

The gradient of a convolution, as a matrix U S Vᵀ, has a few large singular values and many small ones: SGD moves the
weights in a few directions only. Muon brings the singular values closer together, and so moves them in all directions.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

compile_once = functools.cache(torch.compile)  # what was compiled in the first run serves the others


def orthogonalised(matrix: Tensor, steps: int = 3) -> Tensor:
    """About U Vᵀ of the matrix U S Vᵀ, without computing U and V: the Newton-Schulz iteration.

    Each step maps each singular value s to 3.4445 s - 4.7750 s³ + 2.0315 s⁵, which lifts small ones quickly: three
    steps bring 0.01 to 0.4. Five steps leave those that were not tiny between 0.7 and 1.2. In bfloat16 on a GPU, where
    matrix products are fast in it.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    x = (x.T if is_tall else x) / (x.norm() + 1e-7)  # no singular value above 1; the smaller of the two products below
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if is_tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal. For weights of convolutions (C_out, C_in, k, k) that BatchNorm follows.

    The weights are brought to the norm sqrt(C_out) before each step. BatchNorm makes the network blind to their scale,
    and a step of the same size stays a step of the same angle.
    """

    def __init__(self, params, lr: float, momentum: float, orthogonalise: Callable = orthogonalised):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.orthogonalise = orthogonalise

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                update = weight.grad.add(momentum, alpha=group["momentum"])
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.add_(self.orthogonalise(update.flatten(1)).view(weight.shape), alpha=-group["lr"])
