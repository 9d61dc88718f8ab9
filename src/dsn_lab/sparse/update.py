"""One update of one layer: which weights move where, and what they start with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dsn_lab.errors import UserError
from dsn_lab.sparse import topology
from dsn_lab.sparse.drop import Score
from dsn_lab.sparse.growth.base import Group, Growth
from dsn_lab.sparse.layer import SparseConv1d

State = Literal["zero", "mean"]

# What torch's Adam and its kin call averages of squared gradients.
SECOND_MOMENTS = ("exp_avg_sq", "max_exp_avg_sq")


@dataclass(frozen=True)
class Moves:
    """What moves in a layer.

    Args:
        moved: indices of the active weights that are dropped.
        grown: as many positions of the flat kernel.
        replaced: for each group, the share of its active weights now at positions that were not
            active before; a weight may grow where one was dropped.
    """

    moved: Tensor
    grown: Tensor
    replaced: tuple[float, ...]


@torch.no_grad()
def drop_and_grow(
    layer: SparseConv1d,
    groups: Sequence[Group],
    score: Score,
    growth: Growth,
    fraction: float,
    generator: np.random.Generator,
) -> Moves:
    """Choose what moves in each group, after a training step; the layer stays as it is.

    Args:
        layer: has a gradient.
        groups: of the layer.
        score: the drop rule; weights of lowest score go.
        growth: the growth rule, this layer's.
        fraction: share of each group's active weights to move, in [0, 1].
        generator: for the growth rule.
    """
    values, gradient, positions = layer.values.detach(), layer.values.grad, layer.positions
    assert gradient is not None
    held = layer.mask.view(-1)
    before = held.clone()
    replaced, moves, growths, first = [], [], [], 0
    for group in groups:
        part = slice(first, first + group.active)
        scores = score(values[part], gradient[part])
        moved = first + topology.lowest(scores, topology.drop_count(group.active, fraction))
        held.index_fill_(0, positions.index_select(0, moved).long(), False)
        grown = growth.grow(group, held, len(moved), generator)
        again = int(before[grown].count_nonzero())
        replaced.append((len(moved) - again) / max(group.active, 1))
        moves.append(moved)
        growths.append(grown)
        first = part.stop
    return Moves(torch.cat(moves), torch.cat(growths), tuple(replaced))


@torch.no_grad()
def apply(
    moves: Moves, layer: SparseConv1d, state: Mapping[str, Tensor], start: State = "zero"
) -> None:
    """Move a layer's weights, in place, and what an optimizer knows of each.

    A grown weight is 0, and so is all that the optimizer knows of it. With ``start="mean"`` second
    moments start at their mean over the layer's other weights instead: from 0 on, with a count of
    steps that all weights share, Adam's first step on a weight is 3.2 times the learning rate,
    ``(1 - beta1) / sqrt(1 - beta2)``.

    Args:
        moves: of this layer.
        layer: whose ``positions`` and ``values`` change.
        state: the optimizer's for the layer's values, by name; ``(active,)``.
        start: what second moments start with.

    Raises:
        UserError: second moments are to start at their mean, but there are none.
    """
    if start == "mean" and not state.keys() & set(SECOND_MOMENTS):
        raise UserError(f"dst.state=mean: the optimizer keeps no {SECOND_MOMENTS[0]}, use zero")
    starts = {
        name: _mean_of_others(state[name], moves.moved) if start == "mean" else 0.0
        for name in SECOND_MOMENTS
        if name in state
    }
    weights: list[tuple[Tensor, float]] = [(layer.values, 0.0)]
    weights += [(tensor, starts.get(name, 0.0)) for name, tensor in state.items()]
    topology.move(layer.positions, weights, moves.moved, moves.grown)


def _mean_of_others(weights: Tensor, moved: Tensor) -> float:
    """The mean of all but the ``moved``, 0 if there are no others."""
    others = torch.ones_like(weights, dtype=torch.bool).index_fill_(0, moved, False)
    return float(weights[others].mean()) if others.any() else 0.0
