"""What a run tells while it is at work: a bar, a line an epoch, curves for TensorBoard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """What an epoch came to; a row of metrics.csv.

    Attributes:
        epoch: From 0 on.
        size: Of the input, in pixels.
        learning_rate: Of its last step.
        train_loss: Mean over its windows, as they were augmented, with label smoothing.
        train_accuracy: Share of them that was recognised, 0 to 1, with dropout.
        validation_loss: Mean cross entropy over the clips of the validation part.
        validation_accuracy: Share of these clips that was recognised, 0 to 1.
        seconds: Duration of the epoch with its validation.
    """

    epoch: int
    size: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float

    def line(self, epochs: int) -> str:
        """As one line for people."""
        return (
            f"epoch {self.epoch:>3} of {epochs}  {self.size:>3} px  "
            f"lr {self.learning_rate:.1e}  train loss {self.train_loss:.4f} "
            f"accuracy {self.train_accuracy:6.1%}  validation loss {self.validation_loss:.4f} "
            f"accuracy {self.validation_accuracy:6.1%}  {self.seconds:.0f} s"
        )


class Curves:
    """Event files for TensorBoard; nothing where it is not installed.

    Args:
        folder: For the files.
        first: Epoch that the run goes on with; what TensorBoard knows of it and later ones is void.
    """

    def __init__(self, folder: Path, first: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._writer: Any = None
        else:
            self._writer = SummaryWriter(str(folder), purge_step=first or None)

    def add(self, row: Row) -> None:
        """Add the numbers of an epoch."""
        if self._writer is None:
            return
        for name, value in asdict(row).items():
            if name != "epoch":
                # TensorBoard groups train/loss and train/accuracy.
                self._writer.add_scalar(name.replace("_", "/", 1), value, row.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
