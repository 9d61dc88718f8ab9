"""The command ``python -m dsn_lab.predict``: classify the series of a file."""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dsn_lab.arguments import model_parser, named_model
from dsn_lab.errors import UserError, refusing
from dsn_lab.storage import written_whole

if TYPE_CHECKING:
    from dsn_lab.data.split import Labels
    from dsn_lab.data.transforms import Floats
    from dsn_lab.trained import TrainedModel

DESCRIPTION = """\
Classify the series of a file, raw as the training's were, with a trained network: a CSV with a row
for each series, its class and the probability of every class. If the file has labels, the accuracy
is printed, too."""
EPILOG = """\
examples:
  python -m dsn_lab.predict results/GunPoint/dsn-.../fold0-seed0/model.pt new.csv --output out.csv
  python -m dsn_lab.predict model.pt new.tsv --label none
"""


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.predict") -> None:
    """Write what is asked for; a user's mistake ends in one line and exit status 2."""
    given = parser(prog).parse_args(arguments)
    with refusing():
        from dsn_lab.data import new  # --help does without

        if given.output is not None and not given.output.absolute().parent.is_dir():
            raise UserError(f"--output {given.output}: its folder does not exist")
        model = named_model(given)
        label = given.label
        if label is not None and label.lstrip("-").isdecimal():
            label = int(label)
        series, labels = new.read(given.data, model.length, label)
        rows = _rows(model, series)
        if given.output is None:
            _write(rows, sys.stdout)
        else:
            with (
                written_whole(given.output) as temporary,
                temporary.open("w", encoding="utf-8", newline="") as file,
            ):
                _write(rows, file)
        # Not among the output, which may be standard output.
        for line in _findings(model, series, [row[0] for row in rows[1:]], labels):
            print(line, file=sys.stderr)


def parser(prog: str) -> argparse.ArgumentParser:
    """What the command understands."""
    made = model_parser(prog, DESCRIPTION, EPILOG)
    made.add_argument("data", type=Path, help=".ts, .tsv, .csv, .npz (X_test or X) or .npy")
    made.add_argument("--output", type=Path, metavar="FILE", help="the CSV (standard output)")
    made.add_argument(
        "--label",
        metavar="COLUMN",
        help="of a .csv or .tsv: the column of labels, by name or position from 0, or none (the "
        "one called label, class, target or y; without a header the first, if there is a column "
        "more than the network's series have steps)",
    )
    return made


def _rows(model: "TrainedModel", series: object) -> list[list[str]]:
    """A header, and of each series its class and the probability of every class."""
    probabilities = model.predict_proba(series)
    header = ["class", *(f"probability_{name}" for name in model.classes)]
    names = [model.classes[best] for best in probabilities.argmax(axis=1)]
    told = ([f"{each:.9g}" for each in row] for row in probabilities)
    return [header, *([name, *row] for name, row in zip(names, told, strict=True))]


def _write(rows: list[list[str]], file: TextIO) -> None:
    csv.writer(file, lineterminator="\n").writerows(rows)


def _findings(
    model: "TrainedModel", series: "Floats", names: list[str], labels: "Labels | None"
) -> Iterator[str]:
    """What became of the series, and the accuracy where there are labels."""
    from dsn_lab.data.transforms import observed_lengths

    lengths = observed_lengths(series)
    shorter, longer = (lengths < model.length).sum(), (lengths > model.length).sum()
    yield f"{len(names)} series, {len(model.classes)} classes"
    if shorter or longer:
        yield f"{shorter} shorter than {model.length} steps (padded), {longer} longer (cut)"
    if labels is not None:
        right = sum(name == label for name, label in zip(names, labels.tolist(), strict=True))
        yield f"accuracy {right / len(names):.4f} ({right} of {len(names)} labels)"


if __name__ == "__main__":
    main()
