"""ADFES, the Amsterdam Dynamic Facial Expression Set (van der Schalk et al., Emotion 11, 2011)."""

from __future__ import annotations

import re
from pathlib import Path

from cs3d_ros.datasets.licensed import Collection, LicensedClip, Sources, clip_name, videos_in

LABELS: dict[str, str | None] = {
    "neutral": "neutral",
    "joy": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "scared",
    "disgust": "disgusted",
    "anger": "angry",
    "contempt": None,
    "embarrassment": None,
    "pride": None,
}
"""The set's ten labels, and which of EXPRESSIONS they are."""

# The set's neutral face before each expression.
_ONSET_S = 0.5
_SPELLINGS = {"embarrass": "embarrassment", "embarrassed": "embarrassment", "happiness": "joy"}
_FORWARD = "face forward"
# F01-Anger-Face Forward.mpeg; copies are seen with something behind it, such as a number.
_NAME = re.compile(
    r"(?P<sex>[FM])(?P<number>\d{1,2})\s*[-_]\s*(?P<label>[A-Za-z]+)\s*[-_]\s*"
    r"(?P<view>face[ _]?forward|turn(?:ing|ed)?[ _]?(?:toward|away|to|from)\w*)(?![A-Za-z])",
    re.IGNORECASE,
)


def read_adfes(folder: Path, every_label: bool = False) -> Sources:
    """The clips of ADFES that look into the camera; those that turn to or fro are left out.

    Args:
        folder: Where the set was unpacked; videos may lie in folders of any kind.
        every_label: Take contempt, embarrassment and pride as well.

    Raises:
        DatasetError: No video of the set in it.
    """
    found = Collection("adfes", folder, LABELS, every_label)
    for path in videos_in(folder):
        match = _NAME.match(path.stem)
        if match is None:
            found.skip(path, "not a name such as 'F01-Anger-Face Forward'")
            continue
        label = match["label"].lower()
        label = _SPELLINGS.get(label, label)
        if label not in LABELS:
            found.skip(path, f"{match['label']!r} is no label of the set")
            continue
        if re.sub(r"[ _]", "", match["view"].lower()) != _FORWARD.replace(" ", ""):
            found.leave_out("the head turns to or away from the camera")
            continue
        expression = found.expression(label)
        if expression is None:
            continue
        subject = f"{match['sex'].upper()}{int(match['number']):02d}"
        found.add(
            LicensedClip(
                name=clip_name("adfes", subject, label),
                path=path,
                frame_rate=None,
                subject=f"adfes-{subject}",
                expression=expression,
                original_label=label,
                onset_s=None if label == "neutral" else _ONSET_S,
                provenance={"set": "ADFES", "file": path.name, "view": _FORWARD},
            )
        )
    return found.sources("videos with names such as 'F01-Anger-Face Forward.mpeg'")
