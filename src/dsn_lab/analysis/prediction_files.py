"""Predictions as tsml-eval stores them, so that its tools, and others', read our runs."""

from pathlib import Path

import numpy as np
import pandas as pd

from dsn_lab.analysis.aggregate import file_name
from dsn_lab.records.ledger import predictions
from dsn_lab.storage import written_whole

UNKNOWN = -1


def write(runs: pd.DataFrame, root: Path, folder: Path) -> None:
    """Write ``fold<F>/<method>/Predictions/<dataset>/testResample<seed>.csv`` for each run.

    A run without stored predictions has none. Times are milliseconds; what was not measured is -1.

    Args:
        runs: a row a run.
        root: below which their folders are.
        folder: of the files.
    """
    for run in runs.to_dict("records"):
        stored = predictions(root, run["path"])
        if stored is None:
            continue
        labels = stored.pop("labels")
        *_, probabilities = stored.values()
        method = file_name(run["method"])
        target = folder / f"fold{run['fold']}" / method / "Predictions" / run["dataset"]
        target.mkdir(parents=True, exist_ok=True)
        with written_whole(target / f"testResample{run['seed']}.csv") as temporary:
            temporary.write_text(_text(run, method, labels, probabilities))


def _text(
    run: dict[str, object], method: str, labels: np.ndarray, probabilities: np.ndarray
) -> str:
    predicted = probabilities.argmax(axis=1)
    test = run.get("test_seconds")
    times = [_milliseconds(run["fit_seconds"]), _milliseconds(test), UNKNOWN]
    memory = run.get("inference_bytes")
    known = UNKNOWN if pd.isna(memory) else int(memory)  # type: ignore[call-overload]
    accuracy = (predicted == labels).mean()
    head = (
        f"{run['dataset']},{method},TEST,{run['seed']},MILLISECONDS,dsn_lab\n"
        f"fold {run['fold']}; {run['path']}\n"
        f"{accuracy},{','.join(map(str, times))},{known},{probabilities.shape[1]},N/A,-1,-1\n"
    )
    rows = (
        f"{label},{guess},,{','.join(f'{p:.7g}' for p in each)}\n"
        for label, guess, each in zip(labels, predicted, probabilities, strict=True)
    )
    return head + "".join(rows)


def _milliseconds(seconds: object) -> float:
    return UNKNOWN if pd.isna(seconds) else round(1e3 * float(seconds), 3)  # type: ignore[arg-type]
