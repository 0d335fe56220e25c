"""What the managed (lifecycle) nodes have in common."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from cs3d_ros.errors import Cs3dError
from cs3d_ros.nodes.parameters import Parameters, ParameterSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class ManagedNode(LifecycleNode):
    """A lifecycle node that says why a transition failed.

    rclpy turns an exception in a transition into a silent error, and lets one in an impossible
    transition (configure twice) end the process. Here the first is logged with its reason and the
    second is refused.

    A derived class overrides `configure`, `activate`, `deactivate` and `cleanup`, each of which
    may raise `Cs3dError` with a message for the user. `cleanup` has to cope with a `configure`
    that stopped half way, and `deactivate` with such an `activate`.

    Attributes:
        parameters: The declared parameters, read as `self.parameters["name"]`.
    """

    def __init__(self, name: str, specs: Iterable[ParameterSpec]) -> None:
        """Make the node, unconfigured, with its parameters declared."""
        super().__init__(name)
        self._configured = False
        self._active = False
        self.parameters = Parameters(self, specs, lambda: self._configured)
        self._guard_change_state()

    def configure(self) -> None:
        """Load everything."""

    def activate(self) -> None:
        """Begin to work; publishers are enabled already."""

    def deactivate(self) -> None:
        """Stop working; publishers are still enabled."""

    def cleanup(self) -> None:
        """Free what `configure` loaded."""

    def close(self) -> None:
        """Stop and free everything, from whatever state, as the process is about to end."""
        self._release()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see `configure`."""
        if self.parameters.refusals:
            for reason in self.parameters.refusals:
                self.get_logger().error(f"cannot configure: {reason}")
            return TransitionCallbackReturn.FAILURE
        if not self._run("configure", self.configure):
            self._run("clean up", self.cleanup)
            return TransitionCallbackReturn.FAILURE
        self._configured = True
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see `activate`."""
        result = super().on_activate(state)
        if result != TransitionCallbackReturn.SUCCESS or not self._run("activate", self.activate):
            self._run("deactivate", self.deactivate)
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._active = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see `deactivate`."""
        self._active = False
        self._run("deactivate", self.deactivate)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see `cleanup`."""
        self._configured = False
        self._run("clean up", self.cleanup)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback: stop and free everything."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _release(self) -> None:
        if self._active:
            self._run("deactivate", self.deactivate)
        self._run("clean up", self.cleanup)
        self._active = self._configured = False

    def _run(self, what: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except Cs3dError as error:
            self.get_logger().error(f"cannot {what}: {error}")
        except Exception:
            self.get_logger().error(f"cannot {what}:\n{traceback.format_exc()}")
        else:
            return True
        return False

    def _guard_change_state(self) -> None:
        # Not public; where rclpy calls it otherwise, the node works without the guard.
        service = getattr(self, "_service_change_state", None)
        if service is None:
            return
        change_state = service.callback

        def guarded(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except Exception as error:
                self.get_logger().warning(f"transition refused: {error}")
                response.success = False
                return response

        service.callback = guarded
