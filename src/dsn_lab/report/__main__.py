"""The command ``python -m dsn_lab.report``."""

import argparse
import difflib
from pathlib import Path

from dsn_lab.errors import UserError, refusing

SETTINGS = {
    "reference_dir": "",
    "out": "report",
    "scatter": "",
    "mixed": "false",
    "where": "",
    "entity": "",
    "project": "dsn_lab",
}
DESCRIPTION = """\
Write one page, report.html, with every table and figure that the results below a folder have the
data for; beside it PNG, CSV and LaTeX of each part, all runs as Parquet, and tsml-eval's tables."""
EPILOG = """\
settings:
  out=PATH            where the report goes (report)
  reference_dir=PATH  a folder with published accuracies by dataset, to compare with: the files
                      that dsn_lab/analysis/published.yaml lists, and <Method>_accuracy.csv in
                      tsml-eval's form (a dataset a row, column 0 the archive's split)
  mixed=true          test single networks against published ensembles, too, and ensembles against
                      single networks (false)
  scatter='A / B; C / D'
                      pairs of methods to draw against each other, A up and B across (each
                      method against the first)
  where='KEY=VALUE; KEY=VALUE'
                      only runs with these values, as where='sparsity=0.8; seed=0,1'
  entity=NAME         W&B user or team, with --wandb
  project=NAME        W&B project, with --wandb (dsn_lab)

examples:
  python -m dsn_lab.report results
  python -m dsn_lab.report results reference_dir=published out=paper
  python -m dsn_lab.report results --wandb --dry-run
"""


def main(arguments: list[str] | None = None, prog: str = "python -m dsn_lab.report") -> None:
    """Write what is asked for; a user's mistake ends in one line and exit status 2."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, help="the results_dir of the runs")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="see below")
    parser.add_argument(
        "--wandb", action="store_true", help="build the W&B dashboard and report instead"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --wandb: write their JSON into out, without account or network",
    )
    given = parser.parse_intermixed_args(arguments)
    with refusing():
        settings = _settings(given.settings)
        if given.dry_run and not given.wandb:
            raise UserError("--dry-run: says what --wandb would send; give both")
        for path in _run(given, settings):
            print(path)


def _settings(given: list[str]) -> dict[str, str]:
    settings = dict(SETTINGS)
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or key not in settings:
            near = difflib.get_close_matches(key, settings, n=1) or list(settings)
            raise UserError(f"{text}: there is no such setting; known: {'=, '.join(near)}=")
        settings[key] = value
    return settings


def _run(given: argparse.Namespace, settings: dict[str, str]) -> list[str]:
    # Pandas, Matplotlib and aeon take seconds to import; --help needs none of them.
    out = Path(settings["out"])
    if given.wandb:
        from dsn_lab.report import dashboard

        return dashboard.publish(
            given.results, settings["entity"], settings["project"], out if given.dry_run else None
        )
    from dsn_lab.records.where import conditions
    from dsn_lab.report.build import build

    reference = Path(settings["reference_dir"]) if settings["reference_dir"] else None
    if settings["mixed"] not in ("true", "false"):
        raise UserError(f"mixed={settings['mixed']}: must be true or false")
    mixed = settings["mixed"] == "true"
    where = conditions(filter(None, map(str.strip, settings["where"].split(";"))))
    pairs = _pairs(settings["scatter"])
    return [str(build(given.results, out, reference, pairs, mixed, where))]


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for pair in filter(None, text.split(";")):
        up, slash, across = (part.strip() for part in pair.partition(" / "))
        if not slash or not up or not across:
            raise UserError(f"scatter={pair.strip()}: must be two methods, as in scatter='A / B'")
        pairs.append((up, across))
    return pairs


if __name__ == "__main__":
    main()
