"""What every choice must keep: networks, sparse training and pruning, found by their files.

A network says with which settings it is small where it registers itself; a choice of ``dst`` or
``dsp`` has its line here. One that has none fails.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dsn_lab import registry
from dsn_lab.nn import cost
from dsn_lab.prune.channels import Prunable
from dsn_lab.records import networks
from dsn_lab.run.keeping import BestWeights
from dsn_lab.run.stages import Staged
from dsn_lab.sparse.callback import DynamicSparseTraining
from dsn_lab.sparse.layer import SparseConv1d
from tests.conftest import Run, record
from tests.contract.training import (
    CHANNELS,
    CLASSES,
    Keep,
    Trained,
    checked,
    choices,
    fitted,
    made,
    small,
    train,
)
from tests.e2e.test_resume import require_equal

EPOCHS = 6
# Of the choices of dst and dsp, settings with which much happens in few epochs.
SETTINGS: dict[str, dict[str, list[str]]] = {
    "dst": {
        "dsn": ["dst.update_every=1"],
        "rigl": ["dst.update_every=1"],
        "static": [],
        "dense": [],
        "none": [],
    },
    "dsp": {
        "none": [],
        "default": ["dsp.penalty=1e-3", "dsp.finetune_epochs=3"],
        "scratch": ["dsp.penalty=1e-3", "dsp.pruned_by=null"],
    },
}
# Further settings that a resume must get right.
FURTHER = [
    ["dst.growth={name:momentum,observes:steps,decay:0.5}"],
    ["dst.state=mean"],
    ["dst.state=dense"],
    ["dst.update_steps=7"],
]
# Stages that structured pruning may pass.
# Networks on which other rules and stages than the usual ones are tried: one of each kind.
RULED = {"dsn", "lite"}
STAGES = [["dsp.scratch=true"], ["dsp.scratch=true", "dsp.report=finetuned"]]
MODELS = sorted(set(choices("model")) - set(fitted()))


def cells() -> list[tuple[str, ...]]:
    """Every model; on DSN every dst, growth, drop and distribution; every dsp on what it prunes."""
    usual = SETTINGS["dst"]["dsn"]
    found: list[tuple[str, ...]] = [tuple(small(model)) for model in MODELS]
    dsn = tuple(small("dsn"))
    found += [(*dsn, f"dst={dst}", *SETTINGS["dst"].get(dst, [])) for dst in choices("dst")]
    for kind in ("growth", "drop"):
        rules = {"growth": registry.growths, "drop": registry.drops}[kind]
        found += [(*dsn, *usual, f"dst.{kind}={rule}") for rule in rules if rule != "none"]
    found += [(*dsn, *usual, f"model.distribution={each}") for each in registry.distributions]
    found += [(*dsn, *usual, *further) for further in FURTHER]
    for model in (name for name in MODELS if issubclass(registry.networks[name], Prunable)):
        cell = tuple(small(model))
        for dsp in choices("dsp"):
            found.append((*cell, f"dsp={dsp}", *SETTINGS["dsp"].get(dsp, [])))
        pruned = (*cell, "dsp=default", *SETTINGS["dsp"]["default"])
        if model in RULED:
            others = set(registry.rules) - {checked(*pruned).dsp["rule"]}
            found += [(*pruned, f"dsp.rule={rule}") for rule in sorted(others)]
            found += [(*pruned, *further) for further in STAGES]
    return list(dict.fromkeys(found))


each_cell = pytest.mark.parametrize("cell", cells(), ids=" ".join)


@pytest.mark.parametrize("group", ["model", "dst", "dsp"])
def test_every_choice_has_an_entry(group: str) -> None:
    for choice in MODELS if group == "model" else choices(group):
        if group == "model":
            name = checked(f"model={choice}").model["name"]
            assert registry.networks.small(name), f"register {name!r} with small={{...}}"
        else:
            assert choice in SETTINGS[group], f"give {group}={choice} a line in SETTINGS"


def trained(cell: tuple[str, ...], *watching: Any, checkpoint: Path | None = None) -> Trained:
    return train(checked(*cell, f"trainer.max_epochs={EPOCHS}"), *watching, checkpoint=checkpoint)


def stops() -> list[tuple[tuple[str, ...], int]]:
    """Cells, and after which epoch they stop: in and at the ends of their phases."""
    pairs = [(cell, after) for cell in cells() for after in (1, EPOCHS - 1)]
    scratch = [cell for cell in cells() if "dsp.scratch=true" in cell]
    third = ("dsp=default", *SETTINGS["dsp"]["default"], *STAGES[0])
    scratch.append((*small("dsn"), "dst.update_every=1", *FURTHER[0], *third))
    return pairs + [(cell, EPOCHS + more) for cell in scratch for more in (1, 2, 4)]


@pytest.mark.parametrize(("cell", "after"), stops(), ids=str)
def test_a_resumed_training_ends_with_the_same_bits(
    cell: tuple[str, ...], after: int, tmp_path: Path
) -> None:
    path = tmp_path / "kept.ckpt"
    undisturbed = trained(cell, Keep(after, path))
    resumed = trained(cell, checkpoint=path)
    assert resumed.history.rows == undisturbed.history.rows
    require_equal(undisturbed.state(), resumed.state())


def strip(path: Path, key: str) -> None:
    """Take a callback's state out of a checkpoint."""
    state = torch.load(path, weights_only=True)
    assert state["callbacks"].pop(key)
    torch.save(state, path)


DST = (*small("dsn"), "dst.update_every=1")
DSP = (*small("lite"), "dsp=default", *SETTINGS["dsp"]["default"])


