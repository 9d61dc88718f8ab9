"""What pruning has done to a network: counted, measured and drawn."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from dsn_lab.figures import run as plots
from dsn_lab.figures.pruning import accuracy_against_flops, redundancy, sorted_scores
from dsn_lab.nn import cost
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.rules.base import Rule
from dsn_lab.prune.surgery import require_prunable
from dsn_lab.records.results import Record
from dsn_lab.run.stages import Tested
from dsn_lab.storage import written_whole

TURNS = 50


@dataclass(frozen=True)
class Analysis:
    """Why filters were removed.

    Attributes:
        rule: decided.
        chosen: its name and settings.
        scores: of each layer, each filter's.
        cuts: of each layer, the score up to which filters were redundant.
    """

    rule: Rule
    chosen: Record
    scores: Sequence[Tensor]
    cuts: Sequence[float]


def outcome(tested: Tested, analysis: Analysis) -> Record:
    """Record what pruning removed and cost; write ``activity.json`` and the figures.

    Args:
        tested: with the stages ``pretrained``, ``pruned``, ``finetuned`` and maybe ``scratch``.
        analysis: why.
    """
    stages = {name: require_prunable(network) for name, network in tested.stages.items()}
    *_, headline = stages
    base, pruned = stages["pretrained"], stages[headline]
    series = torch.from_numpy(tested.data.dataset.x_train)
    _, channels, time = series.shape
    costs = {name: cost.measure(network, channels, time) for name, network in stages.items()}
    params_base = costs["pretrained"].params_active
    params_pruned = costs["pruned"].params_active
    removed = [sum(a) - sum(b) for a, b in zip(base.widths, pruned.widths, strict=True)]
    accuracies = {name: measures["test_accuracy"] for name, measures in tested.measures.items()}
    latency_base, latency_pruned = latencies(base, pruned, series[:1])
    _write_activity(analysis, pruned, tested.files.activity)
    sample = next(iter(tested.data.calibration_batches()))[0]
    rule = analysis.rule
    figures = {
        "activity": sorted_scores(
            analysis.scores, analysis.cuts, rule.score, logarithmic=rule.logarithmic
        ),
        "accuracy_flops": accuracy_against_flops(
            {name: (costs[name].flops, accuracies[name]) for name in stages}
        ),
        "redundancy": redundancy(correlations(base, sample), correlations(pruned, sample)),
    }
    plots.save(figures, tested.files.figures)
    return {
        **{f"accuracy_{name}": accuracy for name, accuracy in accuracies.items()},
        **{f"params_{name}": each.params_active for name, each in costs.items()},
        **{f"flops_{name}": each.flops for name, each in costs.items()},
        "params_base": params_base,
        "flops_base": costs["pretrained"].flops,
        "compression": round(1 - params_pruned / params_base, 6),
        **{f"filters_removed.layer{layer}": n for layer, n in enumerate(removed, start=1)},
        "latency_base_ms": latency_base,
        "latency_pruned_ms": latency_pruned,
        "file_bytes_base": tested.files.stage("pretrained").stat().st_size,
        "file_bytes_pruned": tested.files.model.stat().st_size,
    }


@torch.inference_mode()
def latencies(base: Prunable, pruned: Prunable, series: Tensor) -> tuple[float, float]:
    """Milliseconds that each network takes for ``series`` ``(1, channel, time)``, in eval mode.

    Medians of runs in turn, with the process's threads, on the networks' device.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for network, times in zip((base, pruned), seconds, strict=True):
            network.eval()
            x = series.to(next(network.parameters()).device)
            started = perf_counter()
            network(x).cpu()
            times.append(perf_counter() - started)
    first, second = (round(median(times) * 1e3, 4) for times in seconds)
    return first, second


@torch.no_grad()
def correlations(network: Prunable, series: Tensor) -> list[Tensor]:
    """Pearson correlation between the feature maps of each layer's filters, over series and time.

    Filters that are constant have correlation 0 with all others.

    Returns:
        For each layer ``(filters, filters)``.
    """
    maps = FeatureMaps(network.eval())
    network(series.to(next(network.parameters()).device))
    maps.remove()
    flat = (each.transpose(0, 1).flatten(1).cpu() for each in maps.latest)
    return [torch.corrcoef(rows).reshape(len(rows), -1).nan_to_num(0.0) for rows in flat]


def _write_activity(analysis: Analysis, pruned: Prunable, path: Path) -> None:
    layers = [
        {"scores": layer.tolist(), "cut": cut, "kept": widths}
        for layer, cut, widths in zip(analysis.scores, analysis.cuts, pruned.widths, strict=True)
    ]
    said = {**analysis.chosen, "score": analysis.rule.score, "layers": layers}
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(said) + "\n")
