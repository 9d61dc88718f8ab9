"""One update of one layer: which weights move where, and what they start with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsn_lab.sparse import topology
from dsn_lab.sparse.drop import Score
from dsn_lab.sparse.growth.base import Group, Growth
from dsn_lab.sparse.layer import SparseConv1d
from dsn_lab.sparse.moments import ZeroMoments


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
    moves: Moves,
    layer: SparseConv1d,
    state: Mapping[str, Tensor],
    moments: ZeroMoments | None = None,
) -> None:
    """Move a layer's weights, in place, and what an optimizer knows of each.

    A grown weight is 0, and so is what the optimizer knows of it, unless ``moments`` say otherwise.

    Args:
        moves: of this layer.
        layer: whose ``positions`` and ``values`` change.
        state: the optimizer's for the layer's values, by name; ``(active,)``.
        moments: this layer's; None: zero.
    """
    grown = moves.grown.sort().values
    starts = moments.of(state, moves.moved, grown) if moments else {}
    zero = layer.values.new_zeros(())
    weights: list[tuple[Tensor, Tensor]] = [(layer.values, zero)]
    weights += [(tensor, starts.get(name, zero)) for name, tensor in state.items()]
    topology.move(layer.positions, weights, moves.moved, grown)