@pytest.mark.parametrize(
    ("cell", "key", "after"),
    [
        (DST, "DynamicSparseTraining", 2),
        ((*DST, "dst=rigl"), "DynamicSparseTraining", 2),
        ((*DST, "dst.growth=momentum"), "DynamicSparseTraining", 2),
        (DST, "BestWeights", EPOCHS - 1),
        (DSP, "StructuredPruning", EPOCHS - 1),
    ],
)
def test_the_contract_of_resuming_bites(
    cell: tuple[str, ...], key: str, after: int, tmp_path: Path
) -> None:
    path = tmp_path / "kept.ckpt"
    undisturbed = trained(cell, Keep(after, path))
    strip(path, key)
    resumed = trained(cell, checkpoint=path)
    with pytest.raises(AssertionError):
        require_equal(undisturbed.state(), resumed.state())


@each_cell
def test_networks_are_counted_saved_and_loaded(cell: tuple[str, ...], tmp_path: Path) -> None:
    ended = trained(cell)
    ended.task.network.load_state_dict(ended.best.weights)
    staged = [method for method in ended.methods if isinstance(method, Staged)] or [Staged()]
    stages = staged[-1].stages(ended.task.network)
    x = torch.from_numpy(ended.data.dataset.x_test)
    for name, network in stages.items():
        path = tmp_path / f"{name}.pt"
        networks.save_network(path, checked(*cell).model, network, ended.data.dataset)
        loaded = networks.load_network(path)
        assert loaded(x).equal(network.eval()(x))
        counted = cost.measure(network, CHANNELS, x.shape[2])
        held = [p.numel() for p in network.parameters() if p.requires_grad]
        assert counted.params_active == sum(held) <= counted.params
        assert 0 < counted.flops <= counted.flops_dense
        assert counted.flops_paper > 0
        assert counted == cost.measure(loaded, CHANNELS, x.shape[2])


@each_cell
def test_each_series_is_classified_by_itself(cell: tuple[str, ...]) -> None:
    ended = trained(cell)
    network = ended.task.network.eval()
    x = torch.from_numpy(ended.data.dataset.x_test)
    together = network(x)
    assert together.shape == (len(x), CLASSES)
    alone = torch.cat([network(one[None]) for one in x])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@each_cell
def test_every_parameter_that_is_left_is_trained(cell: tuple[str, ...]) -> None:
    ended = trained(cell)
    staged = [method for method in ended.methods if isinstance(method, Staged)]
    if staged:
        before = staged[0].stages(ended.task.network)["pruned"].state_dict()
    else:
        torch.manual_seed(0)
        before = made(checked(*cell).model, 30).state_dict()
    for name, parameter in ended.task.network.named_parameters():
        if parameter.requires_grad and parameter.numel():
            assert not parameter.equal(before[name]), name


def gradients(backend: str, cell: tuple[str, ...]) -> dict[str, Tensor]:
    settings = checked(*cell, f"model.backend={backend}").model
    torch.manual_seed(0)
    network = made(settings, 30).double()
    x = torch.randn(5, CHANNELS, 30, dtype=torch.float64)
    torch.autograd.backward(network(x).square().sum())
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


WITH_BACKEND = [model for model in MODELS if "backend" in checked(f"model={model}").model]


@pytest.mark.parametrize("model", WITH_BACKEND)
def test_packed_gradients_are_the_dense_ones(model: str) -> None:
    dense, packed = (gradients(backend, tuple(small(model))) for backend in ("dense", "packed"))
    assert dense.keys() == packed.keys()
    for name, gradient in dense.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-5, atol=1e-8)


def layers(ended: Trained) -> list[SparseConv1d]:
    return [module for module in ended.task.modules() if isinstance(module, SparseConv1d)]


@each_cell
def test_active_weights_stay_as_many_and_in_their_regions(cell: tuple[str, ...]) -> None:
    ended = trained(cell)
    sizes = {name: tensor.numel() for name, tensor in ended.task.network.state_dict().items()}
    for layer in layers(ended):
        groups = torch.split(layer.positions.long(), list(layer.active))
        for region, held in zip(layer.regions, groups, strict=True):
            allowed = region.positions(torch.arange(region.size))
            assert torch.isin(held, allowed).all()
            assert len(set(held.tolist())) == len(held)
    assert ended.best.weights.keys() == sizes.keys()
    assert all(ended.best.weights[name].numel() == size for name, size in sizes.items())
    rows = ended.history.rows
    moving = any(isinstance(method, DynamicSparseTraining) for method in ended.methods)
    logged = any("topology/layer1/group1/active" in row for row in rows)
    assert logged == (moving and bool(layers(ended)))


@pytest.mark.parametrize("model", MODELS)
def test_one_epoch_through_the_command_line(run: Run, tmp_path: Path, model: str) -> None:
    command = (*small(model), "dataset=ItalyPowerDemand", "threads=1", "trainer.max_epochs=1")
    assert run(*command, "output_dir=out") == 0
    left_record = record(tmp_path / "out")
    assert left_record["model"] == model
    assert left_record["params_active"] > 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"result.json", "last.ckpt", "metrics.csv", "model.pt", "predictions.npz"} <= left


def test_best_weights_are_those_of_the_lowest_loss() -> None:
    ended = trained(tuple(small("dsn")))
    losses = [row["train_loss"] for row in ended.history.rows]
    assert isinstance(ended.best, BestWeights)
    assert ended.best.epoch == losses.index(min(losses))
