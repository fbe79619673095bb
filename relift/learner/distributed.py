"""Several processes, one learner: FSDP2 over torch.distributed. One process is the plain case of the same functions.

Every process runs the same program on the same data and calls the learner with equal arguments; relift.trainer.parallel
brings them together. On a CPU the backend is gloo.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def world() -> tuple[int, int]:
    """(rank, world size); (0, 1) without a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def shard(root: torch.nn.Module, layers: list[torch.nn.Module], device: torch.device) -> None:
    """Spread the parameters of `root` over all processes (FSDP2), its layers gathered one at a time.

    What belongs to no layer (embedding, head, last norm) is gathered for the whole of root's forward pass, so that a
    tied head finds its weights there.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(root, mesh=mesh)


def forget_gathered(root: Any) -> None:
    """Let go of what a forward pass without backward left gathered: it would be stale after the next step."""
    if world()[1] > 1:
        root.reshard()


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """Sum in place over all processes, the same result on each."""
    if world()[1] > 1:
        dist.all_reduce(tensor)
    return tensor


def full(tensor: torch.Tensor) -> torch.Tensor:
    """The whole tensor: itself, or gathered from all processes onto the CPU (every process must call)."""
    tensor = tensor.detach()
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Give the part of a tensor that this process holds, not a copy."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
    """A copy of a whole tensor with type, device and sharding of `layout`. No communication: each takes its part."""
    tensor = tensor.to(dtype=layout.dtype, device=layout.device, copy=True)
    if not isinstance(layout, DTensor):
        return tensor
    return distribute_tensor(tensor, layout.device_mesh, layout.placements, src_data_rank=None)
