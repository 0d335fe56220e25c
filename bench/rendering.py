"""Time the rendering of faces on one core, by stage, and its flicker.

    python3 bench/rendering.py --facekit PATH [--size N] [--seconds S] [--json]

A smiling face in a textured room, 112x112 pixels. Stages are timed one by one in turns with whole
frames, so that a busy machine slows all of them alike; what no stage counts is "other". Medians.

Flicker: a bright head before a dark wall drifts by a tenth of a pixel each frame. The change of
log(gray + 20) over the picture is compared between frames: 0 % would be the same in each.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from collections.abc import Callable

import numpy as np

from cs3d_ros.faces.motion import Motion
from cs3d_ros.faces.person import Person
from cs3d_ros.faces.rendering import renderer as module
from cs3d_ros.faces.rendering.facekit import FaceKit, load_facekit
from cs3d_ros.faces.rendering.look import Look
from cs3d_ros.faces.rendering.renderer import Renderer
from timing import interleaved

STAGES = {
    "blendshapes": ("add_blendshapes",),
    "eyes, pose, projection": ("turn_eye", "place_body", "project", "to_samples"),
    "normals and shade": ("add_normals", "shade_vertices"),
    "background": ("look_through",),
    "triangles": ("begin", "draw"),
    "pixels": ("gather", "blur", "expose"),
}
SMILE = {
    "mouthSmile": 1.0,
    "cheekSquint": 0.9,
    "eyeSquint": 0.5,
    "mouthUpperUp": 0.25,
}
CALLS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facekit", required=True, help="facekit.npz")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    kit = load_facekit(arguments.facekit)
    result = {
        "machine": f"{platform.machine()}, one core, numpy {np.__version__}",
        "size": arguments.size,
        "ms_a_frame": stages(kit, arguments.size, arguments.seconds),
        "flicker_percent": {
            name: flicker(kit, step) for name, step in {"right": (0.1, 0), "down": (0, 0.1)}.items()
        },
    }
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))


def stages(kit: FaceKit, size: int, seconds: float) -> dict[str, float]:
    """Milliseconds a frame takes: as a whole, by stage, and to make ready for a clip."""
    renderer = Renderer(kit, somebody(kit), Look(background="shelf"), size)
    weights = {f"{name}_{side}": w for name, w in SMILE.items() for side in "LR"}
    motion = dataclasses.replace(
        Motion.still(np.zeros(1), len(kit.expression_names)),
        weights=kit.weights({**weights, "jawOpen": 0.12})[None],
        rotation=np.array([[0.1, 0.05, 0.0]], np.float32),
    )
    calls = recorded(lambda: renderer.frame(motion, 0))

    def again(names: tuple[str, ...]) -> Callable[[], None]:
        mine = [call for name, call in calls if name in names]

        def run() -> None:
            for _ in range(CALLS):
                for call in mine:
                    call()

        return run

    def frames() -> None:
        for _ in range(CALLS):
            renderer.frame(motion, 0)

    def ready() -> None:
        Renderer(kit, somebody(kit), Look(background="shelf"), size)

    runs = {"frame": frames, **{stage: again(names) for stage, names in STAGES.items()}}
    times = {name: 1e3 * t / CALLS for name, t in interleaved(runs, seconds).items()}
    times["other"] = times["frame"] - sum(times[stage] for stage in STAGES)
    times["to make ready"] = 1e3 * interleaved({"ready": ready}, 0.2 * seconds)["ready"]
    return times


def recorded(run: Callable[[], object]) -> list[tuple[str, Callable[[], object]]]:
    """The calls of stages that `run` makes, to be made again."""
    calls: list[tuple[str, Callable[[], object]]] = []
    originals = {name: getattr(module, name) for names in STAGES.values() for name in names}

    def recorder(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def record(*given: object) -> object:
            # Each stage begins by overwriting what it works on, but for the one that adds to it.
            adds = name == "add_blendshapes"
            kept = (np.array(given[0]), *given[1:]) if adds else given
            calls.append((name, lambda: original(*kept)))
            return original(*given)

        return record

    for name, original in originals.items():
        setattr(module, name, recorder(name, original))
    try:
        run()
    finally:
        for name, original in originals.items():
            setattr(module, name, original)
    return calls


def flicker(kit: FaceKit, step: tuple[float, float]) -> float:
    """Standard deviation of the change from frame to frame, in percent of its mean."""
    n, still = 60, Motion.still(np.arange(60) / 100, len(kit.expression_names))
    person = dataclasses.replace(somebody(kit), albedo=np.full(len(kit.vertices), 0.8, np.float32))
    look = Look(background_level=0.08, blur=0.35, skin_gloss=0.0)
    renderer = Renderer(kit, person, look)
    moved = dataclasses.replace(still, position=np.ones((n, 3), np.float32) * [[1, 0, 0]])
    a_cm = (renderer.landmarks(moved, 0) - renderer.landmarks(still, 0))[27, 0]
    position = np.zeros((n, 3), np.float32)
    position[:, :2] = np.arange(n)[:, None] * step / a_cm
    drift = dataclasses.replace(still, position=position)
    logs = [np.log(picture + 20) for _, picture in renderer.frames(drift)]
    change = np.abs(np.diff(logs, axis=0)).sum(axis=(1, 2))
    return float(100 * change.std() / change.mean())


def somebody(kit: FaceKit) -> Person:
    """The mean face with plain skin."""
    return Person("mean", np.array(kit.vertices), np.full(len(kit.vertices), 0.4, np.float32))


def as_text(result: dict) -> str:
    lines = [f"{result['size']}x{result['size']} pixels on {result['machine']}\n"]
    lines += [f"{name:<26}{ms:>8.2f} ms" for name, ms in result["ms_a_frame"].items()]
    flickers = ", ".join(f"{name} {p:.1f} %" for name, p in result["flicker_percent"].items())
    return "\n".join([*lines, "", f"flicker at 0.1 pixels a frame: {flickers}"])


if __name__ == "__main__":
    main()
