"""The weights that learned from rendered gestures: what they are, and what real recordings say of them, in words.

``rendered_real*.md`` among the results are what ``benchmarks/rendered_real.py`` writes. ``rendered_training.md`` says
how the weights were trained: "Command: `...`, commit ...." first, then paragraphs, under a heading "## NAME.TAG" each
where there are several. ``rendered_finetune*.md`` is what ``benchmarks/rendered_finetune.py`` writes of one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..packaged import DEFAULT_MODEL, PREFIX, packaged_file
from ..pretrained import PretrainedCfg
from ..registry import get_entry
from ..render.classes import CONVENTIONS
from .catalogue import ModelRow
from .markdown import listing, table
from .rendered_results import Alarms, RealResults, Share, events_interval
from .results import Results, read_results

NOT_MEASURED = "**Not measured yet** on real recordings: nothing is known of how well it does."
NEVER = (
    "anything where a wrong or a missed gesture can hurt somebody or break something: driving, machines, medicine",
    "sign language, or learning who somebody is or how they feel",
)
# Where there should be no events, by what the results file calls it.
_WHERE = {
    "beside a gesture's window": "people before and after their gesture",
    "none of our classes": "people making gestures it does not know",
    "beside the best of each": "people making its gestures, beside the best answer to each",
    "IsoGD": "people doing other things (IsoGD; some may look like its gestures)",
}
_DATASET = "rendered gestures"


def packaged_tags(rows: Iterable[ModelRow]) -> dict[str, PretrainedCfg]:
    """The weights that learned from rendered gestures, by NAME.TAG; a file counts once, for the first of its names."""
    found: dict[str, tuple[str, PretrainedCfg]] = {}
    for name in (name for row in rows for name in (row.name, row.twin) if name):
        for tag, cfg in get_entry(name).cfgs.items():
            if cfg.file and cfg.file.startswith(PREFIX) and cfg.dataset == _DATASET:
                found.setdefault(cfg.file, (f"{name}.{tag}", cfg))
    return dict(found.values())


def rendered_weights_section(rows: Iterable[ModelRow], folder: Path) -> list[str]:
    """The section on those weights, with the results files of ``folder``; nothing where there are none."""
    tags = packaged_tags(rows)
    if not tags:
        return []
    files = [RealResults(read_results(path)) for path in sorted(folder.glob("rendered_real*.md"))]
    training = folder / "rendered_training.md"
    trained = read_results(training) if training.is_file() else None
    parts = [
        "## Weights learned from rendered gestures",
        "They come with the package, and anyone may use them. They learned from rendered people alone: no real picture "
        "was used to train them. Of what they do on real people, only what is measured below is known. They are for "
        "cameras that face the person; the picture of one on the person's head must be mirrored (`predict --mirror`).",
    ]
    for name, cfg in tags.items():
        real = next((file for file in files if file.is_of(name, tags)), None)
        parts += [
            f"### `{name}`",
            _what(name, cfg),
            *_training(trained, name),
            "**Measured limits**",
            *(_limits(real, name) if real else [NOT_MEASURED]),
            *_as_a_start(folder, name),
            "**Do not use it for**",
            "\n".join(f"- {use}" for use in _not_for(cfg, real)),
        ]
    classes = dict.fromkeys(label for cfg in tags.values() for label in cfg.label_names or ())
    parts += [
        "### Their classes",
        "Left, right and clockwise are as the person who gestures sees them. In the picture of a camera that faces the "
        "person they are the other way round, unless the picture is mirrored.",
        table(("class", "what the person does"), [(label, CONVENTIONS.get(label, "")) for label in classes]),
    ]
    return parts


def _what(name: str, cfg: PretrainedCfg) -> str:
    with packaged_file(str(cfg.file).removeprefix(PREFIX)) as path:
        sizes = [f"{path.stat().st_size / 1e6:.1f} MB"]
        steps = path.with_suffix(".onnx")
        if steps.is_file():
            sizes.append(f"{steps.stat().st_size / 1e6:.1f} MB more as the streaming ONNX file of `gesture-zoo web`")
    online = name.partition(".")[0].removesuffix("_msd").endswith("_online")
    kind = (
        "For live video: it answers every frame, from that frame and those before it"
        if online
        else f"For clips, of which it sees {cfg.num_segments} frames"
    )
    rate = f", {cfg.frame_rate:g} frames a second" if cfg.frame_rate else ""
    default = " It is what `predict` and `web` use where no model is named." if name == DEFAULT_MODEL else ""
    return (
        f"{kind}{rate} of {cfg.input_size[1]} x {cfg.input_size[2]} pixels, with one of {cfg.num_classes} "
        f"[classes](#their-classes). {', and '.join(sizes)}. Licence: {cfg.license}.{default}"
    )


def _training(file: Results | None, name: str) -> list[str]:
    """How the weights were trained, as the file says it."""
    told: list[str] = []
    if file is not None:
        inside = not any(text.startswith("## ") for text in file.paragraphs)
        for text in file.paragraphs[1:]:
            if text.startswith("## "):
                inside = text[3:].strip("` ") == name
            elif inside and not text.startswith("#"):
                told.append(text)
    if file is None or not told:
        return ["How it was trained: not written down yet."]
    return [f"How it was trained: {told[0]}", *told[1:], f"From {file.origin}."]


def _as_a_start(folder: Path, name: str) -> list[str]:
    """What the weights are worth as a start on few real clips, where that was measured."""
    for path in sorted(folder.glob("rendered_finetune*.md")):
        file = read_results(path)
        if f" --model {name} " in f"{file.command} ":
            rows = file.table("clips a class")
            return [
                "**As a start** for other classes, learned from a few real clips of each, beside a random start:",
                *file.paragraphs[1:],
                table(tuple(rows[0]), [tuple(row.values()) for row in rows]),
                f"From {file.origin}.",
            ]
    return []


def _limits(real: RealResults, name: str) -> list[str]:
    """What was measured, a sentence for every question, and the table of all ways to answer."""
    people = f", by {real.people} people" if real.people > 1 else ", by 1 person" if real.people else ""
    doubt = (
        ""
        if real.model == name
        else " Its command names a file or folder of this network, which may hold other weights than these."
    )
    sentences = [
        *_which(real),
        *(_which_way(real, *direction) for direction in real.directions()),
        *(_false_alarms(alarms) for alarms in real.alarms()),
    ]
    return [
        f"Tested on {len(real.tested)} real recordings of its gestures{people}, and on the time around them. From "
        f"{real.file.origin}.{doubt} Where one person is in several recordings, the truth is less certain than the "
        "intervals say.",
        "\n".join(f"- {sentence}" for sentence in sentences),
        "By every way to take an answer, with the 95 % interval (the sentences above are of "
        f'"{real.way}", which is how the commands answer):',
        table(real.accuracy[0], [row.values() for row in real.accuracy]),
    ]


def _which(real: RealResults) -> Iterator[str]:
    share, decided = real.which()
    if share is None or decided is None:
        yield "Which gesture: not measured, no recording was of one of its gestures."
        return
    yield (
        f"Of {share.clips} real gestures it picked the right one out of {real.among} in {share.right} ({share.words}; "
        f"{real.guess().words}): {share.beside(real.guess())}."
    )
    yield (
        f"Left to decide by itself whether there is one and which, as in use, it was right in {decided.right} of "
        f"{decided.clips} ({decided.words})."
    )


def _which_way(real: RealResults, pair: tuple[str, str], share: Share | None) -> str:
    either = " or ".join(pair)
    if share is None:
        return f"{either}: not measured, no recording was of either."
    return (
        f"{either}: of {share.clips} real recording{'s' * (share.clips != 1)} it told in {share.right} which it was "
        f"({share.words}; {real.guess(pair).words}): {share.beside(real.guess(pair))}."
    )


def _false_alarms(alarms: Alarms) -> str:
    where = next((words for key, words in _WHERE.items() if key in alarms.where), alarms.where)
    if not alarms.minutes:
        return f"False alarms with {where}: not measured."
    low, high = (limit / alarms.minutes for limit in events_interval(alarms.events))
    return (
        f"In {alarms.minutes:g} minutes of {where} it raised {alarms.events} false alarm{'s' * (alarms.events != 1)} "
        f"({alarms.rate:g} a minute; the true rate may be anywhere between {low:.1f} and {high:.1f})."
    )


def _not_for(cfg: PretrainedCfg, real: RealResults | None) -> Iterator[str]:
    """What the weights are not for: always, and by what was measured."""
    yield from NEVER
    if real is None:
        yield "anything but a first try, until it is measured"
        return
    told = [("its gestures from one another", real.guess(), real.which()[0])]
    told += [(f"{pair[0]} from {pair[1]}", real.guess(pair), share) for pair, share in real.directions()]
    for what, guess, share in told:
        verdict = share.beside(guess) if share else "not measured"
        if verdict != "better than guessing":
            yield f"telling {what}: {verdict}"
    unseen = [name for name in cfg.label_names or () if name in real.gestures and name not in real.classes_tested]
    if unseen:
        which = "them" if len(unseen) > 1 else "it"
        yield f"{listing(unseen)}, without a test of your own: no real recording of {which} was at hand"
    most = max((alarms.rate for alarms in real.alarms()), default=0.0)
    if most >= 1:
        yield f"setting off what cannot be undone: it raised up to {most:g} false alarms a minute"
