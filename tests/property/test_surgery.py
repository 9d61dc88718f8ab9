"""Surgery equals zeroing, whatever is removed from whichever network."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsn_lab.nn import DSN, LITE, Inception, ResNet, SparseConv1d
from dsn_lab.prune.activity import together
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.surgery import Kept, prune

NETWORKS: dict[str, Callable[[int], Prunable]] = {
    "lite": lambda channels: LITE(channels, 3, widths=((3, 2, 4), (3,), (2,))),
    "inception": lambda channels: Inception(channels, 3, widths=((2, 3, 1, 2),) * 6),
    "inception-without-branches": lambda channels: Inception(
        channels, 3, widths=((0, 2, 0, 1), (0, 0, 0, 2), (1, 1, 0, 0), (2, 0, 0, 0))
    ),
    # With three channels, the module of as many filters is tied to them.
    "inception-paper": lambda channels: Inception(
        channels, 3, widths=((2, 1, 2, 1), (1, 2, 1, 1), (1, 0, 1, 1)) * 2, variant="paper"
    ),
    "resnet": lambda channels: ResNet(channels, 3, widths=((2,), (4,), (3,)) * 3),
    "resnet-authors": lambda channels: ResNet(
        channels, 3, widths=((2,), (3,), (5,)) + ((4,),) * 6, variant="authors"
    ),
    "dsn-dense": lambda channels: DSN(
        channels, 3, width=4, kernel_size=9, depth=3, start="random", backend="dense"
    ),
    "dsn-packed": lambda channels: DSN(
        channels, 3, width=4, kernel_size=9, depth=3, start="random", backend="packed"
    ),
}


def unsettle(network: nn.Module) -> None:
    """BatchNorm as after training, so that no channel is normalised to itself."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.weight.uniform_(-1, 1)
                module.bias.uniform_(-1, 1)
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 2)


def zero_others(network: Prunable, kept: Kept) -> None:
    """Set the feature maps of all filters that are not kept to 0."""
    for name, widths, branches in zip(
        network.channels().feature_maps, network.widths, kept, strict=True
    ):
        shown = torch.zeros(sum(widths))
        first = 0
        for width, filters in zip(widths, branches, strict=True):
            shown[first + filters] = 1
            first += width

        def zero(_: nn.Module, __: object, out: Tensor, shown: Tensor = shown) -> Tensor:
            beside = torch.ones(out.shape[1] - len(shown))
            return out * torch.cat([shown, beside])[:, None]

        network.get_submodule(name).register_forward_hook(zero)


def filters(network: Prunable, widths: tuple[int, ...]) -> st.SearchStrategy[list[Tensor]]:
    """Of each branch of a layer some filters, as many as the network needs."""
    least = network.least_of_branch
    there = [(branch, each) for branch, width in enumerate(widths) for each in range(width)]

    def completed(drawn: tuple[set[int], ...], order: list[tuple[int, int]]) -> list[Tensor]:
        kept = [set(each) for each in drawn]
        for branch, each in order:
            if sum(map(len, kept)) < network.least_of_layer:
                kept[branch].add(each)
        return [torch.tensor(sorted(each), dtype=torch.long) for each in kept]

    branches = [
        st.sets(st.sampled_from(range(w)), min_size=least) if w else st.just(set[int]())
        for w in widths
    ]
    return st.builds(completed, st.tuples(*branches), st.permutations(there))


@pytest.mark.parametrize("name", NETWORKS)
@settings(deadline=None, max_examples=15)
@given(st.sampled_from([1, 3]), st.integers(0, 2**16), st.data())
def test_surgery_equals_zeroing(name: str, channels: int, seed: int, data: st.DataObject) -> None:
    torch.manual_seed(seed)
    network = NETWORKS[name](channels)
    unsettle(network)
    network.eval()
    drawn = [data.draw(filters(network, widths)) for widths in network.widths]
    kept = together(drawn, network)
    pruned = prune(network, kept)
    zero_others(network, kept)
    x = torch.randn(3, channels, 17)
    torch.testing.assert_close(pruned(x), network(x), rtol=1e-5, atol=1e-5)
    assert pruned.widths == tuple(tuple(map(len, branches)) for branches in kept)
    for layer in (m for m in pruned.modules() if isinstance(m, SparseConv1d)):
        groups = torch.split(layer.positions.long(), list(layer.active))
        for region, held in zip(layer.regions, groups, strict=True):
            assert set(held.tolist()) <= set(region.positions(torch.arange(region.size)).tolist())
        assert len(set(layer.positions.tolist())) == len(layer.values)
