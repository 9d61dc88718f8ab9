"""What a rule finds in a network's feature maps over the training set."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from dsn_lab.prune.channels import INPUT, Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.rules.base import Rule


@torch.no_grad()
def analyse(network: Prunable, rule: Rule, batches: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Each filter's score, in one pass over the batches, in eval mode.

    Args:
        network: describes its channels.
        rule: scores its filters.
        batches: of which the first entry is series ``(batch, channel, time)``.

    Returns:
        For each layer ``(filters,)``, on the CPU.
    """
    device = next(network.parameters()).device
    scores = [torch.zeros(sum(widths), device=device) for widths in network.widths]
    training, maps = network.training, FeatureMaps(network)
    network.eval()
    for x, *_ in batches:
        network(x.to(device))
        scores = [rule.add(*each) for each in zip(scores, maps.latest, strict=True)]
    maps.remove()
    network.train(training)
    return [layer.cpu() for layer in scores]


def kept_filters(
    scores: Sequence[Tensor], cuts: Sequence[float], rule: Rule, network: Prunable
) -> list[list[Tensor]]:
    """Of each branch of each layer, the indices of the filters that stay by a rule's scores."""
    least = network.least_of_branch, network.least_of_layer
    kept = [
        rule.kept(layer, cut, widths, least)
        for layer, cut, widths in zip(scores, cuts, network.widths, strict=True)
    ]
    return together(kept, network)


def together(kept: Sequence[Sequence[Tensor]], network: Prunable) -> list[list[Tensor]]:
    """The same with what must stay in a layer because it stays in one that is tied to it."""
    result = [list(branches) for branches in kept]
    # What is tied in a chain takes a round a link.
    for first, second in network.channels().tied * len(result):
        for branch, width in enumerate(network.widths[second]):
            if first == INPUT:
                result[second][branch] = torch.arange(width)
            else:
                stay = torch.zeros(width, dtype=torch.bool)
                stay[torch.cat([result[first][branch], result[second][branch]])] = True
                both = stay.nonzero().flatten()
                result[first][branch] = result[second][branch] = both
    return result
