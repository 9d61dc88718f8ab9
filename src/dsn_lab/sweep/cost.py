"""How long cells will take: by finished cells of their kind, else by a step's usual cost."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

from dsn_lab.data.sizes import Size, default_batch_size, ucr
from dsn_lab.records.results import Record

if TYPE_CHECKING:
    from dsn_lab.sweep.plan import Planned

# Milliseconds of a training step are about a + b x batch x length: one thread of a server of 2022,
# default settings. Only the ratio of a and b counts where a cell of the kind is finished.
STEP = {
    "dsn": (1.3, 0.0096),
    "inception": (8.4, 0.069),
    "lite": (3.5, 0.0043),
    "mlstm_fcn": (5.2, 0.019),
    "oscnn": (5.5, 0.040),
    "resnet": (4.6, 0.037),
    "tapnet": (5.8, 0.093),
}


@dataclass(frozen=True)
class Rates:
    """What finished cells say of others.

    Attributes:
        epochs: median training seconds of an epoch, by (dataset, names), with and without the
            sparsity as the last.
        scales: by names, how many times an epoch takes what :data:`STEP` says, in the median.
        sizes: of datasets.
    """

    epochs: dict[tuple[str, ...], float]
    scales: dict[tuple[str, ...], float]
    sizes: dict[str, Size]


def rates(records: Iterable[Record]) -> Rates:
    """What records of finished cells say of others."""
    measured: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    scales: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    sizes = dict(ucr())
    for record in records:
        names = (record["model"], record["dst"], record["dsp"])
        seconds = record["fit_seconds"] / record["epochs"]
        measured[record["dataset"], *names].append(seconds)
        measured[record["dataset"], *names, str(record["sparsity"])].append(seconds)
        if "n_train" in record and "length" in record:
            size = Size(record["n_train"], record["length"])
            sizes[record["dataset"]] = size
            if usual := usual_seconds(record["model"], size, record.get("batch_size")):
                scales[names].append(seconds / usual)
    return Rates(
        {key: median(seconds) for key, seconds in measured.items()},
        {key: median(times) for key, times in scales.items()},
        sizes,
    )


def usual_seconds(model: str, size: Size, batch_size: int | None) -> float | None:
    """Seconds of an epoch by :data:`STEP`; None for a model that is not in it."""
    if model not in STEP:
        return None
    batch = min(int(batch_size or default_batch_size(size.n_train)), size.n_train)
    constant, of_value = STEP[model]
    return ceil(size.n_train / batch) * (constant + of_value * batch * size.length) / 1000


def remaining_seconds(cell: "Planned", known: Rates) -> tuple[float, bool] | None:
    """Training seconds that a cell still needs, and whether its kind was measured.

    By finished cells of the same dataset and method; else by those of the method on others; else
    by what a step usually takes. None if nothing is known of the model or the dataset.
    """
    names = tuple(cell.names[group] for group in ("model", "dst", "dsp"))
    dataset, epochs = cell.config.dataset.name, cell.config.epochs - cell.epochs_done()
    sparsity = str(float(cell.config.model.get("sparsity", 0.0)))
    similar = (dataset, *names)
    seconds = known.epochs.get((*similar, sparsity), known.epochs.get(similar))
    if seconds is not None:
        return seconds * epochs, True
    size = known.sizes.get(dataset)
    usual = size and usual_seconds(names[0], size, cell.config.batch_size)
    if not usual:
        return None
    return usual * known.scales.get(names, 1.0) * epochs, names in known.scales
