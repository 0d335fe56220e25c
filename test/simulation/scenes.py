"""Moving pictures that are known at any time, to compare what is made from fewer frames."""

import cv2
import numpy as np

SIDE = 112


def texture(seed, blur_px=4.0):
    """Smooth random patches of 20 to 235, shape (400, 800), float32."""
    noise = np.random.default_rng(seed).uniform(0, 1, (400, 800)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), blur_px)
    low, high = blurred.min(), blurred.max()
    return 20 + 215 * (blurred - low) / (high - low)


_FRONT, _BACK = texture(1), texture(2)


def _shifted(pattern, x, y):
    matrix = np.array([[1, 0, x - 300], [0, 1, y - 150]], np.float32)
    return cv2.warpAffine(pattern, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC)


def moving(t_s, px_per_s=60.0):
    """The whole picture moves, as when the camera pans."""
    return _bytes(_shifted(_FRONT, px_per_s * t_s, 0.3 * px_per_s * t_s))


def passing(t_s, px_per_s=60.0):
    """A textured disc passes before a textured background at rest."""
    x, y = px_per_s * t_s, 10 * np.sin(6 * t_s)
    inside = _coverage(30 + x, 56 + y, 18, 18)
    return _bytes((1 - inside) * _shifted(_BACK, 0, 0) + inside * _shifted(_FRONT, x, y))


def mouth(t_s):
    """A dark ellipse opens and closes twice a second."""
    inside = _coverage(56, 70, 22, 6 + 5 * np.sin(4 * np.pi * t_s))
    return _bytes((1 - inside) * _shifted(_BACK, 0, 0) + inside * 35)


SCENES = {"moving": moving, "passing": passing, "mouth": mouth}


def frames(scene, rate, seconds=1.0):
    """(time in s, uint8 frame) of a scene, from 0 to `seconds`."""
    return [(i / rate, scene(i / rate)) for i in range(round(seconds * rate) + 1)]


def event_map(events, seconds=1.0, bin_s=0.02, cell_px=2):
    """Counts of events by polarity, time and place, shape (2, T, H, W)."""
    shape = (2, round(seconds / bin_s), SIDE // cell_px, SIDE // cell_px)
    t = np.minimum((events.t_ns * 1e-9 / bin_s).astype(int), shape[1] - 1)
    counts = np.zeros(shape)
    np.add.at(counts, (events.p, t, events.y // cell_px, events.x // cell_px), 1)
    return counts


def _coverage(x, y, width, height):
    """How much of each pixel lies in an ellipse, 0…1, shape (H, W)."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot((columns - x) / width, (rows - y) / height)
    return np.clip((1 - distance) * min(width, height) + 0.5, 0, 1)


def _bytes(picture):
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
