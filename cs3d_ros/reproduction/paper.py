"""What the paper reports, as data.

Source: "CS3D: An Efficient Facial Expression Recognition via Event Vision", arXiv 2512.09592. Its
operations by THOP are in `cs3d_ros.network.complexity.PAPER_GMACS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

SOURCE = "arXiv 2512.09592"

DATA_SETS: Mapping[str, str] = MappingProxyType(
    {"adfes": "ADFES", "casme2": "CASME II", "szu-emodage": "SZU-EmoDage"}
)
"""The paper's name of each of its data sets, by the name in a data set's manifest."""

_ACCURACIES: Mapping[str, Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        # Table II. The text below it has 78.38 for C3D on SZU-EmoDage; Table IV has 79.45 as well.
        "table2": {
            "rnn": {"adfes": 40.54, "casme2": 36.73, "szu-emodage": 33.33},
            "transformer": {"adfes": 51.35, "casme2": 42.86, "szu-emodage": 28.03},
            "lstm": {"adfes": 29.73, "casme2": 40.82, "szu-emodage": 29.55},
            "c3d": {"adfes": 70.27, "casme2": 40.82, "szu-emodage": 79.45},
            "cs3d": {"adfes": 78.38, "casme2": 54.79, "szu-emodage": 90.91},
        },
        # Table III: all of the network Spiking-FER. The table goes on with CS3D, `TABLE3_CS3D`.
        "table3": {
            "none": {"adfes": 47.00},
            "spiking-fer": {"adfes": 60.40},
            "eventdrop": {"adfes": 61.50},
            "eventdrop+mirror": {"adfes": 74.20},
        },
        # Table IV.
        "table4": {
            "c3d": {"szu-emodage": 79.45},
            "c3d+ssn": {"szu-emodage": 83.73},
            "c3d+factorized": {"szu-emodage": 87.88},
            "c3d+attention": {"szu-emodage": 90.17},
            "cs3d": {"szu-emodage": 90.91},
        },
    }
)

TABLE3_CS3D = 78.38
"""Accuracy of CS3D on ADFES in Table III, in %; it does not say with which augmentation."""

TABLE1_ENERGY = 0.2197
"""Energy of CS3D as a share of C3D's (abstract): on a Titan X, over SZU-EmoDage. Table I has both
on a Jetson Nano, a Jetson Xavier NX and a Titan X, in millijoules."""

PROTOCOL: Mapping[str, object] = MappingProxyType(
    {
        "learning_rate": 1e-4,
        "batch": 16,
        "size": 112,
        "schedule": "constant",
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
    }
)
"""What the paper says of training (section IV-C: Adam, its rate, the batch, the input's size), as
`TrainingSettings` has it. It names neither epochs nor augmentation nor the parts of a data set."""


def accuracies(table: str, row: str) -> Mapping[str, float]:
    """Accuracies in % by data set; empty where the paper has none.

    Args:
        table: Name of the table, such as "table2".
        row: Name of its row, such as "cs3d".
    """
    return _ACCURACIES.get(table, {}).get(row, {})


def columns(table: str, data_set: str) -> tuple[str, ...]:
    """The paper's columns to stand beside results on a data set.

    That of the same data set where the paper's table has it, all of them otherwise.

    Args:
        table: Name of the table.
        data_set: Name in the manifest.
    """
    rows = _ACCURACIES.get(table, {})
    present = [name for name in DATA_SETS if any(name in row for row in rows.values())]
    return (data_set,) if data_set in present else tuple(present)


def orders(table: str, pairs: Sequence[tuple[str, str]], data_set: str) -> list[tuple[str, str]]:
    """Pairs of rows, each with the one first that is higher in the paper.

    Beside one column that is what the column says; equal ones are left out. Beside several, the
    pairs stay as they are.

    Args:
        table: Name of the table.
        pairs: Pairs (higher, lower) as they are on most of the paper's data sets.
        data_set: Name in the manifest.
    """
    found = columns(table, data_set)
    if len(found) != 1:
        return list(pairs)
    column = found[0]
    ranked = []
    for one, other in pairs:
        first, second = accuracies(table, one)[column], accuracies(table, other)[column]
        if first != second:
            ranked.append((one, other) if first > second else (other, one))
    return ranked
