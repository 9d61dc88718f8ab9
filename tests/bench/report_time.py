"""How long a report takes: 90 datasets x 5 methods x 5 seeds of made-up results.

Run as ``python -m tests.bench.report_time``; every turn is a process of its own, as a user's is.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from dsn_lab.data.names import UCI, UCR
from tests.synthetic import sweep

TURNS = 3
DATASETS = (*UCR[:87], *UCI)


def main() -> None:
    """Make the results, time the command."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        sweep(Path(folder) / "results", DATASETS, range(5))
        command = [sys.executable, "-m", "dsn_lab.report", f"{folder}/results", f"out={folder}/out"]
        for _ in range(TURNS):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
    print(f"{len(DATASETS)} datasets x 5 methods x 5 seeds: median {median(seconds):.1f} s")


if __name__ == "__main__":
    main()
