"""Mouths that speak: phrases of syllables, as blendshapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.curves import through_keys

SYLLABLES_PER_S = (3.0, 7.0)
"""Ding et al. 2017, "Temporal modulations in speech and music": 2 to 10, most at 5."""

# The groups of sounds that look alike on lips (Fisher 1968, "Confusions among visually perceived
# consonants"); which blendshapes make them is our choice. mouthClose shuts lips over an open jaw,
# so that it is never above jawOpen.
VOWELS: tuple[Mapping[str, float], ...] = (
    {"jawOpen": 0.38, "mouthLowerDown": 0.25},  # father
    {"jawOpen": 0.24, "mouthStretch": 0.2, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1},  # bed
    {"jawOpen": 0.12, "mouthStretch": 0.35, "mouthDimple": 0.15, "mouthLowerDown": 0.2},  # see
    {"jawOpen": 0.26, "mouthFunnel": 0.45},  # law
    {"jawOpen": 0.12, "mouthPucker": 0.6, "mouthFunnel": 0.15},  # food
    {"jawOpen": 0.16, "mouthLowerDown": 0.1},  # the
)
CONSONANTS: tuple[Mapping[str, float], ...] = (
    {"jawOpen": 0.08, "mouthClose": 0.08, "mouthPress": 0.35, "mouthRollUpper": 0.1},  # p b m
    {"jawOpen": 0.07, "mouthRollLower": 0.4, "mouthUpperUp": 0.15},  # f v
    {"jawOpen": 0.1, "mouthLowerDown": 0.2},  # t d n l
    {"jawOpen": 0.05, "mouthStretch": 0.2, "mouthLowerDown": 0.25},  # s z
    {"jawOpen": 0.08, "mouthFunnel": 0.45, "mouthUpperUp": 0.1},  # sh ch
    {"jawOpen": 0.06, "mouthPucker": 0.55},  # w r
    {"jawOpen": 0.18},  # k g h
)


def draw_speech(
    time_s: np.ndarray,
    rng: np.random.Generator,
    blendshapes: Blendshapes,
    duration_s: float,
    *,
    effort: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A mouth that speaks in phrases of 0.5 to 3.5 s with pauses of 0.2 to 1.5 s.

    Every syllable is a consonant and a vowel, 3 to 7 of them in a second, each as strong as 0.6 to
    1.15 of the phrase's; the mouth goes from one to the next by minimum jerk and rests in pauses.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        rng: Source of randomness.
        blendshapes: Those of the face.
        duration_s: Phrases are drawn from before 0 s, so that a clip may begin within one, up to
            here.
        effort: How much the mouth moves, 1 for clear speech.

    Returns:
        Weights of shape (n, number of blendshapes), float64, 0…1, and the times of the vowels of
        stressed syllables, about every third, shape (m,), in seconds.
    """
    rest = np.zeros(len(blendshapes))
    poses = np.stack([rest, *(blendshapes.row(p) for p in (*CONSONANTS, *VOWELS))])
    keys: list[tuple[float, float, int, float]] = [(-1e3, 0.1, 0, 0.0)]
    stressed: list[float] = []
    now_s = -rng.uniform(0.0, 3.0)
    while now_s < duration_s:
        rate = rng.uniform(*SYLLABLES_PER_S)
        loud = effort * rng.uniform(0.6, 1.1)
        count = max(1, round(rate * rng.uniform(0.5, 3.5)))
        length_s = rng.uniform(0.75, 1.25, count) / rate
        strength = loud * rng.uniform(0.6, 1.15, count)
        consonants = 1 + rng.integers(len(CONSONANTS), size=count)
        vowels = 1 + len(CONSONANTS) + rng.integers(len(VOWELS), size=count)
        for length, strong, consonant, vowel in zip(
            length_s, strength, consonants, vowels, strict=True
        ):
            keys.append((now_s, 0.4 * length, int(consonant), min(1.0, strong + 0.2)))
            keys.append((now_s + 0.4 * length, 0.6 * length, int(vowel), strong))
            now_s += length
            if strong > loud * 0.95:
                stressed.append(now_s - 0.3 * length)
        keys.append((now_s, rng.uniform(0.12, 0.3), 0, 0.0))
        now_s += rng.uniform(0.2, 1.5)
    start_s, move_s, pose, strength = (np.array(column) for column in zip(*keys, strict=True))
    values = np.clip(poses[pose.astype(int)] * strength[:, None], 0.0, 1.0)
    return through_keys(time_s, start_s, move_s, values), np.array(stressed)
