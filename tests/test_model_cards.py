"""MODEL_CARDS.md is what the registry and the results files say."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import gesture_zoo
from gesture_zoo import registry
from gesture_zoo.cards.catalogue import describe_source, describe_terms, zoo_models
from gesture_zoo.cards.facts import FAMILIES, PAPER_ROWS, family_of, find_dataset
from gesture_zoo.cards.overview import overview
from gesture_zoo.cards.results import read_results
from gesture_zoo.errors import GestureZooError
from gesture_zoo.registry import get_entry

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRIPT = ROOT / "benchmarks" / "model_cards.py"
STALE = "run `python benchmarks/model_cards.py`"
# Tables I to III of arXiv 2110.15639 once more: without -> with MSD on EgoGesture / NVGesture / IsoGD, GFLOPs, million
# parameters.
PAPER = {
    "tsm_resnet50": ("92.1 -> 93.7 / 80.2 -> 81.9 / 64.1", "28.2", "23.7"),
    "tea_res2net50_26w_4s": ("92.3 -> 94.2 / 80.5 -> 82.2 / 64.5", "31.1", "24.3"),
    "action_resnet50": ("94.2 -> 94.5 / 80.7 -> 84.0 / 65.0 -> 66.9", "29.8", "27.9"),
    "c3d": ("90.6 / 69.3 / 40.2", "71.7", "65.6"),
    "resnext3d_101": ("93.7 / 78.6 / 52.1", "13.9", "47.7"),
    "cnn_lstm": ("- / - / 56.0", None, None),
    "mtut": ("92.5 / 81.3 / -", "88.2", "12.7"),
    "seg_lstm": ("93.3 / - / -", None, None),
    "res_c3d": ("- / - / 45.1", None, None),
}


class Fresh(NamedTuple):
    """What a process says that has just imported gesture_zoo: its models, and the end of ``model_cards.py --check``."""

    names: list[str]
    code: int
    message: str


@pytest.fixture(scope="module")
def fresh() -> Fresh:
    """Other tests and doctests register models of their own in this process."""
    code = (
        "import runpy, sys, gesture_zoo; print(*gesture_zoo.list_models(), flush=True); "
        f"sys.argv = ['model_cards.py', '--check']; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return Fresh(done.stdout.split(), done.returncode, done.stderr)


@pytest.fixture(autouse=True)
def only_the_zoo(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry as it is after the import; what a test registers is gone after it."""
    registry.load_plugins()  # where no test before this one has asked for a model
    monkeypatch.setattr(registry, "_REGISTRY", {name: registry._REGISTRY[name] for name in fresh.names})


@pytest.fixture
def text() -> str:
    """What MODEL_CARDS.md should be."""
    return overview(RESULTS)


