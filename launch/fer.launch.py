"""Start the nodes fer and fer_energy and bring them to the active state."""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.events import Shutdown, matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from launch import Action, LaunchContext, LaunchDescription

ARGUMENTS = (
    DeclareLaunchArgument(
        "events",
        default_value="/event_camera/events",
        description="Topic with event_camera_msgs/EventPacket.",
    ),
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="Checkpoint (.safetensors), 'shipped' for the weights that come with this "
        "package, or 'untrained' for random ones. Empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the network runs: auto, cpu, cuda or cuda:N. Empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([FindPackageShare("cs3d_ros"), "config", "fer.yaml"]),
        description="Parameter file for both nodes.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of both nodes."),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="Take the time from /clock.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=["true", "false"],
        description="Configure and activate the nodes; false: leave that to you.",
    ),
    DeclareLaunchArgument(
        "required",
        default_value="false",
        choices=["true", "false"],
        description="End the launch if a node does not configure; false: it waits for better "
        "parameters.",
    ),
    DeclareLaunchArgument(
        "energy",
        default_value="true",
        choices=["true", "false"],
        description="Start fer_energy too.",
    ),
)


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list:
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    overrides = {name: argument(name) for name in ("model", "device") if argument(name)}
    common = {"use_sim_time": argument("use_sim_time") == "true"}

    def node(name: str, executable: str, parameters: dict) -> LifecycleNode:
        return LifecycleNode(
            package="cs3d_ros",
            executable=executable,
            name=name,
            namespace=argument("namespace"),
            parameters=[argument("params_file"), common | parameters],
            remappings=[("events", argument("events"))],
            output="screen",
        )

    nodes = [node("fer", "fer_node", overrides)]
    if argument("energy") == "true":
        nodes.append(node("fer_energy", "energy_node", {}))
    actions: list = list(nodes)
    if argument("autostart") == "true":
        required = argument("required") == "true"
        actions += [action for n in nodes for action in _autostart(n, required)]
    return actions


def _autostart(node: LifecycleNode, required: bool) -> list:
    """Configure the node, and activate it once that has worked."""
    if required:
        refused: Action = EmitEvent(event=Shutdown(reason="a node did not configure"))
    else:
        refused = LogInfo(
            msg=f"{node.node_executable} did not configure; its reason is above. Set the "
            "parameter and run: ros2 lifecycle set NODE configure"
        )

    def request(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        )

    return [
        # Only from configuring: a node that somebody deactivates becomes inactive too.
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state="configuring",
                goal_state="inactive",
                entities=[request(Transition.TRANSITION_ACTIVATE)],
            )
        ),
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state="configuring",
                goal_state="unconfigured",
                entities=[refused],
            )
        ),
        request(Transition.TRANSITION_CONFIGURE),
    ]
