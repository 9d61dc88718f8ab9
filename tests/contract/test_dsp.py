"""What structured pruning must keep, checked in a real training of each network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from dsn_lab import registry
from dsn_lab.nn import SparseConv1d
from dsn_lab.prune.activity import activity
from dsn_lab.prune.callback import StructuredPruning
from dsn_lab.run.keeping import BestWeights, History
from dsn_lab.run.task import Classification
from tests.contract.training import composed, fit

PENALISED, FINETUNED = 6, 3
MODELS = {
    "lite": ("model=lite", "model.widths=[[4,4,4],[4],[4]]"),
    "inception": ("model=inception", "model.widths=[[2,2,2,2],[2,2,2,2],[2,2,2,2]]"),
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


def train(model: str, *overrides: str) -> tuple[Classification, StructuredPruning, Watch, Any]:
    epochs = f"trainer.max_epochs={PENALISED}"
    cfg = composed("dsp.tau=0.6", "dsp=default", epochs, *MODELS[model], *overrides)
    best, watch, history = BestWeights(), Watch(), History()
    dsp = registry.pruning.make(
        {k: v for k, v in cfg.dsp.items() if k not in ("protocol", "finetune_epochs")},
        finetune_epochs=FINETUNED,
    )
    dst = [registry.sparse_training.make(cfg.dst)] if cfg.dst.name else []
    task, data = fit(cfg, [best, *dst, dsp, watch, history], time=30, batch_size=8)
    return task, dsp, watch, (data, history, best)


@pytest.mark.parametrize("model", MODELS)
def test_filters_go_and_every_parameter_left_is_trained(model: str) -> None:
    task, dsp, watch, (data, history, best) = train(model)
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
    scores = activity(stages["pretrained"], data.calibration_batches())
    for seen, expected in zip(dsp.scores, scores, strict=True):
        torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize("model", ["dsn", "dsn-dense"])
def test_sparse_layers_stay_lawful_after_surgery(model: str) -> None:
    task, dsp, _, _ = train(model)
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
        history = train("lite", f"dsp.penalty={penalty}")[3][1]
        last = history.rows[PENALISED - 1]
        sizes.append(sum(last[key] for key in last if key.startswith("penalty/")) / penalty)
    assert sizes[1] < sizes[0]


def test_every_choice_composes() -> None:
    root = Path(__file__).parents[2] / "conf"
    for model in (root / "model").glob("*.yaml"):
        for dsp in ("none", "default"):
            cfg = composed(f"model={model.stem}", f"dsp={dsp}")
            network = registry.networks.make(cfg.model, in_channels=1, n_classes=2)
            assert cfg.protocol_epochs == (1000 if model.stem == "dsn" else 1500)
            assert network.widths
