"""Results as runs write them, with made-up numbers, for tests of what reads them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dsn_lab.data.names import archive_of

BY_ARCHIVE = {
    archive: {
        "config.model.width": width,
        "config.model.padding": padding,
        "config.dataset.scaling": scaling,
    }
    for archive, width, padding, scaling in (
        ("UCR", 47, "zeros", "train"),
        ("UEA", 59, "replicate", "none"),
        ("UCI", 47, "replicate", "none"),
    )
}


def record(
    dataset: str, *, accuracy: float = 0.9, seed: int = 0, fold: int = 0, **other: Any
) -> dict[str, Any]:
    """A run's record; ``other`` replaces what it says (``config__model__groups=1``)."""
    archive = archive_of(dataset)
    given = {key.replace("__", "."): value for key, value in other.items()}
    made: dict[str, Any] = {
        "dataset": dataset, "model": "dsn", "dst": "dsn", "sparsity": 0.8, "seed": seed,
        "fold": fold, "epochs": 1000, "protocol_epochs": 1000, "test_loss": 0.3,
        "test_accuracy": accuracy, "test_balanced_accuracy": accuracy,
        "test_f1_macro": accuracy, "train_loss": 0.01, "train_accuracy": 1.0,
        "params": 800_000, "params_active": 125_000, "flops": 40_000_000,
        "flops_dense": 260_000_000, "fit_seconds": 100.0, "batch_size": 16, "n_train": 200,
        "n_channels": 1, "n_classes": 2, "archive": archive,
        "config.dataset.name": dataset, "config.dataset.archive": archive,
        "config.model.name": "dsn", "config.model.depth": 4,
        "config.model.kernel_size": 39, "config.model.groups": 3,
        **BY_ARCHIVE[archive],
        "config.trainer.max_epochs": 1000, "config.optimizer.lr": 3e-4,
        "config.seed": seed, "config.fold": fold,
    }  # fmt: skip
    return made | given


def write(root: Path, made: Mapping[str, Any], method: str) -> Path:
    """Write a record where a run would; returns its folder."""
    cell = f"fold{made['fold']}-seed{made['seed']}"
    folder: Path = root / made["dataset"] / method / cell
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(made))
    return folder


def sweep(root: Path, datasets: Iterable[str], seeds: Iterable[int]) -> None:
    """Five methods with results on every dataset and seed; the numbers are drawn at random."""
    methods: dict[str, dict[str, Any]] = {
        "dsn": {},
        "dsn-S0.5": {"sparsity": 0.5, "flops": 90_000_000, "params_active": 366_000},
        "dsn-S0.9": {"sparsity": 0.9, "flops": 23_000_000, "params_active": 91_000},
        "dsn-nogroups": {"config__model__groups": 1, "flops": 60_000_000},
        "dense": {
            "dst": "dense", "sparsity": 0.0, "config__model__groups": 1,
            "flops": 260_000_000, "params_active": 1_056_000,
        },
    }  # fmt: skip
    random = np.random.default_rng(0)
    for dataset in datasets:
        level = random.uniform(0.6, 0.95)
        for rank, (method, settings) in enumerate(methods.items()):
            for seed in seeds:
                accuracy = float(np.clip(level - 0.01 * rank + random.normal(0, 0.015), 0, 1))
                made = record(dataset, accuracy=round(accuracy, 6), seed=seed, **settings)
                write(root, made, method)


def predictions(folder: Path, **accuracies: float) -> None:
    """Write probabilities of 200 test series for each stage, of about these accuracies."""
    random = np.random.default_rng(len(str(folder)) + sum(map(ord, str(folder))))
    labels = np.arange(200) % 2
    stages = {}
    for stage, accuracy in accuracies.items():
        right = np.arange(200) < round(200 * accuracy)
        random.shuffle(right)
        sure = np.where(right, random.uniform(0.5, 1, 200), random.uniform(0, 0.5, 200))
        stages[stage] = np.stack([np.where(labels == c, sure, 1 - sure) for c in (0, 1)], axis=1)
    np.savez_compressed(folder / "predictions.npz", allow_pickle=False, labels=labels, **stages)


STAGES = ("pretrained", "pruned", "finetuned", "scratch")


def pruning(
    root: Path,
    datasets: Iterable[str],
    seeds: Iterable[int],
    penalties: Iterable[float] = (1e-5,),
    narrow: Iterable[int] = (),
    stages: Iterable[str] = STAGES,
) -> None:
    """LITE: base, pruned at each penalty with these stages, and with fewer filters everywhere."""
    random = np.random.default_rng(1)
    stages = list(stages)
    for dataset in datasets:
        level, size = random.uniform(0.7, 0.95), int(random.integers(2000, 7000))
        for seed in seeds:
            lite: dict[str, Any] = {
                "model": "lite", "dst": "none", "sparsity": 0.0, "dsp": "none", "seed": seed,
                "config__model__name": "lite", "config__model__widths": [[32] * 3, [32], [32]],
                "config__dsp__name": None, "epochs": 1500, "protocol_epochs": 1500,
                "params_active": 10_000, "flops": 2_000_000,
            }  # fmt: skip

            def accuracy(shift: float, level: float = level) -> float:
                drawn = float(np.clip(level + shift + random.normal(0, 0.01), 0, 1))
                return round(200 * drawn) / 200

            base = accuracy(0)
            made = record(dataset, accuracy=base, **lite)
            predictions(write(root, made, "lite"), trained=base)
            for filters in narrow:
                widths = {"config__model__widths": [[filters] * 3, [filters], [filters]]}
                cost = {"params_active": 300 * filters, "flops": 60_000 * filters}
                of_narrow = accuracy(0.001 * (filters - 32))
                made = record(dataset, accuracy=of_narrow, **lite | widths | cost)
                predictions(write(root, made, f"lite-{filters}"), trained=of_narrow)
            for penalty in penalties:
                left = min(9_900, round(size * (1e-5 / penalty) ** 0.3))
                each = dict(zip(STAGES, map(accuracy, (0, -0.05, -0.02, 0.001)), strict=True))
                each = {stage: each[stage] for stage in stages}
                pruned = lite | {
                    "dsp": "default", "config__dsp__name": "structured_pruning",
                    "config__dsp__penalty": penalty, "compression": 1 - left / 10_000,
                    "params_base": 10_000, "params_pruned": left, "params_active": left,
                    "flops_base": 2_000_000, "flops_pruned": 200 * left, "flops": 200 * left,
                    **{f"accuracy_{stage}": value for stage, value in each.items()},
                }  # fmt: skip
                made = record(dataset, accuracy=each[stages[-1]], **pruned)
                predictions(write(root, made, f"lite-dsp-{penalty}"), **each)
