"""What every choice of ``dst`` must keep, checked at the end of each epoch of a real training."""

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from dsn_lab.nn import SparseConv1d
from dsn_lab.run.keeping import History
from dsn_lab.run.task import Classification
from tests.contract import training
from tests.contract.training import checked

CHOICES = sorted(set(training.choices("dst")) - {"none"})
EPOCHS = 7


class Watch(Callback):
    """Before and after each update: mask, values and Adam's state in every layer's flat kernel."""

    def __init__(self) -> None:
        self.before: list[list[dict[str, Tensor]]] = []
        self.after: list[list[dict[str, Tensor]]] = []

    @staticmethod
    def snapshot(trainer: Trainer, pl_module: LightningModule) -> list[dict[str, Tensor]]:
        return [
            {"mask": layer.mask.flatten()}
            | {
                name: torch.zeros(layer.mask.numel()).index_put((layer.positions.long(),), state)
                for name, state in (
                    ("values", layer.values.detach()),
                    ("mean", trainer.optimizers[0].state[layer.values]["exp_avg"]),
                    ("square", trainer.optimizers[0].state[layer.values]["exp_avg_sq"]),
                )
            }
            for layer in pl_module.modules()
            if isinstance(layer, SparseConv1d)
        ]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.is_last_batch:
            self.before.append(self.snapshot(trainer, pl_module))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch:
            self.after.append(self.snapshot(trainer, pl_module))


def train(*overrides: str) -> tuple[Classification, Watch, History]:
    small = ("model.width=3", "model.kernel_size=9", "model.depth=2")
    settings = checked(*small, f"trainer.max_epochs={EPOCHS}", *overrides)
    watch = Watch()
    ended = training.train(settings, watch, time=12, batch_size=5)
    return ended.task, watch, ended.history


def updated(dst: str) -> set[int]:
    """Epochs after which the topology moves, at update_every=2: never after the last."""
    return {1, 3, 5} if dst in {"dsn", "rigl"} else set()


def every_two_epochs(dst: str) -> list[str]:
    return [f"dst={dst}", *(["dst.update_every=2"] if updated(dst) else [])]


@pytest.mark.parametrize("start", ["tap_first", "random"])
@pytest.mark.parametrize("dst", CHOICES)
def test_topology_laws_hold_in_training(dst: str, start: str) -> None:
    task, watch, _ = train(*every_two_epochs(dst), f"model.start={start}")
    layers = [m for m in task.modules() if isinstance(m, SparseConv1d)]
    for epoch, (before, after) in enumerate(zip(watch.before[:-1], watch.after, strict=True)):
        for layer, old, new in zip(layers, before, after, strict=True):
            for group, active in enumerate(layer.active):
                region = layer.regions[group]
                positions = region.positions(torch.arange(region.size))
                assert new["mask"][positions].sum() == active
            assert new["mask"].sum() == sum(layer.active)
            assert old["mask"].equal(new["mask"]) == (epoch not in updated(dst))
            # Grown weights are 0; so may be one that grew earlier and has no gradient.
            kept = new["values"] != 0
            dropped = (old["values"] != 0) & ~kept
            for state in ("mask", "values", "mean", "square"):
                assert new[state][kept].equal(old[state][kept])
            grown = new["mask"] & (~old["mask"] | dropped)
            for state in ("values", "mean", "square"):
                assert not new[state][grown].any()
            for region in layer.regions:
                part = slice(region.first, region.first + region.kernels * region.kernel_size)
                gone, stay = old["values"][part][dropped[part]], old["values"][part][kept[part]]
                if len(gone):
                    assert gone.abs().max() <= stay.abs().min()


@pytest.mark.parametrize("dst", CHOICES)
def test_the_best_weights_and_every_file_hold_as_many_active_weights(dst: str) -> None:
    task, _, history = train(*every_two_epochs(dst))
    layers = [m for m in task.modules() if isinstance(m, SparseConv1d)]
    for row in history.rows:
        for number, layer in enumerate(layers, start=1):
            for group, active in enumerate(layer.active, start=1):
                logged = row.get(f"topology/layer{number}/group{group}/active")
                assert logged in (None, active)


def test_dense_ignores_the_sparsity_and_has_no_groups() -> None:
    task, _, _ = train("dst=dense", "sparsity=0.5")
    layers = [m for m in task.modules() if isinstance(m, SparseConv1d)]
    assert all(bool(layer.mask.all()) for layer in layers)


def test_without_grouping_the_whole_kernel_is_one_region() -> None:
    task, _, _ = train("model.groups=1")
    layers = [m for m in task.modules() if isinstance(m, SparseConv1d)]
    assert [layer.taps for layer in layers] == [(9,), (9,)]


def test_gradient_growth_takes_the_largest_gradients_random_growth_does_not() -> None:
    rigl, _, _ = train("dst=rigl", "dst.update_every=1")
    dsn, _, _ = train("dst=dsn", "dst.update_every=1")
    masks = [
        torch.cat([m.mask.flatten() for m in task.modules() if isinstance(m, SparseConv1d)])
        for task in (rigl, dsn)
    ]
    assert not masks[0].equal(masks[1])


def test_explored_share_only_grows() -> None:
    _, _, history = train("dst.update_every=1")
    explored = [
        row["topology/layer2/group3/explored"]
        for row in history.rows
        if "topology/layer2/group3/explored" in row
    ]
    assert len(explored) == EPOCHS - 1
    assert explored == sorted(explored)
    assert explored[-1] > explored[0]


@pytest.mark.parametrize(
    ("dataset", "padding", "scaling"),
    [
        ("GunPoint", "replicate", "none"),
        ("BME", "zeros", "train"),  # came with the archive of 2018
        ("HAR", "replicate", "none"),
    ],
)
def test_the_authors_protocol_pads_and_scales_as_they_did(
    dataset: str, padding: str, scaling: str
) -> None:
    settings = checked(f"dataset={dataset}", "protocol=authors")
    assert settings.model["padding"] == padding
    assert settings.dataset.scaling == scaling
    assert settings.dst["state"] == "dense"
    assert settings.dataset.gaps == "zero"
    assert not settings.recalibrate
