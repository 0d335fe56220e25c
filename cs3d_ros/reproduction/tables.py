"""The tables: their rows, and what of the paper's order is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cs3d_ros.network import default_options
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.training.settings import TrainingSettings

BASE = "base"
"""Name of the row of `forks` that all others differ from in one thing."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: What `--only` calls it; also the name of its folders.
        title: For people.
        changes: Fields of `TrainingSettings` that are its own.
        options: Options of its network, on top of those of the protocol where it is for that one.
        group: What it is an alternative of, such as "threshold"; empty in the paper's tables.
    """

    name: str
    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""

    def settings(self, protocol: TrainingSettings, seed: int) -> TrainingSettings:
        """What it is trained with."""
        network = self.changes.get("network", protocol.network)
        # Other networks have other options.
        given = protocol.options if network == protocol.network else {}
        options = {**given, **self.options}
        return replace(protocol, **self.changes, options=options, seed=seed)


@dataclass(frozen=True)
class Table:
    """A table to reproduce.

    Attributes:
        name: Such as "table2".
        title: For people.
        column: What its rows are.
        part: The part of the data sets that its networks are judged on.
        rows: In the order shown.
        orders: Pairs (higher, lower) of rows whose order in the paper is tested.
        notes: What is to be known of it whatever comes out.
    """

    name: str
    title: str
    column: str
    part: str
    rows: tuple[Row, ...]
    orders: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def select(self, only: Sequence[str]) -> tuple[Row, ...]:
        """The rows of some names or groups, in the order of the table; all for no name.

        Raises:
            ReproductionError: There is no row or group of a name.
        """
        groups = list(dict.fromkeys(row.group for row in self.rows if row.group))
        names = [row.name for row in self.rows]
        unknown = [name for name in only if name not in names and name not in groups]
        if unknown:
            also = f", or of the groups {', '.join(groups)}" if groups else ""
            raise ReproductionError(
                f"{self.name} has no row {', '.join(map(repr, unknown))}; choose of "
                f"{', '.join(names)}{also}"
            )
        return tuple(row for row in self.rows if not only or row.name in only or row.group in only)


TABLES = ("table2", "table3", "table4", "forks")
"""Names of the tables."""


def table_of(name: str, protocol: TrainingSettings) -> Table:
    """The table of a name.

    Args:
        name: One of `TABLES`.
        protocol: What the rows of `forks` differ from.

    Raises:
        ReproductionError: There is none.
    """
    if name == "forks":
        return _forks(protocol)
    for table in (_TABLE2, _TABLE3, _TABLE4):
        if table.name == name:
            return table
    raise ReproductionError(f"unknown table {name!r}; choose one of {', '.join(TABLES)}")


def _network(name: str, title: str) -> Row:
    return Row(name, title, {"network": name})


_TABLE2 = Table(
    "table2",
    "Table II: networks",
    "network",
    "test",
    (
        _network("rnn", "RNN"),
        _network("transformer", "Transformer"),
        _network("lstm", "LSTM"),
        _network("c3d", "C3D"),
        _network("cs3d", "CS3D"),
    ),
    orders=(
        ("cs3d", "c3d"),
        ("cs3d", "rnn"),
        ("cs3d", "transformer"),
        ("cs3d", "lstm"),
        ("c3d", "rnn"),
        ("c3d", "transformer"),
        ("c3d", "lstm"),
    ),
)


def _augmentation(name: str, title: str) -> Row:
    return Row(name, title, {"network": "cs3d", "augmentation": name})


_TABLE3 = Table(
    "table3",
    "Table III: augmentations of events",
    "augmentation",
    "test",
    (
        _augmentation("none", "none"),
        _augmentation("mild", "mild (ours)"),
        _augmentation("spiking-fer", "common event augmentations"),
        _augmentation("eventdrop", "+ EventDrop"),
        _augmentation("eventdrop+mirror", "+ EventDrop + mirror"),
    ),
    orders=(
        ("spiking-fer", "none"),
        ("eventdrop", "spiking-fer"),
        ("eventdrop+mirror", "eventdrop"),
        ("eventdrop+mirror", "none"),
    ),
    notes=(
        "All rows are of one network, CS3D. In the paper they are of a published one, "
        "Spiking-FER, that the last row sets CS3D against. So what is tested here is the order of "
        "the augmentations, not that of the two networks.",
        '"mild" is not in the paper: flip, shift, noise and small gaps, as a camera on a robot '
        "makes them.",
    ),
)

_TABLE4 = Table(
    "table4",
    "Table IV: the parts of CS3D one at a time",
    "network",
    "test",
    (
        _network("c3d", "C3D"),
        _network("c3d+ssn", "C3D + soft spiking neurons"),
        _network("c3d+factorized", "C3D + factorized blocks"),
        _network("c3d+attention", "C3D + attention"),
        _network("cs3d", "CS3D"),
    ),
    orders=(
        ("c3d+ssn", "c3d"),
        ("c3d+factorized", "c3d+ssn"),
        ("c3d+attention", "c3d+factorized"),
        ("cs3d", "c3d+attention"),
        ("cs3d", "c3d"),
    ),
    notes=(
        "Operations are those of one window of 3×16×112×112, counted by THOP as in the paper, "
        "whatever size the networks were trained at.",
        "The blocks of c3d+factorized hold soft spiking neurons; each of the other rows adds one "
        "thing to C3D.",
        "How the paper comes to 4.68 G for CS3D is unexplained: nothing was added to reach it.",
    ),
)

FORKS: Mapping[str, tuple[object, ...]] = {
    "surrogate": ("sigmoid", "sigmoid_derivative"),
    "threshold": (0.0, 0.1, 0.3, 1.0),
    "steepness": (1.0, 4.0, 10.0),
    "representation": (
        "on_off_recency",
        "polarity_counts",
        "voxel_grid",
        "time_surface",
        "binary",
    ),
    "temporal_attention": ("per_channel", "per_frame"),
    "attention_place": ("pool", "last", "none"),
    "pool": ("multi", "max", "average"),
    "classifier": ("linear", "map", "mlp"),
    "window_ms": (250.0, 500.0, 1000.0, 2000.0),
}
"""What the paper leaves open, and the values that are tried: options of the network `cs3d`, or
fields of `TrainingSettings`."""

_OF_TRAINING = ("representation", "window_ms")


def _forks(protocol: TrainingSettings) -> Table:
    base = replace(protocol, network="cs3d")
    rows = [Row(BASE, "base", {"network": "cs3d"})]
    for group, values in FORKS.items():
        for value in values:
            if value == base_value(group, base):
                continue
            of_training = group in _OF_TRAINING
            rows.append(
                Row(
                    f"{group}={value_text(value)}",
                    f"{group} {value_text(value)}",
                    {"network": "cs3d", **({group: value} if of_training else {})},
                    {} if of_training else {group: value},
                    group,
                )
            )
    described = ", ".join(f"{group} {value_text(base_value(group, base))}" for group in FORKS)
    return Table(
        "forks",
        "The choices that the paper leaves open",
        "one change",
        "validation",
        tuple(rows),
        notes=(
            f"The base is cs3d with {described}. Each other row differs from it in one thing.",
            "They are judged on the validation part, so that the test part stays unseen by every "
            "choice. The epoch that is kept was chosen on the same clips: compare the rows with "
            "each other, not with those of the tables.",
            "The best of several values is by chance a little better than it will be again.",
        ),
    )


def base_value(group: str, base: TrainingSettings) -> object:
    """The value that the base of `forks` has for a choice."""
    if group in _OF_TRAINING:
        return getattr(base, group)
    return {**default_options("cs3d"), **base.options}[group]


def value_text(value: object) -> str:
    """A value of a choice as rows are named after it, such as "0.3"."""
    return f"{value:g}" if isinstance(value, float) else str(value)
