"""The authors' rule, computed directly from feature maps that are kept."""

import pytest
import torch
from torch import Tensor

from dsn_lab.prune.activity import analyse, kept_filters
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.rules.instance_mean import InstanceMean
from tests.property.test_surgery import NETWORKS, unsettle


def direct(feature_map: Tensor) -> list[int]:
    """How many series each filter is active on, series by series."""
    counts = [0] * feature_map.shape[1]
    for series in feature_map:
        norms = [float(channel.square().sum().sqrt()) for channel in series]
        mean = sum(norms) / (sum(norm != 0 for norm in norms) + 1)
        counts = [n + (norm > mean) for n, norm in zip(counts, norms, strict=True)]
    return counts


def silence(network: Prunable) -> None:
    """Let some filters be silent on every series, and some on most."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.bias[: len(module.bias) // 3] = -100.0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_counts_are_those_of_a_direct_computation(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    network = NETWORKS[name](1 + 2 * (seed % 2))
    unsettle(network)
    if seed % 3 == 0:
        silence(network)
    x = torch.randn(23, network.arguments["in_channels"], 17)
    maps = FeatureMaps(network.eval())
    network(x)
    maps.remove()
    expected = [direct(feature_map) for feature_map in maps.latest]
    least = 1 + seed % 2
    rule = InstanceMean(min_series=least)
    scores = analyse(network, rule, [(part,) for part in torch.split(x, 5)])
    assert [layer.tolist() for layer in scores] == expected
    kept = kept_filters(scores, [rule.cut(layer) for layer in scores], rule, network)
    # Layers that are added to each other keep the same filters.
    tied = {layer for pair in network.channels().tied for layer in pair}
    for layer, (widths, counts, branches) in enumerate(
        zip(network.widths, expected, kept, strict=True)
    ):
        first, stay, needed = 0, 0, 0
        for width, branch in zip(widths, branches, strict=True):
            above = {i for i in range(width) if counts[first + i] >= least}
            assert above <= set(branch.tolist())
            first, stay = first + width, stay + len(branch)
            needed += max(len(above), network.least_of_branch)
        # Nothing stays beside what is active but what must.
        if layer not in tied:
            assert stay == max(needed, network.least_of_layer)
