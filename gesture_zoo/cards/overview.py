"""MODEL_CARDS.md: every model of the zoo, from the registry, the results files and ``facts``.

``python benchmarks/model_cards.py`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from ..errors import GestureZooError
from ..registry import get_entry
from .catalogue import (
    ModelRow,
    describe_input,
    describe_source,
    describe_statistics,
    describe_terms,
    describe_weights,
    model_rows,
    zoo_models,
)
from .facts import FAMILIES, LIMITS, MSD, ONLINE, PAPER, PAPER_NOTES, PAPER_ROWS, known_datasets, paper_accuracy
from .markdown import code, listing, table
from .measured import (
    ablations_section,
    agreement_section,
    depth_section,
    isogd_section,
    measured_lines,
    rendered_section,
)
from .rendered_weights import rendered_weights_section
from .results import Row, read_results

COMPLEXITY_COMMAND = "python benchmarks/complexity.py > benchmarks/results/complexity.md"
PAPER_DATASETS = ("EgoGesture", "NVGesture", "IsoGD")


class Overview:
    """The text, part by part; ``names`` are the models, ``folder`` holds the results files.

    A model without a row in complexity.md is a GestureZooError that names the command.
    """

    def __init__(self, names: Iterable[str], folder: Path) -> None:
        self.rows, self.folder = model_rows(names), folder
        self.complexity = read_results(folder / "complexity.md")
        self.agreement = read_results(folder / "agreement.md")
        self.rendered = [read_results(path) for path in sorted(folder.glob("msd_gain_synthetic*.md"))]
        self.isogd = read_results(folder / "msd_gain_isogd.md")
        self.ablations = read_results(folder / "ablations_synthetic.md")
        coverage = folder / "coverage.md"
        self.coverage = read_results(coverage) if coverage.exists() else None
        self.costs = self._costs()

    def _costs(self) -> dict[str, Row]:
        costs = {row["model"]: row for row in self.complexity.table("G multiply-adds")}
        missing = [row.name for row in self.rows if row.name not in costs]
        if missing:
            raise GestureZooError(
                f"benchmarks/results/complexity.md has no row for {', '.join(missing)}: run `{COMPLEXITY_COMMAND}`"
            )
        return costs

    def text(self) -> str:
        """MODEL_CARDS.md."""
        parts = [
            "# Model cards",
            "<!-- Written by `python benchmarks/model_cards.py` from the registry and benchmarks/results: edit those, "
            "or gesture_zoo/cards, and run it again. -->",
            "What the models of the zoo are, what they cost, where weights are, and what is known of their limits. "
            "Every number comes from a results file, which names its command, commit and hardware, or from the paper.",
            *self.all_models(),
            "## The families",
            *(part for family in FAMILIES for part in self.family(family)),
            *self.variants(),
            *self.costs_beside_the_paper(),
            *self.weights(),
            *rendered_weights_section(self.rows, self.folder),
            *self.accuracy(),
            "## Agreement with the official networks",
            *agreement_section(self.agreement),
            "## Limits",
            self.limits(),
        ]
        return "\n\n".join(parts) + "\n"

    def all_models(self) -> list[str]:
        """One row per model and its twin."""
        rows = [
            (
                f"`{row.name}`",
                f"`{row.twin}`" if row.twin else "",
                self.costs[row.name]["M parameters"],
                self.costs[row.name]["G multiply-adds"],
                describe_input(row.cfg),
                f"[{FAMILIES[row.family].title}](#{row.family}){', online' if row.online else ''}",
                code(row.cfgs) or "none",
                self.paper(row.name),
            )
            for row in self.rows
        ]
        parts = [
            "## All models",
            table(
                (
                    "model",
                    "with decoders for training",
                    "M parameters",
                    "G multiply-adds",
                    "frames and side",
                    "temporal module, limits",
                    "weights",
                    f"paper: {' / '.join(PAPER_DATASETS)}",
                ),
                rows,
            ),
            self.how_to_read(),
        ]
        if self.coverage:
            parts.append(
                f"Any other CNN can be wrapped with `with_temporal`. {self.coverage.text(r'^Result:.*')[0]} "
                f"From {self.coverage.origin}."
            )
        return parts

    def how_to_read(self) -> str:
        """What the columns of the first table say."""
        setting = self.complexity.text(r"(\d+) classes, one clip of (\d+) frames at (\d+ x \d+)")
        mean, deviation = (listing(map(str, values)) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
        lines = (
            f"Parameters: with {setting[1]} classes. Multiply-adds: of the convolutions and matrix products, for one "
            f"clip of {setting[2]} frames of {setting[3]} ({self.complexity.origin}). A model with decoders has the "
            "same once `strip_msd` has removed them.",
            "Frames and side: what the default weights, or the papers of models without weights, are for. Any "
            "number of frames (`num_segments`) and any side from 32 will do. Input: RGB clips (N, T, 3, H, W), "
            "normalised as the family's table says (ImageNet: mean "
            f"{mean}, standard deviation {deviation}). Output: logits (N, classes), of models on image networks the "
            "mean over the frames.",
            "The paper: top-1 in %, from RGB alone, without -> with MSD, **not measured here**.",
            "Where weights are, and on what terms: [Weights](#weights). What we measured: [Accuracy](#accuracy).",
        )
        return "\n".join(f"- {line}" for line in lines)

    def paper(self, name: str) -> str:
        """The paper's accuracies of a model."""
        row = PAPER_ROWS.get(name)
        return " / ".join(paper_accuracy(row, dataset) for dataset in PAPER_DATASETS) if row else ""

    def family(self, key: str) -> list[str]:
        """What a family is, and a row per model."""
        facts, rows = FAMILIES[key], [row for row in self.rows if row.family == key]
        if not rows:
            return []
        measured = measured_lines(key, self.rendered, self.isogd)
        return [
            f'<a id="{key}"></a>\n\n### {facts.title}',
            f"{facts.what[0].upper()}{facts.what[1:]} ({facts.paper}; official code: {facts.official_code}).",
            f"- Temporal module: {facts.temporal_module}.\n"
            f"- Limits: {facts.limits}\n"
            f"- Measured here, top-1 without -> with MSD: {'; '.join(measured) or 'nothing yet'}.",
            table(
                (
                    "model",
                    "temporal modules",
                    "mean / standard deviation",
                    "MSD adds in training",
                    "at its own side",
                    "weights and where they are",
                ),
                [self.family_row(row) for row in rows],
            ),
        ]

    def family_row(self, row: ModelRow) -> tuple[str, ...]:
        """A model's numbers beyond those of the first table."""
        cost = self.costs[row.name]
        twin = f"{cost['MSD: M parameters']} M, {cost['MSD: G']} G" if row.twin else "no twin"
        weights = "; ".join(f"`.{tag}` {describe_source(cfg)}" for tag, cfg in row.cfgs.items())
        return (
            f"`{row.name}`",
            cost["temporal modules"],
            describe_statistics(row.cfg),
            twin,
            f"{cost['G at its own side']} G at {cost['its own side']} px",
            weights or "none",
        )

    def variants(self) -> list[str]:
        """What the endings of names mean."""
        lines = [f"- {MSD}"]
        if any(row.online for row in self.rows):
            lines.append(f"- {ONLINE}")
        return ["### Endings of names", "\n".join(lines)]

    def costs_beside_the_paper(self) -> list[str]:
        """Parameters and operations, ours and the paper's."""
        rows = []
        for name, row in PAPER_ROWS.items():
            cost = self.costs[name]
            if row.million_parameters is None:
                continue
            rows.append(
                (f"`{name}`", cost["M parameters"], row.million_parameters, cost["G multiply-adds"], row.gflops)
            )
        agreeing = [name for name, mine, theirs, _, _ in rows if f"{float(mine):.1f}" == str(theirs)]
        others = [name for name, *_ in rows if name not in agreeing]
        why = {name: PAPER_ROWS[name.strip("`")].differs for name in others}
        differing = "; ".join(f"{name}{f' ({reason})' if reason else ''}" for name, reason in why.items())
        return [
            "## Parameters and operations beside the paper",
            table(
                ("model", "M parameters", "the paper's", "G multiply-adds", "the paper's GFLOPs"),
                rows,
            ),
            f"Parameters agree with the paper ({PAPER}) for {listing(agreeing) or 'none'}"
            f"{f', and differ for {differing}' if differing else ''}. {PAPER_NOTES[0]} Networks that their papers give "
            "other clips (frames and side in the first table) are counted for the same clip as the rest.",
        ]

    def weights(self) -> list[str]:
        """Every tag of every model: what it is, where it is, on what terms."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for row in self.rows:
            for name in filter(None, (row.name, row.twin)):
                for tag, cfg in get_entry(name).cfgs.items():
                    what = (f"`.{tag}`", describe_weights(cfg), describe_source(cfg), describe_terms(cfg))
                    # A twin is named where its weights are others.
                    if row.name not in (names := groups.setdefault(what, [])):
                        names.append(name)
        starts_first = sorted(groups.items(), key=lambda group: group[0][0] != "`.in1k`")
        return [
            "## Weights",
            '`create_model("NAME.TAG", pretrained=True)`; the first tag of a model is its default, and a model with '
            "decoders has the weights of the one without, unless it is named itself. Weights that are not published "
            "yet are an error that says so. A published accuracy is its authors' and was not measured here.",
            table(
                ("tag", "models", "what", "where", "terms"),
                [(what[0], code(names), *what[1:]) for what, names in starts_first],
            ),
            "### Terms of the data",
            "The code is Apache-2.0. Weights are bound to the terms of the data they learned from:",
            table(("data", "terms"), [(facts.name, facts.terms) for facts in known_datasets()]),
        ]

    def accuracy(self) -> list[str]:
        """The paper's accuracies, and ours."""
        return [
            "## Accuracy",
            f"The paper's ({PAPER}), top-1 in % from RGB alone, without -> with MSD (**not measured here**):",
            table(
                ("", *PAPER_DATASETS),
                [(r.network, *(paper_accuracy(r, dataset) for dataset in PAPER_DATASETS)) for r in PAPER_ROWS.values()],
            ),
            PAPER_NOTES[1],
            "Ours are from what fits two CPU cores: no full dataset and no GPU were at hand. All from RGB alone, mean "
            "and standard deviation over the seeds, the gain with its 95 % interval (paired by seed, Student's t).",
            *rendered_section(self.rendered),
            *depth_section(self.rendered),
            *ablations_section(self.ablations),
            *isogd_section(self.isogd),
        ]

    def limits(self) -> str:
        """What no model of the zoo does, or is known to do."""
        nowhere = sorted({f".{tag}" for row in self.rows for tag, cfg in row.cfgs.items() if not cfg.has_weights})
        unpublished = [f"Announced and not published yet: {listing(f'`{tag}`' for tag in nowhere)}."] if nowhere else []
        return "\n".join(f"- {limit}" for limit in (*unpublished, *LIMITS))


def overview(folder: Path, names: Iterable[str] | None = None) -> str:
    """The text of MODEL_CARDS.md from the registry and the results files in ``folder``.

    ``names``: these models instead of all that gesture_zoo lists. A results file that is missing or lacks a registered
    model is a GestureZooError that names the command to run.

    >>> overview(Path("nowhere"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.GestureZooError: nowhere/complexity.md cannot be read: `python benchmarks/complexity.py > ...
    """
    return Overview(zoo_models() if names is None else names, folder).text()
