"""Base, pretrained, pruned, fine-tuned and scratch networks, singly and as ensembles."""

import pandas as pd

from dsn_lab.analysis import aggregate, ensembles
from dsn_lab.analysis.stages import Family
from dsn_lab.report import figures
from dsn_lab.report.inputs import SPLIT, Inputs, count, signed
from dsn_lab.report.parts import NONE, Picture, Section, Table, picture
from dsn_lab.report.tables import comparison, compression

COST = ["params_active", "flops"]
TEXT = (
    "Base: trained without the penalty. Pretrained: with it, not yet pruned. Scratch: the pruned "
    "shape, trained from fresh weights; it is what the DSP paper reports. Narrow networks, where "
    "there are any, are the base with fewer filters everywhere. Compression: share of the base's "
    "parameters that is removed. An ensemble averages the probabilities of the seeds' networks."
)


def section(inputs: Inputs) -> Section | str:
    """Each model's pruned networks on the archive's split; of several settings the most run."""
    shown = {family.model: family for family in reversed(inputs.families)}
    if not shown or SPLIT not in set(inputs.runs["fold"]):
        return "No run of a pruned network on the archive's split."
    items: list[Table | Picture] = []
    for family in sorted(shown.values(), key=lambda family: family.model):
        common = _common(inputs.networks, family)
        if len(common):
            table = _table(inputs.networks, family, common)
            items += [_means(inputs, family, table), _by_dataset(inputs, family, common)]
            items += _figures(inputs.networks, family, table)
            items += compression.items(inputs, family)
    if not items:
        return "No dataset has every expected run of every variant of a pruned network."
    return Section("pruning", "Structured pruning", TEXT, items)


def _common(networks: Inputs, family: Family) -> pd.Index:
    """The datasets of which every role has every expected run."""
    scores = aggregate.complete(networks.on_split)
    return scores[list(family.roles.values())].dropna().index


def _table(networks: Inputs, family: Family, datasets: pd.Index) -> pd.DataFrame:
    """A row a network, base first: means over datasets, singly and as an ensemble."""
    single = aggregate.complete(networks.on_split)
    whole = _ensemble_scores(networks)
    runs = networks.runs[networks.runs["dataset"].isin(datasets)]
    rows = []
    for network in [*family.roles.values(), *family.narrow]:
        of_network = runs[(runs["method"] == network) & (runs["fold"] == SPLIT)]
        costs = of_network.groupby("dataset")[COST].mean().mean()
        together = _ensemble_of(networks, network)
        rows.append(
            {
                "network": network,
                "accuracy": single[network].reindex(datasets).mean(skipna=False),
                "ensemble": whole[together].reindex(datasets).mean(skipna=False)
                if together in whole
                else float("nan"),
                **costs.to_dict(),
                "datasets": len(datasets),
            }
        )
    # A narrow network that lacks one of the datasets is compared nowhere here.
    table = pd.DataFrame(rows).dropna(subset="accuracy", ignore_index=True)
    has_base = "base" in family.roles
    for key, column in (("difference", "accuracy"), ("ensemble_difference", "ensemble")):
        table[key] = table[column] - (table[column].iloc[0] if has_base else float("nan"))
    base = table["params_active"].iloc[0] if has_base else float("nan")
    return table.assign(compression=1 - table["params_active"] / base)


def _ensemble_scores(networks: Inputs) -> pd.DataFrame:
    whole = networks.ensembles
    return aggregate.complete(whole.on_split) if whole.methods else pd.DataFrame()


def _ensemble_of(networks: Inputs, network: str) -> str:
    model = networks.runs.loc[networks.runs["method"] == network, "model"].iloc[0]
    return ensembles.label(network, str(model))


def _said(networks: Inputs, names: list[str], datasets: pd.Index) -> str:
    summary = networks.on_split.reset_index()
    return networks.basis(summary[summary["method"].isin(names)], datasets)


