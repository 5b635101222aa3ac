"""Muon in float32: momentum whose matrix updates are made nearly orthogonal, for the hidden matrices of the tiny base.

Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the quintic Newton-Schulz
iteration given there. `torch.optim.Muon` iterates in bfloat16, which CPUs without bf16 units emulate, slowly.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients that maximise the slope at zero; singular values end between about 0.7 and 1.2."""


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, for 2-D parameters."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # torch's signature
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["momentum"])

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, lr: float, momentum: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        rows, columns = parameter.shape
        update = orthogonalise(gradient.lerp(state["momentum"], momentum))
        parameter.add_(update, alpha=-lr * max(1.0, rows / columns) ** 0.5)


def orthogonalise(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """The matrix with its singular values pulled towards 1, same shape."""
    a, b, c = _QUINTIC
    wide: torch.Tensor = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    x: torch.Tensor = wide / (wide.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if matrix.size(0) <= matrix.size(1) else x.T
