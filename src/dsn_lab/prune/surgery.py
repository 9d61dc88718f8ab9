"""Remove filters physically: a smaller ordinary network that computes the same."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dsn_lab.errors import UserError
from dsn_lab.prune.channels import Axis, Prunable
from dsn_lab.sparse.layer import SparseConv1d

Kept = Sequence[Sequence[Tensor]]
"""Of each branch of each layer, the indices of the filters that stay, ascending."""


def require_prunable(network: nn.Module) -> Prunable:
    """Refuse a network that does not describe its channels."""
    if isinstance(network, Prunable):
        return network
    raise UserError(
        f"model={type(network).__name__}: filters can be removed from a network that describes "
        "its channels only; inherit from dsn_lab.prune.channels.Prunable, or use dsp=none"
    )


def prune(network: Prunable, kept: Kept) -> Prunable:
    """Make a network that has the ``kept`` filters of ``network`` only, with their weights.

    What is computed is the same as with the other filters' feature maps set to 0, in eval mode.

    Args:
        network: describes its channels.
        kept: for each layer and branch, which filters stay; as many as the network needs.

    Raises:
        UserError: too few filters would stay in a branch or a layer.
    """
    for layer, branches in enumerate(kept, start=1):
        _require_least(f"layer {layer}", sum(map(len, branches)), network.least_of_layer)
        for branch, filters in enumerate(branches, start=1):
            _require_least(f"layer {layer}, branch {branch}", len(filters), network.least_of_branch)
    channels = network.channels()
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    for name, axes in channels.axes.items():
        for dim, axis in enumerate(axes):
            if axis is not None:
                selected = _indices(axis, network, kept)
                weights[name] = weights[name].index_select(dim, selected)
    shape: dict[str, object] = {
        "widths": tuple(tuple(len(filters) for filters in branches) for branches in kept)
    }
    for name, (outputs, inputs) in channels.sparse.items():
        layer_kept = (
            None if axis is None else _indices(axis, network, kept) for axis in (outputs, inputs)
        )
        module = network.get_submodule(name)
        assert isinstance(module, SparseConv1d)
        positions, stay, active = _select_active(module, *layer_kept)
        weights[f"{name}.positions"] = positions
        weights[f"{name}.values"] = weights[f"{name}.values"][stay]
        shape["active"] = (*shape.get("active", ()), active)  # type: ignore[misc]
    device = next(network.parameters()).device
    pruned = network.resized(**shape)
    # Branches that have vanished, and what served them alone, are not made any more.
    pruned.load_state_dict({name: weights[name] for name in pruned.state_dict()})
    return pruned.to(device).train(network.training)


def _require_least(where: str, count: int, least: int) -> None:
    if count < least:
        stay = "one stays" if least == 1 else f"{least} stay"
        left = "every filter" if count == 0 else f"all but {count} of its filters"
        raise UserError(f"{where} would lose {left}: at least {stay}")


def _indices(axis: Axis, network: Prunable, kept: Kept) -> Tensor:
    """Which channels stay along an axis."""
    parts, first = [], 0
    for run in axis:
        if isinstance(run, int):
            stay, width = torch.arange(run), run
        else:
            layer, branch = run
            stay, width = kept[layer][branch], network.widths[layer][branch]
        parts.append(first + stay)
        first += width
    return torch.cat(parts)


def _select_active(
    conv: SparseConv1d, outputs: Tensor | None, inputs: Tensor | None
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """New positions of the active weights that stay, which these are, and each group's count."""
    out_channels, in_channels, kernel_size = conv.shape
    outputs = torch.arange(out_channels) if outputs is None else outputs
    inputs = torch.arange(in_channels) if inputs is None else inputs
    # Where each kernel goes.
    place = torch.full((out_channels, in_channels), -1)
    n_kernels = len(outputs) * len(inputs)
    place[outputs[:, None], inputs] = torch.arange(n_kernels).view(len(outputs), -1)
    positions = conv.positions.cpu().long()
    kernel = place.flatten()[positions // kernel_size]
    stay = kernel >= 0
    active = tuple(int(group.sum()) for group in torch.split(stay, list(conv.active)))
    moved = kernel[stay] * kernel_size + positions[stay] % kernel_size
    return moved.to(conv.positions.dtype), stay, active
