"""What commands that take a trained network understand alike."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsn_lab.trained import TrainedModel


def model_parser(prog: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A command on a ``model.pt``; more arguments may be added."""
    made = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("model", type=Path, help="model.pt of a run")
    made.add_argument(
        "--imports",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="modules of your own that register the network",
    )
    return made


def named_model(given: argparse.Namespace) -> "TrainedModel":
    """The model that was named.

    Raises:
        UserError: it cannot be read, or a module cannot be imported.
    """
    # Torch takes seconds to import; --help does without.
    from dsn_lab.registry import import_modules
    from dsn_lab.trained import load_model

    import_modules(given.imports)
    return load_model(given.model)
