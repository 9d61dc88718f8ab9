"""The networks of the DSN paper's Tables 1 and 2, and what they print of them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dsn_lab.errors import UserError
from dsn_lab.nn import DSN, MLSTMFCN, OSCNN, Inception, ResNet, TapNet
from dsn_lab.nn.cost import Cost, measure
from dsn_lab.nn.parallel import ParallelConv1d
from dsn_lab.registry import networks

HAR, EEG2, DAILY_SPORT, GUN_POINT = (9, 128, 6), (64, 256, 2), (45, 125, 19), (1, 150, 2)
SHAPES = (HAR, EEG2, DAILY_SPORT, GUN_POINT)

Make = Callable[[int, int, int], nn.Module]
MAKE: dict[str, Make] = {
    "resnet": lambda c, t, k: ResNet(c, k),
    "resnet, authors": lambda c, t, k: ResNet(c, k, variant="authors"),
    "inception, paper": lambda c, t, k: Inception(c, k, variant="paper"),
    "inception": lambda c, t, k: Inception(c, k),
    "oscnn": lambda c, t, k: OSCNN(c, k, t),
    "mlstm_fcn": lambda c, t, k: MLSTMFCN(c, k, t),
    "mlstm_fcn, authors": lambda c, t, k: MLSTMFCN(c, k, t, variant="authors"),
    # The paper's count for HAR has a seventh class: labels 1 to 6 were taken for 0 to 6.
    "tapnet": lambda c, t, k: TapNet(c, 7 if k == 6 else k, t),
}
# Parameters, and MFLOPs at two for each multiply-add, on HAR, EEG2, DailySport and GunPoint.
COUNTED: dict[str, tuple[tuple[int, ...], tuple[float | None, ...]]] = {
    "resnet": ((483078, 506626, 503187, 478466), (122.816, 257.950, 124.549, 142.695)),
    "resnet, authors": ((509382, 536386, 531795, 504258), (129.255, 272.630, 131.413, 150.087)),
    "inception, paper": ((457158, 467202, 465747, 388610), (116.312, 238.027, 115.317, 115.892)),
    "inception": ((491974, 502018, 500563, 420450), (125.224, 255.853, 124.021, 125.444)),
    "oscnn": ((280392, 320340, 317053, 264385), (71.218, 163.410, 78.247, 78.863)),
    "mlstm_fcn": ((284974, 342506, 324771, 275978), (63.340, 161.895, 70.700, 72.883)),
    "mlstm_fcn, authors": ((288342, 348210, 326891, 280306), (69.569, 168.875, 77.465, 78.982)),
    "tapnet": ((1275775, 1369210, 1885579, 1063034), (309.954, 779.503, 346.163, None)),
}
# Table 2 on HAR, EEG2 and DailySport, and Table 1: parameters in thousands, FLOPs in millions.
TABLE2 = {
    "tapnet": ((1275.78, 310.61), (1369.21, 780.19), (1885.58, 346.97)),
    "mlstm_fcn": ((284.97, 63.38), (342.51, 161.53), (324.77, 70.59)),
    "oscnn": ((280.39, 70.98), (320.34, 162.04), (317.05, 78.01)),
}
TABLE1 = {
    "resnet": (479.20, 803.38),
    "inception, paper": (389.34, 325.49),
    "oscnn": (262.14, 200.12),
}
# The paper's rule as we have found it gives 323.06 here; what else it counts is not known.
MISSED = {"inception, paper": 323.058}


def cost(name: str, shape: tuple[int, int, int]) -> Cost:
    channels, time, _ = shape
    with torch.device("meta"):  # of weights only the shapes count
        network = MAKE[name](*shape)
    return measure(network, channels, time)


@pytest.mark.parametrize("name", MAKE)
def test_parameters_and_flops_are_those_worked_out_from_the_descriptions(name: str) -> None:
    for shape, params, mflops in zip(SHAPES, *COUNTED[name], strict=True):
        counted = cost(name, shape)
        assert counted.params_active == counted.params == params
        if mflops is not None:
            assert counted.flops / 1e6 == pytest.approx(mflops, abs=6e-4)


@pytest.mark.parametrize("name", TABLE2)
def test_table_2_is_printed_of_these_networks(name: str) -> None:
    for shape, (params, mflops) in zip(SHAPES, TABLE2[name], strict=False):
        counted = cost(name, shape)
        assert round(counted.params_active / 1e3, 2) == params
        assert counted.flops_paper / 1e6 == pytest.approx(mflops, abs=0.01)


def mean_mflops(name: str, shapes: list[tuple[int, int, int]]) -> float:
    """By the paper's rule; linear in time and classes where the layers do not depend on them."""
    if name == "oscnn":
        return sum(cost(name, shape).flops_paper for shape in shapes) / 1e6 / len(shapes)
    corner, longer, more = (
        cost(name, (1, *shape)).flops_paper for shape in ((100, 2), (300, 2), (100, 9))
    )
    of_time, of_class = (longer - corner) / 200, (more - corner) / 7
    found = [corner + of_time * (time - 100) + of_class * (k - 2) for _, time, k in shapes]
    assert round(found[-1]) == cost(name, shapes[-1]).flops_paper
    return sum(found) / 1e6 / len(shapes)


