import pytest
import torch
import torch.nn.functional as F

from dsn_lab.nn import LITE, Inception
from dsn_lab.nn.cost import measure
from dsn_lab.nn.lite import Depthwise, frozen_filters
from dsn_lab.prune.channels import Prunable


@pytest.mark.parametrize(("network", "params"), [(LITE(1, 2), 9814), (Inception(1, 2), 420192)])
def test_parameters_without_the_classifier_are_the_published_ones(
    network: Prunable, params: int
) -> None:
    classifier = sum(p.numel() for p in network.get_submodule("classifier").parameters())
    assert measure(network, 1, 100).params_active == params + classifier


@pytest.mark.parametrize("kind", [LITE, Inception])
@pytest.mark.parametrize("channels", [1, 4])
def test_maps_batch_channel_time_to_logits_for_any_length(
    kind: type[LITE | Inception], channels: int
) -> None:
    network = kind(channels, 5)
    for time in (3, 24, 77):
        assert network(torch.randn(2, channels, time)).shape == (2, 5)


@pytest.mark.parametrize(("taps", "dilation"), [(20, 2), (10, 4), (7, 3), (4, 1), (64, 1)])
@pytest.mark.parametrize("time", [5, 24, 31])
def test_depthwise_is_the_librarys_with_same_padding(taps: int, dilation: int, time: int) -> None:
    conv, x = Depthwise(3, taps, dilation), torch.randn(2, 3, time)
    expected = F.conv1d(x, conv.weight, padding="same", dilation=dilation, groups=3)
    torch.testing.assert_close(conv(x), expected)


def test_the_frozen_filters_are_17_of_the_published_lengths_and_never_trained() -> None:
    filters = frozen_filters()
    assert [len(taps) for taps in filters] == [2, 4, 8, 16, 32, 64] * 2 + [6, 12, 24, 48, 96]
    assert filters[0].tolist() == [-1, 1]
    assert filters[6].tolist() == [1, -1]
    assert filters[12].tolist() == [-1, -1, 2, 2, -1, -1]
    assert filters[13].tolist() == [-0.25, -1, -1, -0.25, 0.5, 2, 2, 0.5, -0.25, -1, -1, -0.25]
    network = LITE(1, 2)
    loss = F.cross_entropy(network(torch.randn(4, 1, 30)), torch.tensor([0, 1, 0, 1]))
    torch.autograd.backward(loss)
    assert all(p.grad is None for p in network.frozen.parameters())


@pytest.mark.parametrize(
    ("kind", "widths"),
    [(LITE, ((3, 3), (2,), (2,))), (Inception, ((2, 2, 2),) * 3), (LITE, ((3, 3, 0), (2,), (2,)))],
)
def test_impossible_widths_are_refused(kind: type[LITE | Inception], widths: object) -> None:
    with pytest.raises(ValueError, match="widths"):
        kind(1, 2, widths=widths)  # type: ignore[arg-type]
