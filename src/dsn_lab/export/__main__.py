"""The command ``python -m dsn_lab.export``: a trained network as an ONNX or C file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dsn_lab.arguments import model_parser, named_model
from dsn_lab.errors import UserError, refusing

if TYPE_CHECKING:
    from dsn_lab.export.targets import Data
    from dsn_lab.trained import TrainedModel

DESCRIPTION = """\
Write a trained network as a file that runs elsewhere. onnx: any network, for ONNX Runtime and its
kind, dense. c: DSN and LITE as one C99 file with its sparse weights inlined, a header, and
example.c, which classifies the series of a CSV. Raw series go in, scaling is inside. Nothing is
left behind unless it agrees with the network."""
EPILOG = """\
examples:
  python -m dsn_lab.export model.pt --to onnx --output model.onnx
  python -m dsn_lab.export model.pt --to c --output model.c --dtype int8 --benchmark"""
ENDINGS = {"onnx": ".onnx", "c": ".c"}


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.export") -> None:
    """Write what is asked for; a user's mistake ends in one line and exit status 2."""
    given = parser(prog).parse_args(arguments)
    with refusing():
        if given.to == "onnx" and given.dtype != "float32":
            raise UserError(
                f"--dtype {given.dtype}: --to onnx takes float32 only, --to c int8, too"
            )
        path = _path(given.output, ENDINGS[given.to])
        model = named_model(given)
        from dsn_lab.export import targets

        data = targets.data(model, given.train, given.test)
        if given.to == "onnx":
            lines = targets.write_onnx(model, path, data)
        else:
            lines = targets.write_c(model, path, given.dtype, data)
        for line in lines:
            print(line)
        if given.benchmark:
            _benchmark(model, path, data)


def _path(output: Path, ending: str) -> Path:
    """The file to write; in a folder it is called model."""
    path: Path = output if output.suffix else output / f"model{ending}"
    if path.suffix != ending:
        raise UserError(f"--output {output}: must end in {ending}, or be a folder")
    if output.suffix and not path.absolute().parent.is_dir():
        raise UserError(f"--output {output}: its folder does not exist")
    return path


def _benchmark(model: "TrainedModel", path: Path, data: "Data") -> None:
    from rich.console import Console

    from dsn_lab.export import benchmark

    rows = benchmark.measure(model, data)
    Console(width=120).print(benchmark.table(rows))
    print(f"in {benchmark.write(rows, path)}")


def parser(prog: str) -> argparse.ArgumentParser:
    """What the command understands."""
    made = model_parser(prog, DESCRIPTION, EPILOG)
    made.add_argument("--to", required=True, choices=tuple(ENDINGS), help="kind of file")
    made.add_argument("--output", required=True, type=Path, metavar="PATH", help="file or folder")
    made.add_argument(
        "--dtype",
        choices=("float32", "int8"),
        default="float32",
        help="numbers of a C file (float32); int8 is calibrated on the training series",
    )
    made.add_argument(
        "--benchmark",
        action="store_true",
        help="measure torch, ONNX Runtime, C and int8 C here, and write a CSV beside the file",
    )
    for which, use in (("train", "calibrates int8"), ("test", "checks and measures")):
        made.add_argument(
            f"--{which}",
            type=Path,
            metavar="FILE",
            help=f"{which} series, a file as predict takes: {use} (the run's own, where they are "
            "in the data folder)",
        )
    return made


if __name__ == "__main__":
    main()