@pytest.mark.parametrize("name", TABLE1)
def test_table_1_is_printed_of_these_networks(name: str) -> None:
    with Path(__file__).with_name("ucr85.csv").open(newline="") as file:
        shapes = [(1, int(row["length"]), int(row["classes"])) for row in csv.DictReader(file)]
    assert len(shapes) == 85
    params, mflops = TABLE1[name]
    with torch.device("meta"):
        made = [MAKE[name](*shape) for shape in shapes]
    held = [sum(p.numel() for p in network.parameters()) for network in made]
    assert round(sum(held) / 85e3, 2) == params
    assert mean_mflops(name, shapes) == pytest.approx(MISSED.get(name, mflops), abs=0.01)


# Tables 2 and 3 of DSN: sparsity (None: dense), FLOPs in millions on HAR, EEG2, DailySport.
DSN_PRINTED = {
    None: (267.57, 536.17, 262.10),
    0.5: (93.01, 187.05, 91.63),
    0.8: (40.64, 82.31, 40.48),
    0.9: (23.18, 46.64, 23.44),
}


@pytest.mark.parametrize("sparsity", DSN_PRINTED)
def test_the_papers_rule_gives_what_it_prints_of_dsn(sparsity: float | None) -> None:
    for (channels, time, n_classes), mflops in zip(SHAPES, DSN_PRINTED[sparsity], strict=False):
        groups = 1 if sparsity is None else 3
        network = DSN(channels, n_classes, groups=groups, sparsity=sparsity or 0.0)
        found = measure(network, channels, time).flops_paper / 1e6
        if mflops == 46.64:  # the one cell of twelve that the rule misses
            assert found == pytest.approx(47.40, abs=0.01)
        else:
            assert found == pytest.approx(mflops, abs=0.01)


def test_each_call_of_a_shared_layer_is_counted() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3, padding=1, bias=False)
            self.again = self.conv

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            called: torch.Tensor = self.again(self.conv(x))
            return called

    counted = measure(Twice(), 2, 10)
    assert (counted.params, counted.flops) == (12, 2 * 2 * 12 * 10)
    assert counted.flops_paper == 2 * (2 * 2 - 1) * 3 * 2 * 10


@pytest.mark.parametrize("taps", [(1, 2, 3, 5, 7), (1, 2), (3, 4)])
def test_parallel_convolutions_are_those_one_after_the_other(taps: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    parallel = ParallelConv1d(2, 3, taps).double()
    x = torch.randn(4, 2, 11, dtype=torch.float64, requires_grad=True)
    expected = torch.cat(
        [
            nn.functional.conv1d(
                nn.functional.pad(x, ((k - 1) // 2, k // 2)), part.weight, part.bias
            )
            for k, part in zip(taps, parallel.parts, strict=True)
        ],
        dim=1,
    )
    torch.testing.assert_close(parallel(x), expected)
    both = [
        torch.autograd.grad(out.square().sum(), (x, *parallel.parameters()))
        for out in (parallel(x), expected)
    ]
    torch.testing.assert_close(*both)


def test_mlstm_fcn_passes_over_silent_channels() -> None:
    torch.manual_seed(0)
    network = MLSTMFCN(3, 2, 20, variant="authors").eval()
    x = torch.randn(2, 3, 20)
    silent = torch.cat([x[:, :1], torch.zeros(2, 1, 20), x[:, 1:]], dim=1)
    torch.testing.assert_close(network._last_of_channels(silent), network._last_of_channels(x))
    assert (network._last_of_channels(torch.zeros(2, 3, 20)) == 0).all()


def test_a_dropouts_masks_follow_from_its_state() -> None:
    torch.manual_seed(0)
    network = MLSTMFCN(1, 2, 20)
    x = torch.randn(4, 1, 20)
    network(x)
    state = {name: tensor.clone() for name, tensor in network.dropout.state_dict().items()}
    first, second = (network.dropout(torch.ones(5, 8)) for _ in range(2))
    assert not first.equal(second)
    torch.testing.assert_close(first.unique(), torch.tensor([0.0, 5.0]))
    network.dropout.load_state_dict(state)
    assert network.dropout(torch.ones(5, 8)).equal(first)


def test_tapnets_prototypes_are_of_the_training_set_and_part_of_its_state() -> None:
    torch.manual_seed(0)
    network = TapNet(3, 2, 20, filters=(4, 4, 4), cells=4, sizes=(8, 6))
    x, y = torch.randn(12, 3, 20), torch.arange(12) % 2
    network.settle([(x[:7], y[:7]), (x[7:], y[7:])])
    assert network.training
    network.eval()
    torch.testing.assert_close(network(x), network(x, y))
    copy = TapNet(3, 2, 20, filters=(4, 4, 4), cells=4, sizes=(8, 6)).eval()
    copy.load_state_dict(network.state_dict())
    assert copy(x).equal(network(x))
    only_first = network(x[:4], torch.zeros(4, dtype=torch.long))
    assert only_first[:, 1].isneginf().all()


@pytest.mark.parametrize(("name", "steps"), [("oscnn", 3), ("tapnet", 12), ("mlstm_fcn", 13)])
def test_series_that_are_too_short_are_refused_in_words(name: str, steps: int) -> None:
    with pytest.raises(UserError, match=f"series of {steps} steps"):
        networks.make({"name": name}, in_channels=1, n_classes=2, length=steps)


@pytest.mark.parametrize("name", ["tapnet", "mlstm_fcn, authors"])
def test_series_of_another_length_than_the_network_is_of_are_refused(name: str) -> None:
    network = MAKE[name](2, 30, 3).eval()
    with pytest.raises(ValueError, match="series of 31 steps"):
        network(torch.randn(2, 2, 31))
