"""What is to be said about a table, from what was measured. Plain sentences, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch

from cs3d_ros.network import build
from cs3d_ros.network.complexity import complexity
from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.results import Comparison, DataResult, compare
from cs3d_ros.reproduction.study import Study
from cs3d_ros.reproduction.tables import BASE, FORKS, base_value, value_text
from cs3d_ros.training.settings import TrainingSettings


def percent(share: float) -> str:
    """A share in percent without the sign, such as "91.2"."""
    return f"{100 * share:.1f}"


def duration(seconds: float) -> str:
    """Such as "45 s", "12 min" or "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def points(difference: float) -> str:
    """A difference of shares in percentage points, such as "+3.2"."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def orders(study: Study, result: DataResult) -> Iterator[str]:
    """Each order of the paper, and whether it holds on a data set."""
    waiting = 0
    for higher, lower in paper.orders(study.table.name, study.table.orders, result.data_set):
        one, other = result.row(higher), result.row(lower)
        if not (one.is_finished and other.is_finished):
            waiting += 1
            continue
        found = compare(one, other)
        yield (
            f"{higher} above {lower} "
            f"({_in_paper(study.table.name, higher, lower, result.data_set)}): "
            f"**{found.verdict}**; {_difference(found)}."
        )
    if waiting:
        yield f"{_count(waiting, 'order')} cannot be told yet: not all runs are finished."


def choices(study: Study, result: DataResult) -> Iterator[str]:
    """For each choice of `forks`, the best value and how it stands to that of the base."""
    base = result.row(BASE)
    if not base.is_finished:
        yield "Nothing can be told yet: the base is not finished."
        return
    for group in FORKS:
        rows = [row for row in result.rows if row.row.group == group]
        finished = [row for row in rows if row.is_finished]
        ours = value_text(base_value(group, study.settings))
        if len(finished) < len(rows):
            yield f"{group}: {len(finished)} of {len(rows)} alternatives to {ours} are finished."
            continue
        best = max(finished, key=lambda row: row.mean)
        found = compare(best, base)
        value = best.row.name.partition("=")[2]
        if found.difference <= 0:
            yield (
                f"{group}: **{ours}** (the base) is best; the next is {value}, "
                f"{_difference(found)}."
            )
        elif found.spread is None:
            yield f"{group}: **{value}** is best with one seed; {_difference(found)}."
        elif found.difference > found.spread:
            yield (
                f"{group}: **{value}** is better than the base's {ours} by more than the spread; "
                f"{_difference(found)}."
            )
        else:
            yield (
                f"{group}: undecided; {value} is better than the base's {ours} by less than the "
                f"spread; {_difference(found)}."
            )


def notes(study: Study) -> Iterator[str]:
    """How it was done, and where that is not what the paper did."""
    settings, table = study.settings, study.table
    yield from table.notes
    if table.name == "table4":
        yield _other_classifier()
    yield _protocol(study)
    changes = _other_than_paper(settings)
    if changes:
        yield f"Other than in the paper: {'; '.join(changes)}."
    if table.orders:
        yield (
            "The paper does not say for how many epochs it trained, with which augmentation of "
            "events, nor which people are in which part."
        )
    for result in study.data:
        if table.orders and result.data_set not in paper.columns(table.name, result.data_set):
            yield (
                f"The paper has no such table on {result.data_set}: its columns are of other faces "
                "and stand there for the order only."
            )
        if result.rendered:
            yield (
                f"The faces of {result.data_set} are rendered and the event camera is simulated. "
                "No real face was seen."
            )
    yield from _numbers(study)
    yield from _where(study)


@lru_cache
def _other_classifier() -> str:
    with torch.device("meta"):
        network = build("cs3d", classifier="mlp")
    counted = complexity(network)
    return (
        f"With the classifier of C3D, CS3D has {counted.macs / 1e9:.2f} GMACs and "
        f"{counted.parameters / 1e6:.1f} M parameters; its accuracy is a row of `forks`."
    )


def _numbers(study: Study) -> Iterator[str]:
    """What the numbers are."""
    n = len(study.seeds)
    yield (
        "Clip accuracy: one window a clip, in the middle of the face's movement; the share of the "
        f"clips of the {study.table.part} part that is recognised. The epoch that is kept is the "
        "best on the validation part."
    )
    if n > 1:
        yield (
            f"± is the standard deviation over {n} seeds. An order holds if the means differ by "
            "more than the spread, the standard deviation of the difference of two such runs; less "
            "than that is within the spread."
        )
    else:
        yield "With one seed nothing is known about the spread: another seed may turn any order."
    yield (
        "The 95 % intervals are over people: as many are drawn with replacement, each with all of "
        "their clips, and the mean over seeds. They and the spread are about different things."
    )


def _where(study: Study) -> Iterator[str]:
    outcomes = [o for result in study.data for row in result.finished for o in row.outcomes]
    if outcomes:
        machines = sorted({o.trained.machine for o in outcomes})
        yield (
            f"Trained on {' and on '.join(machines)}: {_count(len(outcomes), 'run')} in "
            f"{duration(sum(o.trained.seconds for o in outcomes))} all together."
        )
    for result in study.data:
        yield f"Data set {result.data_set}: SHA-256 of its manifest `{result.checksum}`."
    if study.command:
        yield f"Command: `{study.command}`"


def _protocol(study: Study) -> str:
    settings = study.settings
    clips = f"at most {settings.clips:,} clips" if settings.clips else "all clips"
    sizes = ", ".join(
        f"{size} px" if not first else f"{size} px from epoch {first} on"
        for first, size in settings.sizes
    )
    own = {
        "table2": "the network",
        "table3": "the augmentation",
        "table4": "the network",
        "forks": "the one change",
    }[study.table.name]
    augmentation = "" if study.table.name == "table3" else f", augmentation {settings.augmentation}"
    patience = (
        f", stopped after {settings.patience} epochs without a better one"
        if settings.patience and settings.schedule == "constant"
        else ""
    )
    noise_filter = (
        f", background-activity filter {settings.background_activity_us / 1000:g} ms"
        if settings.background_activity_us
        else ""
    )
    return (
        f"Protocol {study.protocol}, the same for all rows but for {own}: "
        f"{_count(settings.epochs, 'epoch')} over {clips} of the train part{patience}, "
        f"{sizes}, batch {settings.batch}, learning rate {settings.learning_rate:g} "
        f"({settings.schedule}), windows of {settings.window_ms:g} ms{noise_filter}"
        f"{augmentation}."
    )


def _other_than_paper(settings: TrainingSettings) -> list[str]:
    ours = {name: getattr(settings, name) for name in paper.PROTOCOL}
    if len(settings.sizes) > 1:
        ours["size"] = ", then ".join(str(size) for _, size in settings.sizes)
    return [
        f"{name.replace('_', ' ')} {ours[name]} instead of {theirs}"
        for name, theirs in paper.PROTOCOL.items()
        if ours[name] != theirs
    ]


def _in_paper(table: str, higher: str, lower: str, data_set: str) -> str:
    """In which of the paper's columns a row is above another."""
    one, other = paper.accuracies(table, higher), paper.accuracies(table, lower)
    columns = paper.columns(table, data_set)
    above = [name for name in columns if one[name] > other[name]]
    if len(columns) == 1:
        return f"so in the paper, on {paper.DATA_SETS[columns[0]]}"
    return f"so in the paper on {len(above)} of {len(columns)} data sets"


def _difference(found: Comparison) -> str:
    text = f"{points(found.difference)} points"
    if found.spread is not None:
        text += f", spread {percent(found.spread)}"
    if found.interval is not None:
        low, high = found.interval
        text += f", over people {points(low)} to {points(high)}"
    return text


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
