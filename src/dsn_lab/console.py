"""The command ``dsn-lab``: one face for what ``run.py`` and the modules do.

Each command is imported when it is called, because torch and Hydra take seconds.
"""

import sys
from collections.abc import Callable
from importlib import import_module

COMMANDS = {
    "train": "train, test and record a network: dsn-lab train dataset=HAR sparsity=0.8",
    "sweep": "the same for every combination: dsn-lab sweep +sweep=small",
    "report": "one page of all results: dsn-lab report results",
    "runs": "what is in a folder of results: dsn-lab runs results",
    "predict": "classify new series: dsn-lab predict model.pt new.csv --output predicted.csv",
    "export": "a network for other programs and devices: dsn-lab export model.pt --to c",
    "ensemble": "accuracy of the mean of several seeds: dsn-lab ensemble results/GunPoint/lite-*",
    "data": "which datasets there are, and what is in them: dsn-lab data GunPoint",
    "completion": 'for the shell: eval "$(dsn-lab completion bash)"',
}
USAGE = "usage: dsn-lab COMMAND ...\n\n{}\n\ndsn-lab COMMAND --help says more about each."


def main() -> None:
    """Do what the first argument says with the others."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        listed = "\n".join(f"  {command:<10}  {what}" for command, what in COMMANDS.items())
        print(USAGE.format(listed))
        return
    if name == "--version":
        from dsn_lab.records.provenance import provenance

        print(provenance()["version"])
        return
    if name not in COMMANDS:
        print(
            f"error: {name}: there is no such command; known are {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        sys.exit(2)
    if name in ("train", "sweep"):
        _hydra(["-m", *arguments] if name == "sweep" else arguments, name)
    else:
        command: Callable[..., None] = import_module(MODULES[name]).main
        command(arguments, f"dsn-lab {name}")


MODULES = {
    "report": "dsn_lab.report.__main__",
    "runs": "dsn_lab.runs",
    "predict": "dsn_lab.predict",
    "export": "dsn_lab.export.__main__",
    "ensemble": "dsn_lab.ensemble",
    "data": "dsn_lab.data.__main__",
    "completion": "dsn_lab.completion",
}


def _hydra(arguments: list[str], name: str) -> None:
    sys.argv = [f"dsn-lab {name}", *arguments]
    from dsn_lab.cli import main as run

    run()
