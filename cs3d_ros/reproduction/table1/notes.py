"""What is to be said about Table I, from what was measured. Plain sentences, one a line."""

from __future__ import annotations

from collections.abc import Iterator

from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.table1.networks import SEED
from cs3d_ros.reproduction.table1.numbers import percent, title, watts
from cs3d_ros.reproduction.table1.results import Power, Ratio, Results, spread

_PAPER_NETWORKS = ("cs3d", "c3d")
_FEW_SAMPLES = 20


def verdicts(results: Results) -> Iterator[str]:
    """Each ratio of energies beside that of the paper, or why there is none."""
    for ratio in results.ratios:
        row, reference = ratio.row, ratio.reference
        where = f"{row.precision}, batch {row.batch}"
        names = f"{title(row.network)} by {title(reference.network)}"
        if row.energies_j is None:
            continue
        if ratio.energies is None:
            yield (
                f"{where}, {names}: no ratio of energies, since that above idle is not clearly "
                "more than nothing. Measure for longer with --seconds, or choose "
                "another source with --source."
            )
        elif (row.network, reference.network) == _PAPER_NETWORKS:
            yield f"{where}: {_beside_paper(ratio, ratio.energies)}"


def _beside_paper(ratio: Ratio, energies: tuple[float, ...]) -> str:
    mean, deviation = spread(energies)
    difference = mean - paper.TABLE1_ENERGY
    side = "above" if difference > 0 else "below"
    within = (
        ", by less than the standard deviation"
        if deviation is not None and abs(difference) <= deviation
        else ""
    )
    return (
        f"CS3D takes {percent(mean)} % of C3D's energy, **{side}** the paper's "
        f"{percent(paper.TABLE1_ENERGY)} %{within}; it takes {percent(spread(ratio.times).mean)} % "
        "of its time."
    )


def notes(results: Results) -> Iterator[str]:
    """How it was measured, and what the numbers do not say."""
    s = results.settings
    if not results.is_finished:
        yield "**Not finished**: this is what had been measured so far."
    yield (
        "Operations are multiply-accumulates of one input of 3×16×112×112 as THOP counts them, "
        "which the paper calls FLOPs. How it comes to 4.68 G for CS3D is unexplained."
    )
    yield (
        f"An inference is one input of 3×16×{s.size}×{s.size} through a network that gives seven "
        "classes. With a batch of N, time and energy are those of the batch by N. Each batch is "
        "waited for before the next begins. Inputs lie on the device; making them and taking them "
        "there is not part of it."
    )
    yield (
        f"{_turns(results)} In each repeat the networks take turns, in the other order the next "
        f"time. A turn takes {s.seconds:g} s, after {_lead_in(results):g} s of the same that are "
        "not measured. A ratio is taken of each repeat; then follow its mean and deviation."
    )
    if results.power is not None:
        yield from _power(results, results.power)
    yield _execution(results)
    yield (
        f"Weights are random (seed {SEED}), and so are the inputs, of which 3 % of the cells are "
        "filled, about as many as a moving face fills. The operations do not depend on either; the "
        "power of a processor may, a little."
    )
    if set(_PAPER_NETWORKS) <= set(s.networks):
        yield (
            f"The paper's {percent(paper.TABLE1_ENERGY)} % ({paper.SOURCE}, abstract) was measured "
            "on a Titan X through nvidia-smi; on another device the ratio may be another. The "
            "paper says neither with which precision, batch and software, nor whether idle power "
            "was subtracted."
        )
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    yield f"Versions: {versions}."
    if results.command:
        yield f"Command: `{results.command}`"


def _turns(results: Results) -> str:
    n = results.settings.repeats
    if n == 1:
        return "Of one repeat, so that nothing is known about the spread."
    return f"± is the standard deviation over {n} repeats (divided by n − 1)."


def _lead_in(results: Results) -> float:
    averaging_s = 0.0 if results.power is None else results.power.averaging_s
    return max(results.settings.lead_in_s, 2 * averaging_s)


def _power(results: Results, power: Power) -> Iterator[str]:
    turns = [turn for row in results.rows for turn in row.turns]
    idle = [turn.idle.mean_power_w for turn in turns if turn.idle is not None]
    windows = [turn.energy for turn in turns if turn.energy is not None]
    if not windows or not idle:
        return
    if power.estimated:
        yield (
            f"**The total is an estimate**: no sensor of this board measures it. It is the sum of "
            f"rails out of {', '.join(power.rails)}."
        )
    methods = {window.method for window in windows}
    how = " or ".join(
        {
            "counter": "the difference of the device's own energy counter",
            "trapezoid": "power integrated over time by the trapezoidal rule",
        }[method]
        for method in sorted(methods)
    )
    mean_of = f" Each reading is a mean over {power.averaging_s:g} s." if power.averaging_s else ""
    fewest = min(window.samples for window in windows)
    yield (
        f"Energy is {how}, read every {1e3 * power.sample_period_s:.0f} ms on average "
        f"({power.interval_ms} ms asked for), {fewest} readings to a turn at least.{mean_of}"
        f"{' That is few: measure for longer with --seconds.' if fewest < _FEW_SAMPLES else ''}"
    )
    yield (
        f"Idle power of {watts(min(idle), max(idle))}, measured for {results.settings.seconds:g} s "
        "before each repeat with the networks loaded, is subtracted: the energy is what inference "
        "adds. Whatever else began or ended on the device meanwhile is in it."
    )
    yield (
        '"From sampling" is the largest standard uncertainty of a turn that comes from reading '
        "the power at intervals. How true the sensor is, is not known here."
    )


def _execution(results: Results) -> str:
    if results.settings.device == "cpu":
        return (
            "The networks run as this package runs them on a CPU: PyTorch, eager, channels last, "
            "normalization and thresholds folded into the weights."
        )
    return (
        "The networks run as this package runs them on a GPU: PyTorch, eager, its own Conv3d. "
        "float32 is float32 in all operations; tf32 rounds the operands of convolutions and matrix "
        "products; bfloat16 holds weights and feature maps in it."
    )
