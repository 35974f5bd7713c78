"""Everything that varies from clip to clip, and by how much, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import DataError
from .draws import Range
from .hand import HAND_POSES

Box = tuple[Range, Range, Range]
VIEWS = ("person", "car", "ego")
"""A laptop or a television looks at the person; a camera in the car does; the person wears the camera."""


def _place() -> dict[str, Box]:
    return {
        "person": ((-0.26, 0.06), (-0.22, 0.12), (0.22, 0.42)),
        "car": ((-0.36, -0.04), (-0.22, 0.06), (0.28, 0.46)),
        "ego": ((-0.22, 0.08), (-0.22, 0.08), (0.26, 0.44)),
    }


def _rests() -> dict[str, dict[str, float]]:
    return {
        "person": {
            "lap": 4, "hanging": 4, "raised": 2, "side": 1.5, "opposite": 1.5, "belly": 1, "chin": 0.4, "table": 2
        },
        "car": {"lap": 2, "wheel": 4, "raised": 1.5, "side": 1.5, "opposite": 2, "belly": 0.7, "table": 1},
        "ego": {"lap": 4, "hanging": 3, "raised": 2, "side": 2, "opposite": 1, "table": 3},
    }  # fmt: skip


# What negatives.py makes; it imports this file, so the names stand here.
OTHER_KINDS = (
    "wander", "face", "drink", "low", "point", "both", "through", "up_down", "reach", "sign", "palm", "droop", "across",
)  # fmt: skip
REST_KINDS = ("lap", "hanging", "wheel", "raised", "side", "opposite", "belly", "chin", "table")
KNOWN = {"turn_kinds": ("roll", "circle"), "other_kinds": OTHER_KINDS, "views": VIEWS} | {
    f"{stroke}_hands": tuple(HAND_POSES) for stroke in ("swipe", "push", "pull", "turn", "shake")
}
"""What the weights of a field of MotionRanges may be of."""
_ABOVE_ZERO = (
    "hand_length", "shoulder_width", "upper_arm", "forearm", "arm_radius", "torso_width", "window", "stroke", "opening",
    "showing", "calmer", "circle_seconds", "shake_hertz", "shake_cycles", "distance", "hand_size",
)  # fmt: skip
_CHANCES = (
    "left_handed", "gloves", "seated", "late_or_early", "same_rest", "to_and_fro", "aborted", "lookalikes", "nobody",
)  # fmt: skip


def check_weights(name: str, weights: Any) -> None:
    """DataError unless these are weights that something can be drawn by.

    >>> check_weights("kinds", (1.0, 0.0))
    """
    if not weights or not all(0 <= weight < math.inf for weight in weights) or sum(weights) == 0:
        raise DataError(f"{name} is {weights}: weights are numbers of 0 or more, not all of them 0")


def _check(name: str, value: Any, kind: str) -> None:
    """DataError unless a value is of a kind of field of MotionRanges, in which the least comes first."""
    if kind == "Range":
        if not isinstance(value, (tuple, list)) or len(value) != 2 or not -math.inf < value[0] <= value[1] < math.inf:
            raise DataError(f"{name} is {value}: it must be two numbers, the least first")
    elif kind == "Box":
        if not isinstance(value, (tuple, list)) or len(value) != 3:
            raise DataError(f"{name} is {value}: it must be three ranges, of x, y and z")
        for axis, limits in zip("xyz", value, strict=True):
            _check(f"{axis} of {name}", limits, "Range")
    elif kind == "dict[str, float]":
        check_weights(name, list(value.values()))
    elif kind.startswith("dict[str, "):
        missing = [view for view in VIEWS if view not in value]
        if missing:
            raise DataError(f"{name} lacks {', '.join(missing)}: it must have each of {', '.join(VIEWS)}")
        for view, inner in value.items():
            _check(f"{name}[{view!r}]", inner, kind.removeprefix("dict[str, ")[:-1])
    elif kind.startswith("tuple"):
        check_weights(name, value)


def _check_kinds(name: str, value: Any, known: tuple[str, ...]) -> None:
    """DataError where there are weights of something that does not exist."""
    if known and (unknown := [kind for kind in value if kind not in known]):
        raise DataError(f"{name} has {', '.join(map(repr, unknown))}: there are {', '.join(known)}")


@dataclass(frozen=True)
class MotionRanges:
    """Lengths in metres, times in seconds, angles in degrees, probabilities 0 to 1; a kind of weight 0 is off.

    Raises DataError for what nothing can be drawn from.

    Coordinates of places are body coordinates: x to the person's left, y up, z ahead, from between the shoulders.

    >>> MotionRanges(left_handed=0.0).left_handed
    0.0
    """

    # People
    left_handed: float = 0.3
    hand_length: Range = (0.16, 0.21)
    hand_variation: float = 0.12
    shoulder_width: Range = (0.145, 0.205)  # from the middle to one side
    upper_arm: Range = (0.26, 0.33)
    forearm: Range = (0.225, 0.28)
    arm_radius: Range = (0.034, 0.05)
    elbow_side: Box = ((-0.75, 0.0), (-1.0, -0.75), (-0.35, 0.1))
    sleeves: tuple[float, float, float] = (0.15, 0.45, 0.4)  # weights of bare, short and long
    sleeve_slack: Range = (1.08, 1.4)
    gloves: float = 0.05
    torso_width: Range = (0.12, 0.2)  # the radius
    recline: Range = (-6.0, 12.0)
    recline_car: Range = (8.0, 35.0)
    seated: float = 0.6
    wrist_bend: Range = (40.0, 80.0)

    # What a clip is made of
    window: Range = (1.5, 3.0)
    late_or_early: float = 0.25  # clips that miss up to a quarter of the stroke
    place: dict[str, Box] = field(default_factory=_place)  # of the stroke, per view
    anchored: Range = (-0.2, 1.2)  # the stroke is around its place (0), or starts there (1)
    rests: dict[str, dict[str, float]] = field(default_factory=_rests)  # weights, per view
    same_rest: float = 0.7  # of the rests before and after a gesture are one
    raising: Range = (0.25, 0.8)
    pause: Range = (0.0, 0.25)
    hold: Range = (0.0, 0.5)
    lowering: Range = (0.3, 0.9)
    resting: Range = (0.1, 1.2)
    detour: Range = (0.0, 0.1)  # how far the way up and down bends
    calmer: Range = (0.7, 1.6)  # the stroke is at least this much faster than the way to its start, or from its end

    # Strokes
    stroke: Range = (0.28, 0.8)
    to_and_fro: float = 0.2  # of swipes, pushes and pulls come by way of where they end; as many go by where they began
    swipe_length: Range = (0.16, 0.5)
    swipe_slant: float = 20.0
    swipe_arc: Range = (-0.02, 0.08)
    swipe_repeats: tuple[float, float, float] = (0.8, 0.12, 0.08)  # weights of once, twice, three times
    swipe_hands: dict[str, float] = field(
        default_factory=lambda: {"flat": 4, "relaxed": 4, "two": 1.2, "index": 1.2, "spread": 0.7}
    )
    push_length: Range = (0.13, 0.32)
    push_hands: dict[str, float] = field(default_factory=lambda: {"flat": 4, "relaxed": 2, "spread": 2, "two": 0.3})
    pull_hands: dict[str, float] = field(default_factory=lambda: {"flat": 3, "relaxed": 4, "spread": 1, "two": 0.6})
    turn_kinds: dict[str, float] = field(default_factory=lambda: {"roll": 1, "circle": 1})
    turn_hands: dict[str, float] = field(
        default_factory=lambda: {"index": 3, "two": 3, "flat": 1.5, "relaxed": 2, "spread": 1.5, "claw": 2, "grip": 1}
    )
    roll_sweep: Range = (80.0, 190.0)
    circle_radius: Range = (0.035, 0.15)
    circle_turns: Range = (0.9, 2.6)
    circle_seconds: Range = (0.4, 0.9)  # one turn
    shake_cycles: Range = (2.0, 4.0)
    shake_hertz: Range = (1.8, 4.2)
    shake_hands: dict[str, float] = field(default_factory=lambda: {"flat": 3, "spread": 3, "relaxed": 3})
    opening: Range = (0.2, 0.6)
    showing: Range = (0.5, 1.3)  # thumb and stop sign: until the hand goes down

    # Restlessness
    sway: Range = (0.002, 0.01)
    tremor: Range = (0.0, 0.0012)
    body_sway: Range = (0.003, 0.02)
    head_turn: Range = (2.0, 14.0)
    other_kinds: dict[str, float] = field(
        default_factory=lambda: {
            "wander": 4, "face": 3, "drink": 1.5, "low": 2, "point": 1.5, "both": 2, "through": 1.5, "up_down": 3,
            "reach": 1.5, "sign": 6, "palm": 3, "droop": 3, "across": 3,
        }
    )  # fmt: skip
    aborted: float = 0.2  # of the other things: up to where a gesture starts or ends, and down again
    lookalikes: float = 0.0  # of the other things: as a stop sign comes and is held, with other fingers
    nobody: float = 0.04  # of the clips of "No gesture"

    # Cameras
    views: dict[str, float] = field(default_factory=lambda: {"person": 1, "car": 1, "ego": 0.6})
    focal: dict[str, Range] = field(
        default_factory=lambda: {"person": (1.0, 1.9), "car": (0.8, 1.5), "ego": (0.7, 1.4)}
    )
    distance: Range = (0.5, 3.0)  # person view, from the camera to the shoulders
    azimuth: Range = (-32.0, 32.0)
    elevation: Range = (-22.0, 22.0)
    camera_roll: Range = (-7.0, 7.0)
    car_roll: Range = (-14.0, 14.0)
    ego_pitch: Range = (8.0, 45.0)
    camera_sway: Range = (0.0, 1.0)
    ego_sway: Range = (0.5, 4.0)
    hand_size: Range = (1 / 12, 1 / 2)  # of the picture's height

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            _check(f"MotionRanges.{one.name}", value, str(one.type))
            if one.name in _CHANCES and not 0 <= value <= 1:
                raise DataError(f"MotionRanges.{one.name} is {value}: a chance lies between 0 and 1")
            if one.name in _ABOVE_ZERO and not value[0] > 0:
                raise DataError(f"MotionRanges.{one.name} is {value}: it must be above 0")
            _check_kinds(f"MotionRanges.{one.name}", value, KNOWN.get(one.name, ()))
        for view in VIEWS:
            _check_kinds(f"MotionRanges.rests[{view!r}]", self.rests[view], REST_KINDS)
            if not self.focal[view][0] > 0:
                raise DataError(f"MotionRanges.focal[{view!r}] is {self.focal[view]}: it must be above 0")
