"""Parameters with a description, a range and a reason for every refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rclpy.node import Node
    from rclpy.parameter import Parameter


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Attributes:
        name: Its name.
        default: Its default, which also fixes its type.
        description: What it is, with the unit.
        minimum: Smallest value allowed, for numbers.
        maximum: Largest value allowed, for numbers.
        choices: All values allowed, for texts.
        live: Whether it may be changed while the node is configured.
    """

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """The descriptor that `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = self.expected
        if self.minimum is not None and self.maximum is not None:
            if isinstance(self.default, int):
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum), step=0)
                ]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=self.minimum, to_value=self.maximum, step=0.0)
                ]
        return descriptor

    @property
    def expected(self) -> str:
        """What a good value is."""
        if self.choices:
            return "one of: " + ", ".join(self.choices)
        kind = "numbers" if isinstance(self.default, list) else type(self.default).__name__
        if self.minimum is None or self.maximum is None:
            return f"a value like {self.default!r} ({kind})"
        return f"{self.minimum} to {self.maximum} ({kind})"

    def accepts(self, value: Any) -> bool:
        """Whether `value`, of the right type, is allowed."""
        if self.choices:
            return value in self.choices
        if self.minimum is None or self.maximum is None:
            return True
        return bool(self.minimum <= value <= self.maximum)


class Parameters:
    """Declares a node's parameters and guards them.

    A bad value at start-up (from a file or the command line) does not end the process: the
    default stays in place, `refusals` tells why, and the node refuses to configure until the
    parameter has been set to a good value.
    """

    def __init__(
        self, node: Node, specs: Iterable[ParameterSpec], is_configured: Callable[[], bool]
    ) -> None:
        """Declare `specs` on `node`; `is_configured` tells whether changes have to wait."""
        self._node = node
        self._specs = {spec.name: spec for spec in specs}
        self._is_configured = is_configured
        self._refused: dict[str, str] = {}
        for spec in self._specs.values():
            self._declare(spec)
        node.add_on_set_parameters_callback(self._on_set)

    @property
    def refusals(self) -> list[str]:
        """One reason for each parameter that was given a bad value at start-up."""
        return list(self._refused.values())

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def _declare(self, spec: ParameterSpec) -> None:
        try:
            value = self._node.declare_parameter(spec.name, spec.default, spec.descriptor()).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            self._refused[spec.name] = f"parameter {spec.name}: {error}; expected {spec.expected}"
        else:
            if spec.accepts(value):
                return
            # A descriptor cannot hold choices, so that rclpy has let this through.
            self._refused[spec.name] = _refusal(spec, value)
            self._node.undeclare_parameter(spec.name)
        self._node.declare_parameter(
            spec.name, spec.default, spec.descriptor(), ignore_override=True
        )

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        ours = [p for p in parameters if p.name in self._specs]
        for parameter in ours:
            spec = self._specs[parameter.name]
            reason = ""
            if not spec.accepts(parameter.value):
                reason = _refusal(spec, parameter.value)
            elif not spec.live and self._is_configured():
                reason = (
                    f"{spec.name} is read when the node is configured; clean it up first "
                    f"(ros2 lifecycle set {self._node.get_fully_qualified_name()} cleanup)"
                )
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        for parameter in ours:
            self._refused.pop(parameter.name, None)
        return SetParametersResult(successful=True)


def _refusal(spec: ParameterSpec, value: Any) -> str:
    return f"parameter {spec.name} is {value!r}; expected {spec.expected}"
