"""The command ``python -m dsn_lab.evidence``."""

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dsn_lab.errors import UserError, refusing
from dsn_lab.evidence import again
from dsn_lab.records import results
from dsn_lab.records.cell import Folder
from dsn_lab.records.ledger import Arrays, Ledger, path_of
from dsn_lab.records.results import Record

EPILOG = """\
examples:
  python -m dsn_lab.evidence add results            full-protocol runs into evidence/
  python -m dsn_lab.evidence tables                 README.md and docs/results.md, from evidence/
  python -m dsn_lab.evidence verify GunPoint/dsn-dsn-S0.8-1a2b3c4d/fold0-seed0
  python -m dsn_lab.report evidence                 the page
"""


def main(arguments: list[str] | None = None) -> None:
    """Do what is asked for; a user's mistake ends in one line and exit status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m dsn_lab.evidence",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ledger", type=Path, default=Path("evidence"), help="(evidence)")
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="add finished runs of the full protocol")
    adding.add_argument("results", nargs="+", type=Path, help="folders of runs")
    verifying = commands.add_parser("verify", help="run a row again, and compare")
    verifying.add_argument("path", help="of the row: dataset/method/fold<F>-seed<S>")
    verifying.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="more for run.py")
    published = commands.add_parser("published", help="keep an excerpt of published results")
    published.add_argument("folder", type=Path, help="as reference_dir of a report")
    tables = commands.add_parser("tables", help="write the documents' tables anew")
    tables.add_argument("--check", action="store_true", help="fail if one is not up to date")
    given = parser.parse_args(arguments)
    with refusing():
        ledger = Ledger(given.ledger)
        if given.command == "add":
            _add(ledger, given.results)
        elif given.command == "verify":
            _verify(ledger, given.path, given.settings)
        elif given.command == "published":
            _published(ledger, given.folder)
        else:
            _tables(ledger, check=given.check)


def _add(ledger: Ledger, folders: list[Path]) -> None:
    left: Counter[str] = Counter()

    def runs() -> Iterator[tuple[Record, Arrays | None]]:
        for root in folders:
            if not root.is_dir():
                raise UserError(f"{root}: there is no such folder; give the results_dir of runs")
            for folder in results.below(root):
                record = results.read(folder) or {}
                if record.get("epochs") != record.get("protocol_epochs"):
                    left["shortened"] += 1
                elif str(record.get("commit", "-dirty")).endswith("-dirty"):
                    left["of no commit"] += 1
                else:
                    left["seen"] += 1
                    yield record, folder.predicted()

    new = ledger.add(runs())
    seen = left.pop("seen", 0)
    print(f"{len(new)} added to {ledger.folder}, {seen - len(new)} there already")
    for why, number in left.items():
        print(f"{number} left out: {why}")


def _verify(ledger: Ledger, path: str, settings: list[str]) -> None:
    stored = ledger.records().get(path)
    if stored is None:
        raise UserError(f"{path}: no row of {ledger.folder} has this path")
    arguments = [*again.overrides(stored), *settings]
    print("run.py", *arguments)
    program = "from dsn_lab.cli import main; main()"
    place = Path("results/verify", path)
    command = [sys.executable, "-c", program, *arguments, f"output_dir={place}"]
    if status := subprocess.run(command, check=False).returncode:
        raise UserError(f"{path}: the run failed with status {status}")
    now = results.read(Folder(place)) or {}
    if path_of(now) != path:
        raise UserError(f"{path}: these settings make {path_of(now)}; defaults have changed")
    probabilities = ledger.probabilities(path), Folder(place).predicted()
    for said in again.elsewhere(stored, now):
        print("other machine:", said)
    differing = again.differences(stored, now, probabilities)
    print(*differing or [f"{path}: the same"], sep="\n")
    sys.exit(1 if differing else 0)


def _published(ledger: Ledger, folder: Path) -> None:
    from dsn_lab.analysis.published import excerpt
    from dsn_lab.evidence.tables import EXCERPT

    print(*excerpt(folder, ledger.folder / EXCERPT), sep="\n")


def _tables(ledger: Ledger, *, check: bool) -> None:
    from dsn_lab.evidence import tables

    for document in tables.DOCUMENTS:
        if tables.write(document, ledger, check=check):
            if check:
                raise UserError(f"{document} is not up to date: python -m dsn_lab.evidence tables")
            print(document)


if __name__ == "__main__":
    main()