def _means(inputs: Inputs, family: Family, table: pd.DataFrame) -> Table:
    networks = inputs.networks
    datasets = _common(networks, family)
    display = pd.DataFrame(
        {
            "network": table["network"],
            "accuracy %": [f"{100 * x:.2f}" for x in table["accuracy"]],
            "difference to base": _points(table["difference"]),
            "ensemble %": [NONE if pd.isna(x) else f"{100 * x:.2f}" for x in table["ensemble"]],
            "ensemble, difference": _points(table["ensemble_difference"]),
            "parameters": [f"{x:,.0f}" for x in table["params_active"]],
            "MFLOPs": [f"{x / 1e6:.2f}" for x in table["flops"]],
            "compression %": [
                NONE if pd.isna(x) else f"{100 * x + 0:.1f}" for x in table["compression"]
            ],
        }
    )
    names = [_ensemble_of(networks, network) for network in table["network"]]
    whole = networks.ensembles.runs
    sizes = whole[whole["method"].isin(names)]["members"]
    caption = (
        f"{family.method}: means over the {count(len(datasets), 'dataset')} on which every stage "
        f"has every expected run. {_said(networks, list(table['network']), datasets)}."
        + f" Ensembles of {aggregate.ranges(sizes)} networks." * bool(len(sizes))
        + " Parameters and FLOPs are those of one network."
    )
    return Table(f"pruning_{family.model}", caption, display, table)


def _points(differences: pd.Series) -> list[str]:
    return [NONE if pd.isna(x) else signed(100 * x) for x in differences]


def _by_dataset(inputs: Inputs, family: Family, datasets: pd.Index) -> Table:
    networks = inputs.networks
    names = [*family.roles.values(), *family.narrow]
    scores = aggregate.complete(networks.on_split).loc[datasets, names]
    whole = _ensemble_scores(networks)
    together = [_ensemble_of(networks, name) for name in names]
    together = [name for name in together if name in whole]
    scores = scores.join(whole[together]).rename_axis("dataset")
    display = scores.map(lambda x: NONE if pd.isna(x) else f"{100 * x:.2f}").reset_index()
    basis = _said(networks, names, datasets)
    caption = f"{family.method}: mean test accuracy in % by dataset. {basis}."
    return Table(f"pruning_{family.model}_datasets", caption, display, scores.reset_index())


def _figures(networks: Inputs, family: Family, table: pd.DataFrame) -> list[Table | Picture]:
    """The stages as methods against each other, and accuracy against cost."""
    items: list[Table | Picture] = []
    for name, inputs in (("", networks), ("_ensembles", networks.ensembles)):
        key = f"pruning_{family.model}{name}"
        labels = {
            network: _ensemble_of(networks, network) if name else network
            for network in table["network"]
        }
        roles = [labels[r] for r in family.roles.values() if labels[r] in inputs.methods]
        if len(roles) > 1:
            scores = aggregate.complete(inputs.on_split)[roles]
            basis = _said(inputs, roles, scores.index)
            items += comparison.family(key, scores, roles, basis, inputs.chosen)
            every = [label for label in labels.values() if label in inputs.methods]
            items.append(_against_cost(key, inputs, every, basis))
    return items


def _against_cost(key: str, inputs: Inputs, labels: list[str], basis: str) -> Picture:
    runs = inputs.runs[inputs.runs["fold"] == SPLIT]
    scores = aggregate.complete(inputs.on_split)[labels].dropna()
    runs = runs[runs["dataset"].isin(scores.index)]
    costs = runs.groupby(["method", "dataset"])[COST].mean().groupby("method").mean()
    points = costs.loc[labels].assign(accuracy=100 * scores.mean(), std=float("nan"))
    points = points.assign(flops=points["flops"] / 1e6).reset_index(names="label")
    alt = figures.said(points)
    caption = (
        "Mean test accuracy against mean FLOPs for one series; area of a marker by parameters (of "
        f"an ensemble, of all its members). {basis}."
    )
    drawn = figures.accuracy_by_cost(points, line=False)
    return picture(f"accuracy_flops_{key}", caption, alt, drawn, points)
