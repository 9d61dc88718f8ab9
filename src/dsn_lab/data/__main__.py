"""The command ``python -m dsn_lab.data``: which datasets there are, and what is in them."""

import argparse
from pathlib import Path

from dsn_lab.errors import refusing

DESCRIPTION = """\
List the datasets that are known and where they would be read from; of those that are named, show
what is in them, after downloading what is not on this machine."""


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.data") -> None:
    """Print a table; a user's mistake ends in one line and exit status 2."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    parser.add_argument("name", nargs="*", help="datasets; none: all names")
    parser.add_argument("--data-dir", type=Path, help="the data folder (DSN_LAB_DATA)")
    given = parser.parse_args(arguments)
    with refusing():
        if given.name:
            _show(given.name, given.data_dir)
        else:
            _list(given.data_dir)


def _list(data_dir: Path | None) -> None:
    """A line for each dataset: its name, its archive, where it is."""
    from dsn_lab.data import sources
    from dsn_lab.data.folder import data_folder
    from dsn_lab.data.wanted import OWN, Wanted

    root = data_folder(data_dir)
    known = {name: archive for archive, names in sources.known().items() for name in names}
    for name, archive in sorted((known | sources.in_folder(root)).items()):
        if archive != OWN:
            found = sources.of(archive).find(Wanted(name, archive), root)
            print(f"{name:<32}{archive:<6}{found.source if found else 'to be downloaded'}")


def _show(names: list[str], data_dir: Path | None) -> None:
    """A row for each dataset: its sizes, classes and where it was read from."""
    from rich.console import Console
    from rich.table import Table

    from dsn_lab.data.load import load_dataset

    columns = ("dataset", "train", "test", "channels", "length", "classes", "unequal", "from")
    table = Table(*columns)
    for name in names:
        dataset = load_dataset(name, data_dir=data_dir)
        n_train, channels, length = dataset.x_train.shape
        sizes = (n_train, len(dataset.y_test), channels, length, len(dataset.classes))
        unequal = "yes" if dataset.facts["unequal_length"] else "no"
        table.add_row(name, *map(str, sizes), unequal, str(dataset.facts["source"]))
    Console().print(table)


if __name__ == "__main__":
    main()
