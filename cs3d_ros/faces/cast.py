"""Who can be rendered: the photographed people of a folder, and any number of random ones."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.people.people import photographed_person, random_person
from cs3d_ros.faces.people.photographs import load_photographs
from cs3d_ros.faces.rendering.facekit import load_facekit

if TYPE_CHECKING:
    from cs3d_ros.faces.person import Person

_KEPT = 256
"""People kept at a time: one takes some 0.6 MB, and 0.2 s to make."""

_STREAM = 0xFACE
"""Sets the random numbers of people apart from those of clips with the same seed."""


class Cast:
    """People by the names of subjects.

    "photo-001" is the person on the photograph 001; "random-17" is the 17th random person of the
    seed. The same name, seed and inputs always give the same person.
    """

    def __init__(self, facekit: Path, photographs: Path | None, seed: int) -> None:
        """Load the morphable face and the photographs.

        Args:
            facekit: Morphable face; see `load_facekit`.
            photographs: Folder of photographs with landmarks; None where only random people are
                wanted.
            seed: Not negative.

        Raises:
            FaceError: One of them is missing or damaged.
        """
        self.kit = load_facekit(facekit)
        found = load_photographs(photographs) if photographs is not None else []
        self._photographs = {f"photo-{p.name}": p for p in found}
        self._seed = seed
        self._people: OrderedDict[str, Person] = OrderedDict()

    @property
    def photographed(self) -> list[str]:
        """The subjects that have a photograph, in ascending order."""
        return sorted(self._photographs)

    def person(self, subject: str) -> Person:
        """The person of this name.

        Raises:
            FaceError: There is no such photograph, or the face could not be fitted to it.
        """
        if subject in self._people:
            self._people.move_to_end(subject)
            return self._people[subject]
        person = self._make(subject)
        self._people[subject] = person
        if len(self._people) > _KEPT:
            self._people.popitem(last=False)
        return person

    def _make(self, subject: str) -> Person:
        if subject in self._photographs:
            number = self.photographed.index(subject)
            rng = np.random.default_rng([self._seed, _STREAM, 0, number])
            return photographed_person(self.kit, self._photographs[subject], rng)
        match = re.fullmatch(r"random-(\d{1,9})", subject)
        if match is None:
            known = self.photographed
            photographs = (
                f"{known[0]} … {known[-1]}"
                if known
                else "none, as no folder of photographs is given"
            )
            raise FaceError(
                f"no subject {subject!r}; expected random-N with a number N, or one of the "
                f"photographed ({photographs})"
            )
        rng = np.random.default_rng([self._seed, _STREAM, 1, int(match[1])])
        return random_person(self.kit, rng, subject)
