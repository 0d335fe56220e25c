"""A training run at work: epochs, the best network, the state to go on from."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import torch

from cs3d_ros.extras import load_extra
from cs3d_ros.network import Network, checkpoint
from cs3d_ros.training import folder as files
from cs3d_ros.training.data import TrainingData
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.folder import RunFolder
from cs3d_ros.training.learner import Learner, Micro, Sums, new_seed
from cs3d_ros.training.progress import Curves, Row
from cs3d_ros.training.provenance import card_of, machine
from cs3d_ros.training.schedule import learning_rate
from cs3d_ros.training.settings import TrainingSettings


class Run:
    """A run at work, in one of its processes.

    Args:
        data: What it trains on.
        settings: How.
        fabric: Lightning Fabric, started.
        learner: With the state of the last epoch that was finished.
        folder: For its files; None in all processes but the first.
        out: Path of that folder.
        command: What the user typed.
        known: What the state says about the epochs that are finished.

    Attributes:
        rows: One for each epoch that is done.
        machines: What they ran on.

    Raises:
        TrainingError: The state is not that of a run.
    """

    def __init__(
        self,
        data: TrainingData,
        settings: TrainingSettings,
        fabric: Any,
        learner: Learner,
        folder: RunFolder | None,
        out: Path,
        command: str,
        known: dict[str, Any],
    ) -> None:
        self.data, self.settings, self.fabric, self.folder = data, settings, fabric, folder
        self.out, self.command, self.learner = out, command, learner
        try:
            self.rows = [Row(**row) for row in known["rows"]]
            self.machines = [str(name) for name in known["machines"]]
            self._is_finished = bool(known["finished"])
        except (KeyError, TypeError) as error:
            raise TrainingError(
                f"{out / files.STATE}: is damaged ({error}); remove {out} to begin again"
            ) from None
        if self.rows and not (out / files.CHECKPOINT).exists() and folder:
            raise TrainingError(
                f"{out}: its {files.CHECKPOINT} is missing; put it back, or remove the folder to "
                "begin again"
            )
        here = machine(fabric.device, fabric.world_size)
        if here not in self.machines and not self._is_finished:
            self.machines.append(here)

    @property
    def best(self) -> Row:
        """The best epoch: at the last size, of the highest validation accuracy, lowest loss."""
        return max(self.rows, key=self._quality)

    def _quality(self, row: Row) -> tuple[bool, float, float]:
        return row.size == self.settings.size, row.validation_accuracy, -row.validation_loss

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done or nothing has become better for a while.

        A one-cycle schedule is not cut short: its best epochs are those with the smallest steps,
        at its end.
        """
        if len(self.rows) >= self.settings.epochs:
            return True
        if not self.rows or not self.settings.patience or self.settings.schedule == "one-cycle":
            return False
        best = self.best
        is_grown = best.size == self.settings.size
        return is_grown and len(self.rows) - 1 - best.epoch >= self.settings.patience

    def go(self, progress: bool, report: Callable[[str], None]) -> None:
        """Train until it is over; nothing where it is.

        Args:
            progress: Whether to show a bar and report each epoch, where this is the first process.
            report: Takes one line an epoch.

        Raises:
            TrainingError: The loss is no longer a number, or a file cannot be written.
        """
        tells = progress and self.folder is not None
        if self.rows and tells:
            ended = "finished already" if self.is_over else "going on"
            report(f"{self.out}: {ended} after {len(self.rows)} epochs")
        curves = None
        if self.folder and not self.is_over:
            curves = Curves(self.out / files.LOGS, len(self.rows))
        try:
            while not self.is_over:
                row = self._epoch(len(self.rows), progress)
                self.rows.append(row)
                if curves:
                    self._keep()
                    curves.add(row)
                    if tells:
                        report(row.line(self.settings.epochs))
        finally:
            if curves:
                curves.close()
        if self.folder and not self._is_finished:
            network, _ = checkpoint.load(self.out / files.CHECKPOINT)
            self._write_checkpoint(network, finished=True)
            self._write_state(finished=True)

    def _epoch(self, epoch: int, progress: bool) -> Row:
        began = time.monotonic()
        data, settings, fabric = self.data, self.settings, self.fabric
        rank, ranks, kind = fabric.global_rank, fabric.world_size, fabric.device.type
        share = settings.batch // ranks
        places = range(rank * share, (rank + 1) * share)
        starts = places[:: settings.micro_batch]
        order = data.order(epoch)
        batches = [
            batch[start : min(start + settings.micro_batch, places.stop)].tolist()
            for batch in order
            for start in starts
        ]
        micros = data.train_windows(epoch, batches, kind)
        sums, rate = Sums(), 0.0
        with _bar(epoch, settings, data, progress and rank == 0) as bar:
            for step in range(data.steps):
                rate = learning_rate(
                    settings.schedule,
                    settings.learning_rate,
                    epoch * data.steps + step,
                    settings.epochs * data.steps,
                )
                group: list[Micro] = list(islice(micros, len(starts)))
                seeds = [new_seed(settings.seed, epoch, step, start) for start in starts]
                result = self.learner.step(group, rate, seeds)
                if not math.isfinite(result.loss):
                    self._fail(group, order[step][places], epoch, step, rate)
                sums += result
                bar.set_postfix_str(f"loss {sums.mean_loss:.3f}", refresh=False)
                bar.update(settings.batch)
        sums = self.learner.over_ranks(sums)
        self.learner.agree()
        size = settings.size_in(epoch)
        checked = self.learner.validate(data.validation_windows(size, rank, ranks, kind))
        if not math.isfinite(checked.loss):
            raise TrainingError(
                f"the loss on the validation part became {checked.loss} in epoch {epoch}, at a "
                f"learning rate of {rate:g}; try a smaller learning rate in another folder"
            )
        return Row(
            epoch=epoch,
            size=size,
            learning_rate=rate,
            train_loss=sums.mean_loss,
            train_accuracy=sums.accuracy,
            validation_loss=checked.mean_loss,
            validation_accuracy=checked.accuracy,
            seconds=round(time.monotonic() - began, 3),
        )

    def _keep(self) -> None:
        """Write what an epoch has changed; the state comes last, so that it is true of the rest."""
        assert self.folder is not None
        if self.best is self.rows[-1]:
            self._write_checkpoint(self.learner.network, finished=False)
        self.folder.write_metrics([asdict(row) for row in self.rows])
        self._write_state(finished=False)

    def _write_state(self, finished: bool) -> None:
        assert self.folder is not None
        rows = [asdict(row) for row in self.rows]
        progress = {"rows": rows, "machines": self.machines, "finished": finished}
        self.folder.write_state(self.learner.state(), progress)

    def _write_checkpoint(self, network: Network, finished: bool) -> None:
        card = card_of(
            network.specification,
            self.data,
            self.settings,
            self.rows,
            self.best,
            machines=self.machines,
            command=self.command,
            finished=finished,
        )
        checkpoint.save(self.out / files.CHECKPOINT, network, card)

    def _fail(
        self, micros: Sequence[Micro], clips: Any, epoch: int, step: int, rate: float
    ) -> NoReturn:
        windows = torch.cat([x for x, _ in micros])
        classes = torch.cat([y for _, y in micros])
        names = [self.data.name_of(int(index)) for index in clips]
        where = {"epoch": epoch, "step": step, "learning_rate": rate, "clips": names}
        saved = files.write_failed(
            self.out, self.fabric.global_rank, {"windows": windows, "classes": classes}, where
        )
        raise TrainingError(
            f"the loss or its gradient is no longer a number in epoch {epoch}, step {step}, at a "
            f"learning rate of {rate:g}; the batch is saved in {saved} with the names of its "
            f"clips ({', '.join(names[:3])}, …). Try a smaller learning rate or --gradient-clip, "
            "in another folder"
        )


def _bar(epoch: int, settings: TrainingSettings, data: TrainingData, shown: bool) -> Any:
    return load_extra("tqdm", "train").tqdm(
        total=data.steps * settings.batch,
        desc=f"epoch {epoch} of {settings.epochs}, {settings.size_in(epoch)} px",
        unit=" clips",
        file=sys.stderr,
        # Shown on a terminal only.
        disable=None if shown else True,
        leave=False,
    )
