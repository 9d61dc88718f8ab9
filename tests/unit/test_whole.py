"""When a network runs as one native plan, and what that must not change."""

import gc
import pickle
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsn_lab import kernels
from dsn_lab.kernels import build, sources
from dsn_lab.kernels.plan import Plan
from dsn_lab.nn import DSN, SparseConv1d
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.penalties.instance_l21 import instance_l21
from dsn_lab.sparse.layer import last_backend

pytestmark = pytest.mark.skipif(not kernels.available(), reason=str(kernels.why_unavailable()))


def network(**changes: object) -> DSN:
    torch.manual_seed(0)
    sizes = {"width": 4, "depth": 2, "kernel_size": 9, "sparsity": 0.5}
    return DSN(2, 3, **(sizes | changes))  # type: ignore[arg-type]


@pytest.fixture
def native_passes(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans of all forward passes from here on."""
    seen: list[Plan] = []
    original = Plan.forward

    def forward(self: Plan, *args: object, **kwargs: object) -> tuple[Tensor, ...]:
        seen.append(self)
        return original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Plan, "forward", forward)
    return seen


def test_a_plan_serves_its_shape_again_and_again(native_passes: list[Plan]) -> None:
    net = network()
    for batch in (4, 4, 3, 4):
        net(torch.randn(batch, 2, 20)).sum().backward()
    assert len(set(native_passes)) == 2
    assert native_passes[0] is native_passes[1] is native_passes[3]
    net.eval()
    with torch.no_grad():
        net(torch.randn(1, 2, 20))
    assert len(native_passes) == 5
    assert last_backend(net) == "packed"


def test_pending_backward_passes_keep_their_buffers() -> None:
    net, x = network(), torch.randn(3, 4, 2, 20)
    parameters = list(net.parameters())
    alone = [torch.autograd.grad(net(each).square().sum(), parameters) for each in x]
    together = [net(each).square().sum() for each in x]
    for expected, loss in zip(alone, together, strict=True):
        for a, b in zip(torch.autograd.grad(loss, parameters), expected, strict=True):
            assert a.equal(b)


def test_a_graph_that_is_dropped_frees_its_plan(native_passes: list[Plan]) -> None:
    net = network()
    for _ in range(3):
        net(torch.randn(4, 2, 20))
        gc.collect()
    assert len(set(native_passes)) == 1


def test_backward_again_works_until_the_network_runs_again() -> None:
    net, x = network(), torch.randn(4, 2, 20)
    loss = net(x).square().sum()
    first = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    again = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    net(x)
    with pytest.raises(RuntimeError, match="has run again"):
        loss.backward()


def test_a_parameter_changed_before_backward_is_noticed() -> None:
    net = network()
    loss = net(torch.randn(4, 2, 20)).sum()
    with torch.no_grad():
        next(net.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_a_topology_moved_before_backward_is_noticed() -> None:
    net = network()
    loss = net(torch.randn(4, 2, 20)).sum()
    next(m for m in net.modules() if isinstance(m, SparseConv1d)).positions.add_(0)
    with pytest.raises(RuntimeError, match="topology has changed"):
        loss.backward()


def test_only_what_is_wanted_gets_gradients() -> None:
    net, x = network(), torch.randn(4, 2, 20)
    net(x).square().sum().backward()
    expected = {name: p.grad for name, p in net.named_parameters()}
    net.zero_grad()
    frozen = {name for name, _ in net.named_parameters() if name.endswith("values")}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in frozen)
    net(x).square().sum().backward()
    for name, parameter in net.named_parameters():
        grad, wanted = parameter.grad, expected[name]
        assert (grad is None) == (name in frozen)
        assert grad is None or (wanted is not None and grad.equal(wanted))
    assert not net.requires_grad_(False)(x).requires_grad


def test_gradients_accumulate() -> None:
    net, x = network(), torch.randn(4, 2, 20)
    for _ in range(2):
        net(x).square().sum().backward()
    once = torch.autograd.grad(net(x).square().sum(), list(net.parameters()))
    for parameter, grad in zip(net.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * grad)


def test_a_step_without_a_graph_gives_the_gradients_of_one_with() -> None:
    graph, net = network(), network()
    for x in torch.randn(2, 4, 2, 20):
        graph.zero_grad()
        expected = graph(x)
        expected.square().sum().backward()
        begun = net.step(x)
        assert begun is not None
        logits, backward = begun
        assert logits.equal(expected)
        assert not logits.requires_grad
        backward(2 * logits)
        for a, b in zip(net.parameters(), graph.parameters(), strict=True):
            assert a.grad is not None
            assert b.grad is not None
            assert a.grad.equal(b.grad)
    for mine, its in zip(net.buffers(), graph.buffers(), strict=True):
        assert mine.equal(its)


def test_a_step_without_a_graph_is_for_whole_networks_only() -> None:
    hooked, frozen, x = network(), network(), torch.randn(4, 2, 20)
    hooked.features[2].register_forward_hook(lambda *_: None)
    next(frozen.parameters()).requires_grad_(False)
    assert hooked.step(x) is None
    assert frozen.step(x) is None


def test_a_moved_topology_is_followed_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = network(), torch.randn(4, 2, 20)
    net(x)
    packed: list[Tensor] = []
    original = kernels.pack

    def pack(positions: Tensor, shape: tuple[int, int, int]) -> kernels.Packed:
        packed.append(positions)
        return original(positions, shape)

    monkeypatch.setattr("dsn_lab.kernels.packed.pack", pack)
    layer = next(m for m in net.modules() if isinstance(m, SparseConv1d))
    first = slice(0, layer.active[0])
    layer.positions[first] = layer.positions[first].flip(0)
    dense = network(backend="dense")
    dense.load_state_dict(net.state_dict())
    torch.testing.assert_close(net.eval()(x), dense.eval()(x), rtol=1e-4, atol=1e-5)
    assert len(packed) == 1


def test_values_in_any_order_of_positions_get_their_gradients() -> None:
    net, dense = network(start="random"), network(backend="dense")
    for layer in net.modules():
        if isinstance(layer, SparseConv1d):
            groups = torch.split_with_sizes(layer.positions, list(layer.active))
            layer.positions.copy_(torch.cat([p[torch.randperm(len(p))] for p in groups]))
    dense.load_state_dict(net.state_dict())
    x = torch.randn(4, 2, 20)
    for each in (net, dense):
        each(x).square().sum().backward()
    for a, b in zip(net.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)


def test_whoever_looks_inside_gets_the_layers(native_passes: list[Plan]) -> None:
    x = torch.randn(4, 2, 20)
    hooked, exchanged, wide, seen = network(), network(), network().double(), network()
    handle = hooked.features[2].register_forward_hook(lambda *_: None)
    exchanged.features[3] = nn.Tanh()
    hooked(x)
    wide(x.double())
    seen(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert not native_passes
    handle.remove()
    hooked(x.detach())
    assert len(native_passes) == 1


@pytest.mark.parametrize(("time", "batch"), [(20, 4), (33, 17)])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_penalties_on_feature_maps_are_those_of_the_layers(
    padding: str, time: int, batch: int, native_passes: list[Plan]
) -> None:
    x, y, found = torch.randn(batch, 2, time), torch.randint(3, (batch,)), []
    nets = [network(depth=3, padding=padding) for _ in range(2)]
    nets[1].features[1].register_forward_pre_hook(lambda *_: None)
    for net in nets:
        maps = FeatureMaps(net)
        loss = F.cross_entropy(net(x), y)
        # Not of the second layer: nobody need use all that is handed out.
        loss = loss + sum(instance_l21(maps.latest[layer], "sum") for layer in (0, 2))
        loss.backward()
        found.append([*maps.latest, *(parameter.grad for parameter in net.parameters())])
    assert len(native_passes) == 1
    for mine, its in zip(*found, strict=True):
        assert (mine - its).norm() <= 1e-5 * its.norm()


def test_feature_maps_are_read_without_a_graph_too(native_passes: list[Plan]) -> None:
    net, layered, x = network().eval(), network().eval(), torch.randn(5, 2, 20)
    layered.features[1].register_forward_pre_hook(lambda *_: None)
    maps, expected = FeatureMaps(net), FeatureMaps(layered)
    assert net.step(x) is None
    with torch.no_grad():
        net(x), layered(x)
    assert len(native_passes) == 1
    for mine, its in zip(maps.latest, expected.latest, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_follow_as_the_layers_have_them(momentum: float | None) -> None:
    nets = [network(), network(backend="dense")]
    nets[1].load_state_dict(nets[0].state_dict())
    batches = torch.randn(3, 4, 2, 20)
    for net in nets:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = momentum
        for x in batches:
            net(x)
    for a, b in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_not_a_number_stays_so() -> None:
    x = torch.randn(4, 2, 20)
    x[0, 0, 3] = torch.nan
    assert network()(x).isnan().any()


def test_copies_have_plans_of_their_own() -> None:
    net, x = network().eval(), torch.randn(4, 2, 20)
    y = net(x)
    for other in (deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert not other._whole._plans
        assert other(x).equal(y)
    assert not [key for key in net.state_dict() if "whole" in key]


@pytest.mark.parametrize("instructions", ["plain", *sources.INSTRUCTIONS])
@pytest.mark.parametrize("shape", [(1, 24), (5, 50), (16, 40)])
def test_every_instruction_set_computes_the_same(
    instructions: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ["plain", "AVX2", "AVX512"]
    if order.index(instructions) > order.index(build.instruction_set()):
        pytest.skip(f"this CPU has no {instructions}")
    batch, time = shape
    x, results = torch.randn(batch, 2, time), []
    for library in (build.load(), build.load(instructions)):
        monkeypatch.setattr("dsn_lab.kernels.plan.load", lambda library=library: library)
        net = network(width=18)
        logits = net(x)
        grads = torch.autograd.grad(logits.square().sum(), list(net.parameters()))
        results.append([logits.detach(), *grads])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
