"""What pruning removes, dataset by dataset, beside what its authors removed."""

import pandas as pd

from dsn_lab.analysis import aggregate, ensembles
from dsn_lab.analysis.stages import Family
from dsn_lab.report import figures
from dsn_lab.report.inputs import SPLIT, Inputs, count, joined, signed
from dsn_lab.report.parts import NONE, Picture, Table, picture

PENALTY = "config.dsp.penalty"
ROLES = ("base", "fine-tuned", "scratch")
TITLES = {"removed": "removed %", "removed_their_count": "removed, as authors count"} | {
    role: f"{role} ensemble %" for role in ROLES
}


def items(inputs: Inputs, family: Family) -> list[Table | Picture]:
    """A histogram from two datasets on; a table if the authors' results are at hand."""
    runs = inputs.runs[(inputs.runs["method"] == family.method) & (inputs.runs["fold"] == SPLIT)]
    runs = runs.assign(compression=1 - runs["params_pruned"] / runs["params_base"])
    columns = ["compression", "params_base", "params_pruned"]
    removed = runs.groupby("dataset")[columns].mean()
    basis = inputs.basis(inputs.on_split.query("method == @family.method"))
    found: list[Table | Picture] = []
    if len(removed) > 1:
        found.append(_histogram(family, removed, basis))
    theirs = inputs.published.pruning.get(family.model) if inputs.published else None
    if theirs is not None and len(both := removed.join(theirs, how="inner", rsuffix="_theirs")):
        found.append(_authors(inputs, family, both, basis))
    return found


def _histogram(family: Family, removed: pd.DataFrame, basis: str) -> Picture:
    shares = removed["compression"].sort_values()
    said = (
        f"mean {100 * shares.mean():.1f} %, median {100 * shares.median():.1f} %, least "
        f"{100 * shares.iloc[0]:.1f} % ({shares.index[0]}), most {100 * shares.iloc[-1]:.1f} % "
        f"({shares.index[-1]})"
    )
    caption = (
        f"{family.method}: share of parameters removed, over {count(len(shares), 'dataset')}: "
        f"{said}. {basis}."
    )
    drawn = figures.compression(shares)
    name = f"compression_{family.model}"
    return picture(name, caption, said, drawn, removed.reset_index())


def _authors(inputs: Inputs, family: Family, both: pd.DataFrame, basis: str) -> Table:
    """Shares counted as the authors do: with the frozen weights that their counts have."""
    frozen = both["params_base_theirs"] - both["params_base"]
    data = pd.DataFrame(
        {
            "removed": both["compression"],
            "removed_their_count": 1
            - (both["params_pruned"] + frozen) / both["params_base_theirs"],
            "removed_theirs": 1 - both["params_pruned_theirs"] / both["params_base_theirs"],
            "frozen": frozen,
        }
    )
    data["removed_difference"] = data["removed_their_count"] - data["removed_theirs"]
    whole = inputs.networks.ensembles
    scores = aggregate.complete(whole.on_split) if whole.methods else pd.DataFrame()
    for role in (role for role in ROLES if role in both):
        label = ensembles.label(family.roles.get(role, ""), family.model)
        ours = scores[label] if label in scores else pd.Series(dtype=float)
        data[role] = ours.reindex(data.index)
        data[f"{role}_theirs"] = both[role]
        data[f"{role}_difference"] = data[role] - both[role]
    display = pd.DataFrame({"dataset": data.index})
    for column in data.columns.drop("frozen"):
        form = signed if "difference" in column else "{:.2f}".format
        title = TITLES.get(column) or column.replace("_theirs", ", authors").replace("_", ", ")
        display[title] = [NONE if pd.isna(x) else form(100 * x) for x in data[column]]
    said = penalties_of(inputs, family)
    caption = (
        f"{family.method} beside the DSP authors' results by dataset (lambda 1e-5, five seeds; "
        f"ours: lambda {said}). Their counts of parameters include frozen filters "
        f"({joined([f'{x:g}' for x in frozen.dropna()])} more than ours in a base network). On "
        f"average we remove {signed(100 * data['removed_difference'].mean(), 1)} points more, over "
        f"{count(int(data['removed_difference'].count()), 'dataset')}. {basis}."
    )
    name = f"pruning_{family.model}_authors"
    return Table(name, caption, display, data.reset_index(names="dataset"))


def penalties_of(inputs: Inputs, family: Family) -> str:
    """The factor of the penalty in the family's runs, as it was written."""
    runs = inputs.runs[inputs.runs["method"] == family.method]
    values = runs[PENALTY].dropna().unique() if PENALTY in runs else []
    return " or ".join(f"{value:g}" for value in sorted(values)) or "not recorded"
