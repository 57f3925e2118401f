"""Muon with matrices of equal shape orthogonalised together.

Keller Jordan's optimiser ("Muon: An optimizer for hidden layers in neural
networks", 2024): momentum, then Newton-Schulz towards the nearest
semi-orthogonal matrix. torch's own version handles one matrix at a time,
which costs as much as the whole backward pass on two CPU cores.
"""

from __future__ import annotations

import torch
import torch.distributed as dist

# Coefficients of the quintic iteration.
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(x: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Approximate U V^T of a stack [N, rows, columns], rows <= columns, in bf16."""
    x = x.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = A * x + torch.baddbmm(gram, gram, gram, beta=B, alpha=C) @ x
    return x.float()


def shared_orthogonalise(stack: torch.Tensor) -> torch.Tensor:
    """`orthogonalise`, with the stack divided among the workers where there are several."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    if world == 1 or len(stack) % world:
        return orthogonalise(stack)
    own = orthogonalise(stack.chunk(world)[dist.get_rank()].contiguous()).contiguous()
    parts = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(parts, own)
    return torch.cat(parts)


class Muon(torch.optim.Optimizer):
    """Muon for a list of matrices, with AdamW's root-mean-square step (Moonlight, 2025)."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.05):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            stacks: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"])
                if update.shape[0] > update.shape[1]:
                    update = update.mT
                stacks.setdefault(tuple(update.shape), []).append((p, update))
            for (_, columns), members in stacks.items():
                updates = shared_orthogonalise(torch.stack([u for _, u in members]))
                scale = 0.2 * columns**0.5 * group["lr"]
                for (p, _), u in zip(members, updates):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(u if u.shape == p.shape else u.mT, alpha=-scale)
