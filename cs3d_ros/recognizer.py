"""Event packets in, recognised expressions out: the whole pipeline without ROS.

    packets → EventStream → NoiseFilter → SlidingWindows → (ActivityGate) → RollingTensors
                                └────── ActivityTracker ─────────┘                │
                                                             Decision ← Classifier ┘

The node, the command line and the benchmark all run this one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cs3d_ros import events
from cs3d_ros.decision import Decision
from cs3d_ros.events import gate
from cs3d_ros.events.activity import ActivitySettings, ActivityTracker
from cs3d_ros.events.gate import ActivityGate
from cs3d_ros.events.noise import NoiseFilter, NoiseSettings
from cs3d_ros.events.packets import MAX_SENSOR_SIDE
from cs3d_ros.events.roi import Roi, RoiError
from cs3d_ros.events.rolling import RollingTensors
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.tensors import TensorError, channels, representations
from cs3d_ros.events.windows import SlidingWindows, Window, WindowError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cs3d_ros.events.packets import EventPacket
    from cs3d_ros.network.classifier import Classifier

DEFAULT_HOP_MS = 100.0
DEFAULT_MAX_EVENTS = 8_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ReadyWindow:
    """A window whose time is over, with what the stream knew of it at that moment.

    Attributes:
        window: Its events.
        stamp_ns: ROS time of its end, in ns.
        frame_id: Of the packets.
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        roi: The region of the sensor to look at.
        packets_lost: Packets missing so far, by their sequence numbers.
        epoch: How often the stream had started over.
        changes: Events dropped, or come too late, up to then. Two windows of one epoch hold the
            same events wherever they overlap, if this is the same for both.
    """

    window: Window
    stamp_ns: int
    frame_id: str
    width: int
    height: int
    roi: Roi
    packets_lost: int
    epoch: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was recognised in one window, or before it, if the activity gate was closed.

    Attributes:
        stamp_ns: ROS time of the window's end, in ns.
        window_duration_ns: Length of the window, in ns.
        frame_id: Of the packets.
        labels: What the network knows, in its order.
        probabilities: One for each label, sum 1.
        expression: What is reported, by the rule of decision: a label, or "neutral".
        event_count: Change events in the window, over the whole sensor, without those that a noise
            filter removed.
        packets_lost: Packets missing so far, by their sequence numbers.
        inference_ms: Time in the network, in ms; 0 if it did not run.
        roi: The region of the sensor that the network saw.
        model: Name of the network and its weights; contains `untrained` if they are random.
        age_ns: How long before `stamp_ns` the window ended that the network saw, in ns of the
            sensor's time; 0 if it was this one. Otherwise labels, probabilities, expression and
            roi are those of that window.
    """

    stamp_ns: int
    window_duration_ns: int
    frame_id: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    expression: str
    event_count: int
    packets_lost: int
    inference_ms: float
    roi: Roi
    model: str
    age_ns: int = 0

    @property
    def inferred(self) -> bool:
        """Whether the network saw this window; False: an earlier result, said again."""
        return self.age_ns == 0

    @property
    def confidence(self) -> float:
        """The probability of `expression` in this window; NaN where it is no label."""
        if self.expression not in self.labels:
            return math.nan
        return self.probabilities[self.labels.index(self.expression)]


