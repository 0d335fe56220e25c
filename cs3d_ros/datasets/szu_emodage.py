"""SZU-EmoDage: synthesised Chinese faces in motion (Han et al., Scientific Data 10, 2023)."""

from __future__ import annotations

import re
from pathlib import Path

from cs3d_ros.datasets.licensed import Collection, LicensedClip, Sources, clip_name, videos_in

LABELS: dict[str, str | None] = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "scared",
    "disgust": "disgusted",
    "anger": "angry",
}
"""The set's labels, and which of EXPRESSIONS they are."""

# How they are written in names; the set has misprints.
_SPELLINGS = {
    "neutral": "neutral",
    "happiness": "happiness",
    "hapiness": "happiness",
    "happy": "happiness",
    "sadness": "sadness",
    "sad": "sadness",
    "surprise": "surprise",
    "surprised": "surprise",
    "suprise": "surprise",
    "surpris": "surprise",
    "fear": "fear",
    "fearful": "fear",
    "disgust": "disgust",
    "disgusted": "disgust",
    "disgest": "disgust",
    "anger": "anger",
    "angry": "anger",
}
_WORD = re.compile(
    r"(?<![a-z])(" + "|".join(sorted(_SPELLINGS, key=len, reverse=True)) + r")(?![a-z])",
    re.IGNORECASE,
)
# Folders that say nothing about who is seen.
_CONTAINERS = {"dynamicfaces", "dynamicface", "szuemodage", "video", "videos"}
_EXPECTED = (
    "the videos of Dynamic_faces.zip, with an emotion and a person in their path, such as "
    "Dynamic_faces/001/anger.mp4 or Dynamic_faces/001_anger.mp4"
)


def read_szu_emodage(folder: Path, every_label: bool = False) -> Sources:
    """The dynamic clips of SZU-EmoDage; its single pictures are no clips.

    The emotion is the last one named in a video's path. The person is the folder with a number that
    it lies in, or what its name begins with, up to the number.

    Args:
        folder: Where the set was unpacked.
        every_label: Without effect: all its labels are among EXPRESSIONS.

    Raises:
        DatasetError: No video of the set in it.
    """
    found = Collection("szu-emodage", folder, LABELS, every_label)
    for path in videos_in(folder):
        parts = [*path.relative_to(folder).parts[:-1], path.stem]
        named = [i for i, part in enumerate(parts) if _WORD.search(part)]
        if not named:
            found.skip(path, "no emotion in its path")
            continue
        words = {_SPELLINGS[word.lower()] for word in _WORD.findall(parts[named[-1]])}
        if len(words) > 1:
            found.skip(path, f"several emotions in its name: {', '.join(sorted(words))}")
            continue
        label = words.pop()
        subject, rest = _subject(parts)
        if not subject:
            found.skip(path, "nothing in its path tells who is seen")
            continue
        expression = found.expression(label)
        assert expression is not None
        found.add(
            LicensedClip(
                name=clip_name("szu", *subject, *rest, label),
                path=path,
                frame_rate=None,
                subject=clip_name("szu", *subject),
                expression=expression,
                original_label=label,
                provenance={
                    "set": "SZU-EmoDage",
                    "file": str(path.relative_to(folder)),
                },
            )
        )
    return found.sources(_EXPECTED)


def _subject(parts: list[str]) -> tuple[list[str], list[str]]:
    """Who is seen, and what else a path says beside the emotion.

    People have numbers: of a file's name, all up to the first number belongs to the person, unless
    the folders have one already. So what is seen twice of somebody is never taken for two people.
    """
    *folders, name = [_words(part) for part in parts]
    known = [w for words in folders if "".join(words).lower() not in _CONTAINERS for w in words]
    if any(map(_has_digit, known)):
        return known, name
    numbered = [i for i, word in enumerate(name) if _has_digit(word)]
    end = numbered[0] + 1 if numbered else len(name)
    return known + name[:end], name[end:]


def _words(part: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9]+", _WORD.sub(" ", part))


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)
