"""Who is in a photograph and what is the plain background of the studio."""

from __future__ import annotations

import cv2
import numpy as np

MARGIN_PX = 110
"""How much of what the borders cut off is made up above and on both sides of a photograph."""

_THIN = 0.4
"""Hair that differs from the background by less than this share of the typical is too thin."""

_NEAR_PX = 5
_LEVELS = 13.0
"""Gray values by which somebody is darker than the background, at least."""


def cut_out(
    gray: np.ndarray, landmarks: np.ndarray, head: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel belongs to the person, and the photograph without its background.

    Both have the shape of `gray` and are float32; the first 0…1. In the second the person's gray
    values go on where the background was, also where it was seen between hair.

    A smooth surface through the bright pixels of the border is the background; what is darker and
    hangs together with the face is the person. White shirts are taken for background.

    Args:
        gray: The photograph before a plain bright background, shape (side, side), uint8.
        landmarks: The 68 iBUG landmarks, shape (68, 2).
        head: Where head and neck are about, hair left out, shape of `gray`, bool.
    """
    darker = cv2.GaussianBlur(_background(gray) - gray, (0, 0), 1.0)
    inside = _surely_inside(gray.shape, landmarks)
    around = cv2.dilate(head.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    least = np.full(gray.shape, _LEVELS)
    hair = darker[around & (darker > _LEVELS)]
    if hair.size:
        # Where hair gets thin the background shows through: bright edges before another one.
        least[around] = max(_LEVELS, _THIN * float(np.median(hair)))
    person = (darker > least).astype(np.uint8) | inside
    person = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) | inside
    x, y = landmarks[30].astype(int)
    person = _without_holes(_around(person, x, y))
    # The unsharp edge has something of the background in it: leave it out.
    person = _around(cv2.erode(person, np.ones((3, 3), np.uint8)) | inside, x, y)
    own = cv2.erode(person, np.ones((5, 5), np.uint8)) & (inside | (darker > 1.5 * least))
    return cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.0), _continued(gray, own)


def _continued(gray: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Gray values that go on smoothly where they are not the person's own."""
    picture = gray.astype(np.float32)
    missing = own == 0
    weight = own.astype(np.float32)
    for sigma in (2, 4, 8, 16, 32, 64):
        near = blurred(weight, sigma)
        mean = blurred(picture * weight, sigma)
        reached = missing & (near > 0.05)
        picture[reached] = mean[reached] / near[reached]
        missing &= ~reached
    picture[missing] = picture[own > 0].mean() if own.any() else picture.mean()
    return picture


def _around(person: np.ndarray, x: int, y: int) -> np.ndarray:
    """What hangs together with the pixel x, y."""
    labels = cv2.connectedComponents(person)[1]
    return (labels == labels[y, x]).astype(np.uint8)


def _without_holes(person: np.ndarray) -> np.ndarray:
    """Fill small holes; large ones are background seen between hair."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - person)
    small = stats[:, cv2.CC_STAT_AREA] < 0.0008 * person.size
    small[0] = False
    return person | small[labels].astype(np.uint8)


def _surely_inside(shape: tuple[int, ...], landmarks: np.ndarray) -> np.ndarray:
    """Face and forehead: light skin may be as bright as the background."""
    brows, below = landmarks[17:27], landmarks[33]
    middle = brows.mean(axis=0)
    forehead = middle + (brows - middle) * 0.75 + (middle - below) * 0.75
    hull = cv2.convexHull(np.concatenate([landmarks, forehead]).astype(np.float32))
    inside = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(inside, hull.astype(np.int32), 1)
    return cv2.erode(inside, np.ones((9, 9), np.uint8))


def _background(gray: np.ndarray) -> np.ndarray:
    """The gray values that the background has, or would have behind the person."""
    side = len(gray)
    y, x = np.mgrid[0:side, 0:side] / (side - 1.0) - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
    border = np.zeros(gray.shape, bool)
    border[: side // 2, : side // 9] = border[: side // 2, -side // 9 :] = True
    border[: side * 5 // 6, :12] = border[: side * 5 // 6, -12:] = True
    values, columns = gray[border].astype(np.float64), terms[border]
    counts = np.bincount(gray[border], minlength=256).astype(np.float64)
    counts[:140] = 0
    level = float(np.convolve(counts, np.ones(15), "same").argmax())
    surface = np.array([level, 0, 0, 0, 0, 0])
    for allowed in (25, 15, 12, 12):
        good = np.abs(values - columns @ surface) < allowed
        a, b = columns[good], values[good] - level
        # Where hair covers much of the border, little tells the surface's slopes: keep them small.
        ridge = np.diag([1e-3, 50, 50, 50, 50, 50])
        surface = np.linalg.solve(a.T @ a + ridge, a.T @ b)
        surface[0] += level
    return (terms @ surface).astype(np.float32)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A picture, float32, blurred by a Gaussian, where it is wide at a lower resolution."""
    if sigma < 6:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    factor = 2 ** int(np.log2(sigma / 1.5))
    rows, columns = picture.shape
    size = (max(columns // factor, 1), max(rows // factor, 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)


def go_on_beyond_borders(mask: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask and light with rounded ends where the picture's borders cut the person off.

    Above and on both sides MARGIN_PX are added, nothing below. They repeat what is near the border.

    Args:
        mask: How far each pixel belongs to the person, shape (side, side), float32.
        light: Shape (side, side), float32.
    """
    m, side = MARGIN_PX, len(mask)
    around = ((m, 0), (m, m))
    person = np.pad(mask, around)
    person[m:, :m] = _rounded(mask[:, 0], 0.3)[::-1].T
    person[m:, m + side :] = _rounded(mask[:, -1], 0.3).T
    person[:m] = _rounded(person[m], 0.28)[::-1]
    wide = np.pad(light, around)
    wide[m:, :m] = _streaks(light[:, :_NEAR_PX], mask[:, :_NEAR_PX]).T[:, ::-1]
    wide[m:, m + side :] = _streaks(light[:, -_NEAR_PX:], mask[:, -_NEAR_PX:]).T
    rows = slice(m, m + _NEAR_PX)
    wide[:m] = _streaks(wide[rows].T, person[rows].T)[::-1]
    return cv2.GaussianBlur(person, (0, 0), 1.0), wide


def _streaks(light: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What may lie beyond a border: streaks as of hair, (MARGIN_PX, n).

    They fade from what is at the border, which may be forehead, to the darker of its tones.

    Args:
        light: Along the border, shape (n, _NEAR_PX).
        mask: How far it belongs to the person, of the same shape.
    """
    border = light.mean(axis=1)
    own = border[mask.mean(axis=1) > 0.5]
    tone = np.percentile(own, 12) if own.size else np.float32(0.1)
    streaks = border / (cv2.GaussianBlur(border[None], (0, 0), 8)[0] + 1e-3)
    share = np.minimum(np.arange(MARGIN_PX, dtype=np.float32)[:, None] / 28, 1)
    return (1 - share) * border + share * np.float32(tone) * streaks


def _rounded(border: np.ndarray, height: float) -> np.ndarray:
    """Half ellipses on the runs of a border that belong to the person, (MARGIN_PX, len(border)).

    Args:
        border: The mask along it.
        height: Of an ellipse by the length of its run.
    """
    belongs = (border > 0.5).astype(np.uint8)[None]
    belongs = cv2.morphologyEx(belongs, cv2.MORPH_CLOSE, np.ones((1, 41), np.uint8))[0]
    steps = np.diff(np.concatenate([[0], belongs.astype(np.int8), [0]]))
    x, away = np.arange(len(border)), np.arange(1, MARGIN_PX + 1)[:, None]
    grown = np.zeros((MARGIN_PX, len(border)), np.float32)
    for start, end in zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True):
        half = (end - start) / 2
        rest = 1 - ((x - (start + end - 1) / 2) / half) ** 2
        reach = min(height * 2 * half, MARGIN_PX - 4) * np.sqrt(np.clip(rest, 0, 1))
        grown[(away <= reach) & (rest > 0)] = 1
    return grown
