"""Several processes, one learner: FSDP2 over torch.distributed. One process is the plain case of the same functions.

Every process runs the same program on the same data and calls the learner with equal arguments; relift.trainer.parallel
brings them together. On a CPU the backend is gloo. One process that computes in another type than its weights have
(bfloat16 over float32) is sharded too, over a mesh of itself: FSDP2 casts and keeps the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from relift.errors import InputError

NOT_FINITE = "model.path: its weights hold numbers that are not finite: take another copy"


def world() -> tuple[int, int]:
    """(rank, world size); (0, 1) without a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def shard(
    root: torch.nn.Module, layers: list[torch.nn.Module], device: torch.device, *, compute: torch.dtype | None = None
) -> None:
    """Spread the parameters of `root` over all processes (FSDP2), its layers gathered one at a time.

    What belongs to no layer (embedding, head, last norm) is gathered for the whole of root's forward pass, so that a
    tied head finds its weights there. `compute`: type of the gathered weights and of all that is computed with them;
    gradients are summed over processes and kept in float32. None: the type that the parameters have.
    """
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=HashStore(), rank=0, world_size=1)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    # Inputs are not cast: token ids need none, and temperatures would lose digits.
    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    if compute is not None:
        policy = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(root, mesh=mesh, mp_policy=policy)


def leave_mesh_of_one() -> None:
    """End the process group that `shard` made for one process, if there is one; its learners are of no use after."""
    if dist.is_initialized() and dist.get_world_size() == 1:
        dist.destroy_process_group()


def reduce_now(root: torch.nn.Module, *, now: bool) -> None:
    """Say whether the next backward pass sums the gradient over processes, or leaves it, whole, where it is."""
    if isinstance(root, FSDPModule):
        root.set_requires_gradient_sync(now)


def forget_gathered(root: torch.nn.Module) -> None:
    """Let go of what a forward pass without backward left gathered: it would be stale after the next step."""
    if isinstance(root, FSDPModule):
        root.reshard()


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """Sum in place over all processes, the same result on each."""
    if world()[1] > 1:
        dist.all_reduce(tensor)
    return tensor


def full(tensor: torch.Tensor) -> torch.Tensor:
    """The whole tensor: itself, or gathered from all processes onto the CPU (every process must call)."""
    tensor = tensor.detach()
    if not isinstance(tensor, DTensor):
        return tensor
    if world()[1] == 1:
        return tensor.to_local()  # nothing to gather: the live tensor, on its device
    return tensor.full_tensor().cpu()


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Give the part of a tensor that this process holds, not a copy."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def with_layout(part: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
    """Take this process's part of a tensor for what it is part of, sharded as `layout`."""
    if not isinstance(layout, DTensor):
        return part
    return DTensor.from_local(
        part, layout.device_mesh, layout.placements, run_check=False, shape=layout.shape, stride=layout.stride()
    )


class Sliced(Protocol):
    """A whole tensor of which pieces can be had: one in memory, or one in a file."""

    def __getitem__(self, index: tuple[slice, ...], /) -> torch.Tensor: ...


def like(source: Sliced, layout: torch.Tensor) -> torch.Tensor:
    """A copy of a whole tensor with type, device and sharding of `layout`. No communication, and nothing is read but
    this process's part."""
    part = source[_own_piece(layout)]
    return with_layout(part.to(dtype=layout.dtype, device=layout.device, copy=True), layout)


@torch.no_grad()
def fill(root: torch.nn.Module, model: torch.nn.Module, weights: Mapping[str, Sliced], device: torch.device) -> None:
    """Give the parameters of `model`, part of `root`, that are on the meta device memory and their values: of each
    this process's part alone is read. Raises InputError for numbers that are not finite, on all processes."""

    def tensors() -> dict[str, torch.Tensor]:
        return {**dict(model.named_parameters()), **dict(model.named_buffers())}

    there = {name: local(tensor).clone() for name, tensor in tensors().items() if not tensor.is_meta}
    root.to_empty(device=device)  # all of it: FSDP2 looks after its own parts there
    for name, tensor in tensors().items():
        if name in there:  # buffers
            local(tensor).copy_(there[name])
    odd = torch.zeros((), device=device)
    for name, parameter in model.named_parameters():
        if name not in there:
            part = local(like(weights[name], parameter.detach()))
            local(parameter.detach()).copy_(part)
            odd += (~torch.isfinite(part.sum(dtype=torch.float64))).to(odd.dtype)
    if sum_over_ranks(odd).item():
        raise InputError(NOT_FINITE)


def _own_piece(layout: torch.Tensor) -> tuple[slice, ...]:
    """Locate this process's part: FSDP2 cuts the first axis into equal pieces, rounded up; () is the whole tensor."""
    if not isinstance(layout, DTensor):
        return ()
    assert [str(placement) for placement in layout.placements] == ["S(0)"]
    each = -(-layout.shape[0] // layout.device_mesh.size())
    first = layout.device_mesh.get_local_rank() * each
    return (slice(min(first, layout.shape[0]), min(first + each, layout.shape[0])),)