def rows_of(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table after a heading."""
    lines = text.partition(f"{heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    table = lines[start + 1 :]
    end = next((number for number, line in enumerate(table) if not line.startswith("|")), len(table))
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table[:end]]


def test_the_committed_file_is_what_would_be_generated(fresh: Fresh, text: str) -> None:
    assert (ROOT / "MODEL_CARDS.md").read_text() == text, f"MODEL_CARDS.md is stale: {STALE}"
    assert fresh.code == 0, fresh.message


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with the script and the results, as in the repository."""
    shutil.copytree(RESULTS, tmp_path / "benchmarks" / "results")
    shutil.copy(SCRIPT, tmp_path / "benchmarks")
    return tmp_path


def run(folder: Path, *arguments: str) -> str | int | None:
    """Run the folder's script in this process: what it exits with, a message or None."""
    argv, sys.argv = sys.argv, ["model_cards.py", *arguments]
    try:
        runpy.run_path(str(folder / "benchmarks" / "model_cards.py"), run_name="__main__")
    except SystemExit as done:
        return done.code
    finally:
        sys.argv = argv
    return None


def test_check_says_how_to_mend_a_stale_file(copied: Path) -> None:
    cards = copied / "MODEL_CARDS.md"
    assert STALE in str(run(copied, "--check")) and not cards.exists()
    assert run(copied) is None and run(copied, "--check") is None
    cards.write_text(stale := cards.read_text().replace("TSM", "TSN", 1))
    assert STALE in str(run(copied, "--check"))
    assert cards.read_text() == stale, "--check writes nothing"


def test_a_model_without_a_row_is_named_with_the_command(copied: Path) -> None:
    run(copied)
    before = (copied / "MODEL_CARDS.md").read_text()
    costs = copied / "benchmarks" / "results" / "complexity.md"
    costs.write_text(re.sub(r"\| tsm_resnet18 .*\n", "", costs.read_text()))
    message = str(run(copied))
    assert "no row for tsm_resnet18: run `python benchmarks/complexity.py > " in message and "\n" not in message
    assert (copied / "MODEL_CARDS.md").read_text() == before


def test_every_model_has_a_row_with_its_numbers(text: str) -> None:
    rows = {row[0].strip("`"): row for row in rows_of(text, "## All models")}
    costs = {row["model"]: row for row in read_results(RESULTS / "complexity.md").table("G multiply-adds")}
    assert sorted(rows) == sorted(name for name in zoo_models() if not name.endswith("_msd"))
    for name in zoo_models():
        row = rows[name.removesuffix("_msd")]
        assert f"`{name}`" in row[:2]
        assert row[2:4] == [costs[row[0].strip("`")][column] for column in ("M parameters", "G multiply-adds")]
        cfg = gesture_zoo.get_pretrained_cfg(name)
        assert row[4].startswith(f"{cfg.num_segments} x {cfg.input_size[1]} x {cfg.input_size[2]}")
        assert all(f"`{tag}`" in row[6] for tag in get_entry(name).cfgs)


def test_every_model_is_in_the_table_of_its_family(text: str) -> None:
    bare = [name for name in zoo_models() if not name.endswith("_msd")]
    for family in {family_of(name) for name in bare}:
        facts, names = FAMILIES[family], [name for name in bare if family_of(name) == family]
        assert names == [row[0].strip("`") for row in rows_of(text, f"### {facts.title}")]
    ownstats = {row[0]: row[2] for row in rows_of(text, "### TSM")}
    assert ownstats["`tsm_resnet50`"] == "ImageNet" and ownstats["`tsm_test_resnet`"] == "0.5 / 0.5"


def test_every_tag_says_where_it_is_and_on_what_terms(text: str) -> None:
    rows = rows_of(text, "## Weights")
    for name in zoo_models():
        bare = name.removesuffix("_msd")
        for tag, cfg in get_entry(name).cfgs.items():
            where = [
                row for row in rows if row[0] == f"`.{tag}`" and {f"`{bare}`", f"`{name}`"} & set(row[1].split(", "))
            ]
            assert [describe_source(cfg) in row[3] for row in where].count(True) == 1, f"{name}.{tag}"
            facts = find_dataset(cfg.dataset)
            assert facts is not None, f"gesture_zoo/cards/facts.py knows no terms of {cfg.dataset}"
            assert any(facts.name in row[4] for row in where)
            assert not facts.research_only or "research" in describe_terms(cfg)
            if not cfg.has_weights:
                assert any("not published yet" in row[3] for row in where)


def test_the_papers_numbers_are_its_own(text: str) -> None:
    shown = {row[0].strip("`"): row[7] for row in rows_of(text, "## All models")}
    beside = {
        row[0].strip("`"): (row[4], row[2]) for row in rows_of(text, "## Parameters and operations beside the paper")
    }
    accuracies = {row[0]: " / ".join(row[1:]) for row in rows_of(text, "## Accuracy")}
    assert {name: number for name, number in shown.items() if number} == {name: row[0] for name, row in PAPER.items()}
    assert beside == {name: row[1:] for name, row in PAPER.items() if row[2]}
    assert accuracies == {PAPER_ROWS[name].network: row[0] for name, row in PAPER.items()}


def test_what_we_measured_is_quoted_with_its_interval(text: str) -> None:
    rendered = read_results(RESULTS / "msd_gain_synthetic.md").table("gain, points")
    for row in rendered:
        title = FAMILIES[row["network"]].title
        assert f"| {title} | 10 | {row['without MSD']} | {row['with MSD']} | {row['gain, points']} |" in text
        section = text.partition(f"### {title}\n")[2].partition("\n### ")[0]
        assert f"{row['without MSD']} -> {row['with MSD']} % ({row['gain, points']} points)" in section
    for row in read_results(RESULTS / "msd_gain_isogd.md").table("masked RMSE"):
        assert f"| {row['network, tap']} | {row['masked RMSE']} | {row['correlation']} |" in text
    for row in read_results(RESULTS / "agreement.md").table("ours, float32"):
        assert f"| `{row['model']}` | {row['ours, float32']} |" in text
    assert "no full dataset and no GPU were at hand" in text


def test_conclusions_follow_from_the_tables(tmp_path: Path) -> None:
    """Other numbers, other words."""
    shutil.copytree(RESULTS, tmp_path, dirs_exist_ok=True)
    assert "No gain is certain: every interval holds 0." in overview(tmp_path)
    file = tmp_path / "msd_gain_synthetic_longer.md"
    file.write_text(file.read_text().replace("+8.4 (-10.5 to +27.3)", "+8.4 (+1.0 to +15.8)"))
    assert "Certain: TSM after 20 epochs." in overview(tmp_path)
    isogd = tmp_path / "msd_gain_isogd.md"
    isogd.write_text(isogd.read_text().replace("| 0.1788 ±", "| 0.2288 ±"))
    assert "The masks know no more of the depth" in overview(tmp_path)


def test_coverage_is_summed_up_where_it_was_measured(tmp_path: Path) -> None:
    shutil.copytree(RESULTS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "coverage.md").write_text(
        "Command: `python benchmarks/coverage.py`, commit abc1234.\n\n| cnn | runs |\n|---|---|\n| a | yes |\n\n"
        "Result: 9 of 10 CNNs\ncan be wrapped.\n\nMore words.\n"
    )
    assert "Result: 9 of 10 CNNs can be wrapped. From [`coverage.md`]" in overview(tmp_path)


def test_models_of_plugins_stay_out(text: str) -> None:
    @gesture_zoo.register_model
    def tsm_of_a_plugin(*, num_classes: int = 2) -> torch.nn.Module:
        return torch.nn.Linear(4, num_classes)

    assert gesture_zoo.is_model("tsm_of_a_plugin")
    assert overview(RESULTS) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: `python benchmarks/complexity.py > "),
        ("| model |\n|---|\n", "does not begin with 'Command: "),
        ("Command: `x`, commit a.\n\nNo table.\n", "has no table with a column 'G multiply-adds': run x"),
    ],
)
def test_a_results_file_that_is_none_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    shutil.copytree(RESULTS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "complexity.md").unlink()
    if content is not None:
        (tmp_path / "complexity.md").write_text(content)
    with pytest.raises(GestureZooError, match=re.escape(message)) as caught:
        overview(tmp_path)
    assert "complexity.md" in str(caught.value) and "\n" not in str(caught.value)


def test_parameters_of_the_results_are_those_of_the_models() -> None:
    costs = {row["model"]: row for row in read_results(RESULTS / "complexity.md").table("G multiply-adds")}
    command = "run `python benchmarks/complexity.py > benchmarks/results/complexity.md`"
    names = zoo_models()
    for name in (name for name in names if f"{name}_msd" not in names):  # a twin has the model without decoders inside
        with torch.device("meta"):
            model = gesture_zoo.create_model(name, num_classes=83)
        row = costs[name.removesuffix("_msd")]
        whole = sum(parameter.numel() for parameter in model.parameters())
        plain = model.model if isinstance(model, gesture_zoo.MSDModel) else model
        bare = sum(parameter.numel() for parameter in plain.parameters())
        assert f"{bare / 1e6:.3f}" == row["M parameters"], f"{name}: {command}"
        assert not name.endswith("_msd") or f"+{(whole - bare) / 1e6:.3f}" == row["MSD: M parameters"], (
            f"{name}: {command}"
        )
