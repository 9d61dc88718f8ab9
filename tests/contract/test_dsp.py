"""What structured pruning must keep, checked in a real training of each network."""

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from dsn_lab.errors import UserError
from dsn_lab.nn import Inception, SparseConv1d
from dsn_lab.prune.activity import analyse
from dsn_lab.prune.callback import StructuredPruning
from dsn_lab.prune.channels import Prunable
from tests.contract import training
from tests.contract.training import Trained, checked

PENALISED, FINETUNED, SCRATCH = 6, 3, 4
LEAST = 18  # of 24 series, with which filters go after so few epochs
MODELS = {
    "lite": ("model=lite", "model.widths=[[4,4,4],[4],[4]]"),
    "inception": ("model=inception", "model.widths=[[2,2,2,2],[2,2,2,2],[2,2,2,2]]"),
    "inception-tied": ("model=inception", f"model.widths={[[2] * 4] * 6}", "model.variant=paper"),
    "resnet": ("model=resnet", f"model.widths={[[4]] * 9}"),
    "dsn": ("model.width=4", "model.kernel_size=9", "model.depth=3", "dst.update_every=2"),
    "dsn-dense": ("model.width=4", "model.kernel_size=9", "model.depth=3", "model.backend=dense"),
}


class Watch(Callback):
    """The weights as each epoch starts, and what the optimizer knows of them."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.fresh: list[bool] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.weights.append({n: p.detach().clone() for n, p in pl_module.named_parameters()})
        self.fresh.append(not trainer.optimizers[0].state)


def train(model: str, *overrides: str) -> tuple[Trained, StructuredPruning, Watch]:
    settings = checked(
        *(
            "dsp=default",
            "dsp.penalty=1e-3",
            f"dsp.min_series={LEAST}",
            f"dsp.finetune_epochs={FINETUNED}",
        ),
        *(f"trainer.max_epochs={PENALISED}", *MODELS[model], *overrides),
    )
    watch = Watch()
    ended = training.train(settings, watch)
    (dsp,) = (method for method in ended.methods if isinstance(method, StructuredPruning))
    return ended, dsp, watch


@pytest.mark.parametrize("model", MODELS)
def test_filters_go_and_every_parameter_left_is_trained(model: str) -> None:
    ended, dsp, watch = train(model)
    task, data, history, best = ended.task, ended.data, ended.history, ended.best
    stages = dsp.stages(task.network)
    counts = {
        name: sum(p.numel() for p in network.parameters()) for name, network in stages.items()
    }
    assert counts["pretrained"] > counts["pruned"] == counts["finetuned"]
    assert len(history.rows) == PENALISED + FINETUNED
    assert [row["finetuning"] for row in history.rows] == [0.0] * PENALISED + [1.0] * FINETUNED
    layers = {f"penalty/layer{n}" for n, _ in enumerate(dsp.scores, start=1)}
    for row in history.rows:
        logged = {key for key in row if key.startswith("penalty/")}
        assert logged == (set() if row["finetuning"] else layers)
        assert all(row[key] > 0 for key in logged)
    assert watch.fresh == [epoch in {0, PENALISED} for epoch in range(PENALISED + FINETUNED)]
    # What fine-tuning began with is what surgery left, and all of it has moved since.
    began = watch.weights[PENALISED]
    for name, tensor in stages["pruned"].named_parameters():
        assert tensor.equal(began[f"network.{name}"])
    for name, parameter in task.named_parameters():
        if parameter.requires_grad and parameter.numel():
            assert not parameter.equal(began[name]), name
    assert PENALISED <= best.epoch < PENALISED + FINETUNED
    # The analysis looked at the weights that it pruned, over the training set.
    scores = analyse(stages["pretrained"], dsp.rule, data.calibration_batches())
    for seen, expected in zip(dsp.scores, scores, strict=True):
        torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize("model", MODELS)
def test_the_pruned_shape_is_trained_from_the_seeds_fresh_weights(model: str) -> None:
    often = ["dst.update_every=1"] if model.startswith("dsn") else []
    third = ("dsp.scratch=true", f"dsp.scratch_epochs={SCRATCH}")
    ended, dsp, watch = train(model, *often, *third)
    without, *_ = train(model, *often)
    began = PENALISED + FINETUNED
    rows = ended.history.rows
    assert rows[:began] == [row | {"scratch": 0.0} for row in without.history.rows]
    assert [(row["finetuning"], row["scratch"]) for row in rows[began:]] == [(0.0, 1.0)] * SCRATCH
    assert watch.fresh == [
        epoch in {0, PENALISED, began} for epoch in range(PENALISED + FINETUNED + SCRATCH)
    ]
    assert began <= ended.best.epoch
    stages = dsp.stages(ended.task.network)
    assert list(stages) == ["pretrained", "pruned", "finetuned", "scratch"]
    assert stages["scratch"] is ended.task.network
    assert stages["scratch"].state_dict().keys() == stages["finetuned"].state_dict().keys()
    dsp.report = "finetuned"
    assert [*dsp.stages(ended.task.network)][-2:] == ["scratch", "finetuned"]
    # What fine-tuning has left is its best epoch's.
    expected = without.best.weights
    for name, tensor in stages["finetuned"].state_dict().items():
        assert tensor.equal(expected[name]), name
    # What scratch begins with is what dsp=scratch would.
    torch.manual_seed(ended.data.seed)
    fresh = stages["scratch"].resized(**dsp.pruned["shape"])
    for name, parameter in fresh.named_parameters():
        assert parameter.equal(watch.weights[began][f"network.{name}"])
    layers = list(zip(sparse(stages["scratch"]), sparse(fresh), strict=True))
    assert all(layer.active == again.active for layer, again in layers)
    moved = [not layer.positions.equal(again.positions) for layer, again in layers]
    assert any(moved) or not layers  # topologies move again


def sparse(network: nn.Module) -> list[SparseConv1d]:
    return [module for module in network.modules() if isinstance(module, SparseConv1d)]


def test_branches_of_inception_vanish_in_training() -> None:
    ended, dsp, _ = train("inception", "dsp.min_series=100")
    assert isinstance(ended.task.network, Prunable)
    assert ended.task.network.widths == ((1, 1, 0, 0),) * 3
    assert dsp.cuts == [99.0] * 3


def test_the_authors_protocol_penalises_frozen_filters_where_there_are_any() -> None:
    for model, frozen in (("lite", True), ("inception", False), ("dsn", False)):
        settings = checked(f"model={model}", "dsp=default", "protocol=authors")
        assert settings.dsp["penalise_frozen"] is frozen
        assert settings.recalibrate is settings.dsp["recalibrate"] is False


def test_frozen_filters_are_penalised_on_demand() -> None:
    first = "penalty/layer1"
    usual, all_of_them = (
        train("lite", f"dsp.penalise_frozen={frozen}")[0].history.rows[0]
        for frozen in ("false", "true")
    )
    assert all_of_them[first] > usual[first]


def test_where_there_are_no_frozen_filters_none_can_be_penalised() -> None:
    with pytest.raises(UserError, match=r"penalise_frozen=true: Inception has no frozen filters"):
        StructuredPruning(penalise_frozen=True).require_usable(
            Inception(in_channels=1, n_classes=2)
        )


@pytest.mark.parametrize("model", ["dsn", "dsn-dense"])
def test_sparse_layers_stay_lawful_after_surgery(model: str) -> None:
    ended, dsp, _ = train(model)
    task = ended.task
    pruned = dsp.stages(task.network)["pruned"]
    for before, after in zip(pruned.modules(), task.network.modules(), strict=True):
        if isinstance(after, SparseConv1d):
            assert isinstance(before, SparseConv1d)
            assert after.positions.equal(before.positions)
            assert (
                after.shape[0]
                == sum(region.kernels for region in after.regions) // (after.shape[1])
            )
            held = torch.split(after.positions.long(), list(after.active))
            for region, positions in zip(after.regions, held, strict=True):
                allowed = region.positions(torch.arange(region.size))
                assert torch.isin(positions, allowed).all()


def test_the_penalty_makes_feature_maps_smaller() -> None:
    sizes = []
    for penalty in (1e-9, 1.0):
        history = train("lite", f"dsp.penalty={penalty}")[0].history
        last = history.rows[PENALISED - 1]
        sizes.append(sum(last[key] for key in last if key.startswith("penalty/")) / penalty)
    assert sizes[1] < sizes[0]
