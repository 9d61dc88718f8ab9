"""Networks folded into the numbers of a C file, without any compiler."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dsn_lab.errors import UserError
from dsn_lab.export.c import coded, prefix_of
from dsn_lab.export.c.fold import fold
from dsn_lab.export.c.text import FAR, Scaling, source
from dsn_lab.nn import DSN, LITE, Inception


def shaken(network: nn.Module) -> nn.Module:
    """In float64 and eval mode, with statistics and signs as training might leave them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.2, 1)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.3)
    return network.double().eval()


NETWORKS: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (DSN, {"width": 4, "kernel_size": 9, "padding": "zeros"}),
    (DSN, {"width": 4, "kernel_size": 9, "padding": "replicate", "groups": 2, "depth": 2}),
    (DSN, {"width": 4, "kernel_size": 9, "sparsity": 0.0, "groups": 1}),
    (LITE, {}),
    (LITE, {"widths": ((3, 1, 2), (4,), (3,))}),
]


@pytest.mark.parametrize("time", [5, 50, 131])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "settings"), NETWORKS)
@torch.no_grad()
def test_a_folded_network_is_the_network(
    kind: type[nn.Module], settings: dict[str, Any], channels: int, time: int
) -> None:
    network = shaken(kind(in_channels=channels, n_classes=4, **settings))
    x = torch.randn(5, channels, time, dtype=torch.float64)
    folded, expected = fold(network, time), network(x)
    torch.testing.assert_close(folded.run(x), expected)
    torch.testing.assert_close(coded.float32(folded).run(x), expected)


@pytest.mark.parametrize(("kind", "settings"), NETWORKS)
@torch.no_grad()
def test_codes_of_eight_bits_are_near(kind: type[nn.Module], settings: dict[str, Any]) -> None:
    network = shaken(kind(in_channels=2, n_classes=4, **settings)).train()
    amplitude, level = torch.rand(2, 80, 2, 1, dtype=torch.float64) * 4
    x = torch.randn(80, 2, 60, dtype=torch.float64) * amplitude + level
    for _ in range(50):
        network(x)  # BatchNorm takes their statistics, as in training
    network.eval()
    # Calibrated on one half.
    numbers = coded.int8(fold(network, 60), x[:40])
    assert all(layer.values.dtype == np.int8 for layer in numbers.layers)
    expected = network(x)
    error = (numbers.run(x) - expected).square().mean(dim=0).sqrt()
    assert (error < 0.2 * expected.std(dim=0)).all()


def test_a_step_of_more_than_16_bits_is_walked_over_zeros() -> None:
    network = DSN(in_channels=1, n_classes=2, width=40, kernel_size=4, groups=1, sparsity=0.9)
    numbers = coded.float32(fold(network.eval(), 5000))
    made = source(numbers, Scaling("none"), ("a", "b"), "model", ())
    steps = made.code.partition("steps_2[] = {")[2].partition("}")[0]
    walked = [int(each) for each in steps.split(",") if each.strip()]
    assert len(walked) >= len(numbers.layers[2].values)
    assert max(walked) <= FAR


def test_what_cannot_be_c_is_refused() -> None:
    with pytest.raises(UserError, match=r"Inception cannot be a C file.*--to onnx"):
        fold(Inception(in_channels=1, n_classes=2), 20)


@pytest.mark.parametrize("name", ["1st.c", "_x.c"])
def test_a_name_that_c_cannot_have_is_refused(name: str, tmp_path: Any) -> None:
    with pytest.raises(UserError, match="must begin with a letter"):
        prefix_of(tmp_path / name)


def test_other_characters_of_a_name_are_replaced(tmp_path: Any) -> None:
    assert prefix_of(tmp_path / "my model-2.c") == "my_model_2"
