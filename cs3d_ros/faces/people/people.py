"""People to render: photographed ones and random ones.

Making one takes 0.15 to 0.3 s on one core.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cs3d_ros.faces.people.eyes import closable, draw_eyes, lips_closed, paint_inner_parts
from cs3d_ros.faces.people.fitting import fit_face
from cs3d_ros.faces.people.glasses import draw_glasses
from cs3d_ros.faces.people.hair import photographed_hair
from cs3d_ros.faces.people.hair_styles import dress_hair
from cs3d_ros.faces.people.painting import draw_cloth, draw_tones, dress, paint_skin
from cs3d_ros.faces.people.photographs import Photograph
from cs3d_ros.faces.people.shoulders import shoulders
from cs3d_ros.faces.people.skin import PhotographedSkin
from cs3d_ros.faces.person import Mesh, Person
from cs3d_ros.faces.rendering.facekit import FaceKit

_GLASSES_SHARE = 0.15


def photographed_person(kit: FaceKit, photograph: Photograph, rng: np.random.Generator) -> Person:
    """The person on a photograph; the subject is "photo-" and the photograph's name.

    Args:
        kit: The morphable face.
        photograph: Seen from the front before a plain bright background.
        rng: For what the photograph does not say: teeth, clothes, and glasses for some.

    Raises:
        FaceError: No face fits the landmarks.
    """
    fit = fit_face(kit, photograph.landmarks)
    skin = PhotographedSkin(kit, photograph, fit)
    albedo, cloth = skin.albedo, draw_cloth(rng)
    iris, sclera = skin.eyes(photograph.landmarks)
    eyes = draw_eyes(rng, float(np.median(albedo[kit.face])))
    paint_inner_parts(albedo, kit, replace(eyes, iris=iris, sclera=sclera), rng)
    dress(albedo, kit, cloth, rng)
    vertices = closable(kit, lips_closed(kit, fit.neutral))
    worn = [*photographed_hair(skin, fit), *_outfit(kit, vertices, cloth, rng)]
    return _person(f"photo-{photograph.name}", vertices, albedo, worn)


def random_person(kit: FaceKit, rng: np.random.Generator, subject: str) -> Person:
    """Somebody who does not exist: an identity of the morphable face with a painted skin.

    Args:
        kit: The morphable face.
        rng: Where all chance comes from; the same state gives the same person.
        subject: Who it is.
    """
    tones = draw_tones(rng)
    vertices = kit.identity(_draw_identity(rng, len(kit.identity_scale)))
    vertices = closable(kit, lips_closed(kit, vertices))
    albedo = paint_skin(kit, tones, rng)
    hair = dress_hair(kit, vertices, albedo, tones, rng)
    paint_inner_parts(albedo, kit, draw_eyes(rng, tones.skin), rng)
    worn = [*hair, *_outfit(kit, vertices, tones.cloth, rng)]
    return _person(subject, vertices, albedo, worn)


def _draw_identity(rng: np.random.Generator, components: int) -> np.ndarray:
    """Coefficients of the components, near N(0, 1); none so rare that a face is monstrous."""
    return 0.85 * np.clip(rng.standard_normal(components), -2.2, 2.2)


def _outfit(
    kit: FaceKit, vertices: np.ndarray, cloth: float, rng: np.random.Generator
) -> list[Mesh]:
    """What anybody may wear."""
    worn = [shoulders(vertices, cloth, rng)]
    if rng.random() < _GLASSES_SHARE:
        worn.append(draw_glasses(kit, vertices, rng))
    return worn


def _person(subject: str, vertices: np.ndarray, albedo: np.ndarray, worn: list[Mesh]) -> Person:
    return Person(
        subject=subject,
        vertices=vertices.astype(np.float32),
        albedo=np.clip(albedo, 0, 1).astype(np.float32),
        worn=tuple(worn),
    )
