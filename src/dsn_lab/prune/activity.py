"""Which filters are idle on every training series (the redundancy rule of DSP)."""

from collections.abc import Iterable, Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor

from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps

# Of a layer's largest activity: what counts as nothing, and what is never idle (tau=auto).
FLOOR, CEILING = 1e-7, 0.1


@torch.no_grad()
def activity(network: Prunable, batches: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """The largest activity of each filter over all series, in one pass, in eval mode.

    The activity of filter c on series n is ``a[n, c] = ||F[n, c, :]||_2 / sqrt(T)``.

    Args:
        network: describes its channels.
        batches: of which the first entry is series ``(batch, channel, time)``.

    Returns:
        For each layer ``max_n a[n, :]``, ``(filters,)``.
    """
    device = next(network.parameters()).device
    largest = [torch.zeros(sum(widths)) for widths in network.widths]
    training, maps = network.training, FeatureMaps(network)
    network.eval()
    for x, *_ in batches:
        network(x.to(device))
        for layer, feature_map in enumerate(maps.latest):
            norms = torch.linalg.vector_norm(feature_map, dim=-1) / feature_map.shape[-1] ** 0.5
            largest[layer] = largest[layer].maximum(norms.amax(dim=0).cpu())
    maps.remove()
    network.train(training)
    return largest


def threshold(scores: Tensor, tau: float | Literal["auto"]) -> float:
    """The activity up to which the filters of a layer are redundant.

    Args:
        scores: largest activity of each filter of the layer.
        tau: share of the layer's largest, in (0, 1); or ``auto``, the middle of the widest gap
            between the sorted logarithms of the scores that begins below a tenth of the largest.
    """
    largest = float(scores.max())
    if tau != "auto":
        return tau * largest
    logs = (scores / largest).clamp(min=FLOOR).log().sort().values
    below = int((logs < log(CEILING)).sum())
    if below == 0 or largest == 0:
        return 0.0
    widest = int(logs.diff()[:below].argmax())
    return largest * float((logs[widest] + logs[widest + 1]).div(2).exp())


def kept_filters(
    scores: Sequence[Tensor], cuts: Sequence[float], network: Prunable
) -> list[list[Tensor]]:
    """Of each branch of each layer, the filters above the layer's cut; at least the most active."""
    kept = []
    for layer_scores, cut, widths in zip(scores, cuts, network.widths, strict=True):
        branches = []
        for branch in torch.split(layer_scores, list(widths)):
            above = (branch > cut).nonzero().flatten()
            branches.append(above if len(above) else branch.argmax().view(1))
        kept.append(branches)
    return kept