class Recognizer:
    """Recognises expressions in one camera's packets.

    Offline, `feed` is all there is. Where packets come faster than the network runs, `push` every
    packet and `classify` the newest window only.

    Attributes:
        classifier: The network with its card.
        stream: Decoding; its counters tell what was lost on the way.
        windows: Windowing; its counters tell what was dropped.
        noise_filter: Filters of the present sensor; None before the first packet.
        tracker: What follows the activity on the present sensor; None where nothing does.
        noise: Which noise filters are on.
        regions_missed: Windows for which the region asked for did not lie on the sensor.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        window_ms: float | None = None,
        hop_ms: float = DEFAULT_HOP_MS,
        roi: Roi | ActivitySettings | None = None,
        noise: NoiseSettings | None = None,
        decision: Decision | None = None,
        max_events: int = DEFAULT_MAX_EVENTS,
        activity_gate: bool = False,
    ) -> None:
        """Prepare to recognise.

        Args:
            classifier: Network, labels and input geometry.
            window_ms: Length of a window in ms; None: the one that the network was trained on.
            hop_ms: Time from the start of one window to that of the next, in ms.
            roi: Region of the sensor to look at; None: its largest centred square; settings: follow
                the activity with them.
            noise: Which noise filters are on; None: the background-activity filter that the network
                was trained with, if any.
            decision: The rule by which an expression is reported, for this recognizer alone; None:
                the most probable label of each window.
            max_events: How many events may wait in memory; beyond that the oldest are dropped.
            activity_gate: Whether windows that hold nothing but noise are not shown to the network;
                see `ActivityGate`.

        Raises:
            WindowError: A length or a limit out of range or not finite.
            TensorError: The network was trained on a representation that is not known here, or
                takes another number of channels than its representation has.
            RoiError: The region cannot lie on any sensor.
        """
        if isinstance(roi, Roi):
            roi.check(MAX_SENSOR_SIDE, MAX_SENSOR_SIDE)
        card = classifier.card
        if card.representation not in representations():
            raise TensorError(
                f"the network {card.name} was trained on the representation "
                f"{card.representation!r}, expected one of: {', '.join(representations())}; a "
                "newer version of this package may know it"
            )
        found, expected = channels(card.representation), card.input_shape[0]
        if found != expected:
            raise TensorError(
                f"the network {card.name} takes windows of {expected} channel(s), but the "
                f"representation on its card, {card.representation!r}, has {found}; save it again "
                "with the representation that it was trained on"
            )
        if window_ms is None:
            window_ms = card.window_ms
        if not (math.isfinite(window_ms) and math.isfinite(hop_ms)):
            raise WindowError(f"windows of {window_ms} ms every {hop_ms} ms, expected two numbers")
        self.classifier = classifier
        self.stream = EventStream()
        self.windows = SlidingWindows(
            duration_ns=round(window_ms * 1e6), hop_ns=round(hop_ms * 1e6), max_events=max_events
        )
        self.noise_filter: NoiseFilter | None = None
        self.tracker: ActivityTracker | None = None
        self.noise = noise or NoiseSettings(background_activity_us=card.background_activity_us)
        self._decision = decision or Decision()
        self._decided_epoch = 0
        self._roi = roi
        self.regions_missed = 0
        self._asked_before = -1
        self._tensors = RollingTensors(card.bins, card.size, card.representation)
        self._activity_gate = activity_gate
        self._gate: ActivityGate | None = None
        self._gated_stream: tuple[int, int, int] | None = None
        self._last: Recognition | None = None
        self._inferred_end_ns = self._newest_end_ns = self._gated_ns = 0
        self._asked: Roi | None = None
        self._size: tuple[int, int] | None = None
        self._epoch = self.stream.epoch

    def warm_up(self) -> None:
        """Compile the kernels and run the network once, so that no packet waits for that."""
        events.warm_up()
        if self._activity_gate:
            gate.warm_up()
        self.classifier.warm_up()

    def push(self, packet: EventPacket) -> list[ReadyWindow]:
        """Take in the next packet and return the windows that it completes, oldest first.

        Raises:
            PacketError: The packet cannot be decoded; it is skipped, the next one may be fed.
            RoiError: The region does not lie on the packet's sensor.
        """
        decoded = self.stream.feed(packet)
        if (packet.width, packet.height) != self._size:
            self._meet_sensor(packet.width, packet.height)
        if self.stream.epoch != self._epoch:
            self._start_over()
        now_ns = self.stream.now_ns
        if now_ns is None:
            return []
        assert self.noise_filter is not None
        decoded = self.noise_filter.apply(decoded)
        if self.tracker is not None:
            self.tracker.observe(decoded, now_ns)
        # Events are dropped after the windows are cut: the next ones lack them, not these.
        dropped = self.windows.events_dropped
        windows = self.windows.push(decoded, now_ns)
        if not windows:
            return []
        roi = self.region(packet.width, packet.height)
        return [
            ReadyWindow(
                window=window,
                stamp_ns=self.stream.ros_time_ns(window.end_ns),
                frame_id=packet.frame_id,
                width=packet.width,
                height=packet.height,
                roi=roi,
                packets_lost=self.stream.counters.packets_lost,
                epoch=self._epoch,
                changes=dropped + self.windows.events_late,
            )
            for window in windows
        ]

    def look_at(self, roi: Roi | None) -> None:
        """Look at another region from now on, or again at that of the beginning (None).

        It is cut to the sensor. The activity tracker, if there is one, has no say meanwhile. May be
        called from another thread than the rest.

        Raises:
            RoiError: Less than 8×8 pixels of it lie on the sensor; the region stays as it is.
        """
        if roi is not None:
            roi.clipped(*(self._size or (MAX_SENSOR_SIDE, MAX_SENSOR_SIDE)))
        self._asked = roi

    def region(self, width: int, height: int) -> Roi:
        """The region to look at on a sensor of width × height pixels.

        Raises:
            RoiError: The fixed region does not lie on that sensor.
        """
        asked = self._asked
        if asked is not None:
            try:
                return asked.clipped(width, height)
            except RoiError:
                # Asked for before the sensor was known, or for another one.
                self.regions_missed += 1
        return self._fixed_region(width, height) if self.tracker is None else self.tracker.roi

    def _fixed_region(self, width: int, height: int) -> Roi:
        if isinstance(self._roi, Roi):
            self._roi.check(width, height)
            return self._roi
        return Roi.centred_square(width, height)

    def _meet_sensor(self, width: int, height: int) -> None:
        """Make what depends on the sensor's size."""
        tracker = None
        if isinstance(self._roi, ActivitySettings):
            tracker = ActivityTracker(width, height, self._roi)
        else:
            self._fixed_region(width, height)
        self.noise_filter = NoiseFilter(self.noise, width, height)
        self.tracker = tracker
        self._size = (width, height)

    def _start_over(self) -> None:
        """Forget all times: the stream's have started anew."""
        self.windows.reset()
        if self.noise_filter is not None:
            self.noise_filter.reset()
        if self.tracker is not None:
            self.tracker.reset()
        self._epoch = self.stream.epoch

    def classify(self, ready: ReadyWindow) -> Recognition:
        """Run the network on a window, and decide what to report; oldest windows first.

        With the activity gate, a window of nothing but noise is neither evidence of an expression
        nor of none: the last result is said again, and the rule of decision does not learn of it.
        Its time stands still meanwhile, so that it goes on from what it had made of such windows
        before the gate closed.
        """
        last = self._last
        step_ns = ready.window.end_ns - self._newest_end_ns
        self._newest_end_ns = ready.window.end_ns
        if self._activity_gate and not self._admits(ready) and last is not None:
            self._gated_ns += step_ns
            return replace(
                last,
                stamp_ns=ready.stamp_ns,
                event_count=ready.window.event_count,
                packets_lost=ready.packets_lost,
                inference_ms=0.0,
                age_ns=ready.window.end_ns - self._inferred_end_ns,
            )
        recognition = self._infer(ready)
        self._last, self._inferred_end_ns = recognition, ready.window.end_ns
        return recognition

    def _admits(self, ready: ReadyWindow) -> bool:
        """Ask the gate of this sensor and epoch."""
        stream = (ready.width, ready.height, ready.epoch)
        if self._gate is None or stream != self._gated_stream:
            self._gate, self._gated_stream = ActivityGate(ready.width, ready.height), stream
            self._last = None
        return self._gate.admits(ready.window, ready.roi)

    def _infer(self, ready: ReadyWindow) -> Recognition:
        tensor, shift = self._tensors.make(ready.window, ready.roi, (ready.epoch, ready.changes))
        classifier = self.classifier
        if classifier.asked != self._asked_before:
            # What it has kept of a window is another's.
            shift = None
        start = time.perf_counter_ns()
        try:
            probabilities = tuple(classifier.predict(tensor, shift).tolist())
            self._asked_before = classifier.asked
        except BaseException:
            # What the classifier has kept need not be of this window.
            self._tensors.forget()
            raise
        inference_ms = (time.perf_counter_ns() - start) * 1e-6
        labels = self.classifier.labels
        if ready.epoch != self._decided_epoch:
            self._decision.reset()
            self._decided_epoch = ready.epoch
        # By sensor time, which is steadier than the host's.
        now_ns = ready.window.end_ns - self._gated_ns
        expression = self._decision.update(now_ns, labels, probabilities)
        return Recognition(
            stamp_ns=ready.stamp_ns,
            window_duration_ns=ready.window.end_ns - ready.window.start_ns,
            frame_id=ready.frame_id,
            labels=labels,
            probabilities=probabilities,
            expression=expression,
            event_count=ready.window.event_count,
            packets_lost=ready.packets_lost,
            inference_ms=inference_ms,
            roi=ready.roi,
            model=self.classifier.name,
        )

    def feed(self, packet: EventPacket) -> Iterator[Recognition]:
        """Take in the next packet and recognise every window that it completes.

        Raises:
            PacketError, RoiError: As `push`.
        """
        for ready in self.push(packet):
            yield self.classify(ready)
