"""The gestures that are rendered: their names, what each looks like, and what each becomes in a mirror.

Left, right and clockwise are as the gesturing person sees them: a camera that faces the person sees a Swiping Left
move to the picture's right, a camera on the person's forehead sees it move to the left.
"""

from __future__ import annotations

from ..errors import DataError

CONVENTIONS = {
    "Swiping Left": "the hand moves across, to the person's left",
    "Swiping Right": "the hand moves across, to the person's right",
    "Swiping Up": "the hand moves up",
    "Swiping Down": "the hand moves down",
    "Pushing Hand Away": "the hand moves away from the person, the palm mostly ahead",
    "Pulling Hand In": "the hand moves towards the person, the palm mostly facing the person",
    "Turning Hand Clockwise": "the hand turns about the forearm or draws circles, clockwise as the person sees it",
    "Turning Hand Counterclockwise": "the same, counterclockwise as the person sees it",
    "Shaking Hand": "the raised hand waves quickly left and right, two to four times",
    "Opening Hand": "the raised hand opens from a fist to spread fingers",
    "Closing Hand": "the raised hand closes from spread fingers to a fist",
    "Thumb Up": "a fist with the thumb pointing up is shown",
    "Thumb Down": "a fist with the thumb pointing down is shown",
    "Stop Sign": "an upright flat palm is shown to what is ahead and held",
    "No gesture": "the hand rests or is not in view, the person just sits or stands",
    "Doing other things": "any other motion, of one hand or both, that is none of the above",
}
"""Each class, in the order of the labels, with what the person does."""

CLASSES = tuple(CONVENTIONS)
GESTURES = CLASSES[:14]
"""The classes that have a stroke."""


def class_index(name: str) -> int:
    """The label of a class.

    >>> class_index("Swiping Right")
    1
    """
    if name not in CONVENTIONS:
        raise DataError(f"no class {name!r} is rendered; there are {', '.join(CLASSES)}")
    return CLASSES.index(name)


def mirrored_class(name: str) -> str:
    """What a class becomes when the picture is mirrored.

    >>> mirrored_class("Swiping Left"), mirrored_class("Turning Hand Clockwise"), mirrored_class("Stop Sign")
    ('Swiping Right', 'Turning Hand Counterclockwise', 'Stop Sign')
    """
    class_index(name)
    for one, other in (("Left", "Right"), ("Counterclockwise", "Clockwise")):
        if one in name:
            return name.replace(one, other)
        if other in name:
            return name.replace(other, one)
    return name


MIRROR = tuple(CLASSES.index(mirrored_class(name)) for name in CLASSES)
"""MIRROR[label] is the label of the mirrored clip, where labels are indices into CLASSES."""
