"""The data of a cell."""

from dsn_lab.data import folder
from dsn_lab.data.sources import archives, uci
from dsn_lab.records import results
from dsn_lab.records.cell import Cell
from dsn_lab.records.settings import Config


def require_same(stored: results.Record, cell: Cell) -> None:
    """Refuse a record of a run on other data than the cell would use now.

    Raises:
        UserError: naming both digests.
    """
    if any(key in stored for key in results.DATA):
        now = dict(zip(results.DATA, digests_of(cell.config) or (), strict=False))
        results.require_same_data(stored, now, cell.folder)


def digests_of(config: Config) -> tuple[str, str] | None:
    """Digests of the training and the test data that are here now; None if none are."""
    root, name, archive = (
        folder.data_folder(config.data_dir),
        config.dataset.name,
        config.dataset.archive,
    )
    if archive == "UCI":
        found = uci.find(root, name)
        if found is None:
            return None
        sums = []
        for path in found:
            with folder.verified(path, root) as (_, sha):
                sums.append(sha)
        return f"{sums[0]} {sums[1]}", f"{sums[2]} {sums[3]}"
    pair = archives.find(root / archive / name, name)
    verify = root if pair else None
    pair = pair or archives.find(archives.bundled_folder(name), name)
    if pair is None:
        return None
    sums = []
    for path in pair:
        with folder.verified(path, verify) as (_, sha):
            sums.append(sha)
    return sums[0], sums[1]
