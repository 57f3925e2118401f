"""Data-parallel processes for a busy CPU.

Threads of one process meet at every operation, so that one core taken by
something else stops all of them; processes meet once a step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist


def launch(train: Callable[[int, argparse.Namespace], None], args: argparse.Namespace) -> None:
    """Runs `train(rank, args)` in `args.workers` processes; needs `args.out` and `args.threads`."""
    if args.workers == 1:
        train(0, args)
        return
    (args.out / "rendezvous").unlink(missing_ok=True)
    torch.multiprocessing.spawn(_start, (train, args), nprocs=args.workers)


def _start(rank: int, train: Callable[[int, argparse.Namespace], None], args: argparse.Namespace) -> None:
    method = f"file://{(args.out / 'rendezvous').resolve()}"
    dist.init_process_group("gloo", init_method=method, rank=rank, world_size=args.workers)
    train(rank, args)


def average_gradients(parameters: Iterable[torch.nn.Parameter], progress: float) -> float:
    """Averages gradients over the workers; returns the first one's progress, so that all agree on it."""
    if not dist.is_initialized():
        return progress
    grads = []
    for p in parameters:
        if p.requires_grad:
            # A parameter that this worker's batch did not use still takes part.
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            grads.append(p.grad)
    flat = torch.cat([g.flatten() for g in grads] + [torch.tensor([progress if dist.get_rank() == 0 else 0.0])])
    dist.all_reduce(flat)
    start = 0
    for g in grads:
        g.copy_(flat[start:start + g.numel()].view_as(g) / dist.get_world_size())
        start += g.numel()
    return float(flat[-1])


def average(tensors: Iterable[torch.Tensor]) -> None:
    """Averages tensors over the workers in place."""
    if dist.is_initialized():
        for t in tensors:
            dist.all_reduce(t)
            t.div_(dist.get_world_size())


def broadcast(tensors: Iterable[torch.Tensor]) -> None:
    """Gives all workers the first one's tensors."""
    if dist.is_initialized():
        for t in tensors:
            dist.broadcast(t, 0)
