"""Play a recording into the nodes of fer.launch.py."""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

# Loading the network takes a while, and a recording must not run out meanwhile.
_WAIT_FOR_SUBSCRIBER_S = 300.0
# The last window may still be in the network when the recording ends.
_LAST_WINDOW_S = 3.0

ARGUMENTS = (
    DeclareLaunchArgument("bag", description="rosbag2 folder, .mcap, .db3 or Prophesee .raw."),
    DeclareLaunchArgument(
        "topic",
        default_value="",
        description="Recorded topic to play. Empty: the only one with event packets.",
    ),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed; 2.0: twice as fast."),
    DeclareLaunchArgument(
        "loop",
        default_value="false",
        choices=["true", "false"],
        description="Start again at the end; false: everything ends with the recording.",
    ),
    DeclareLaunchArgument(
        "paused",
        default_value="false",
        choices=["true", "false"],
        description="Start paused; go on with: ros2 param set /player paused false",
    ),
    DeclareLaunchArgument(
        "clock",
        default_value="false",
        choices=["true", "false"],
        description="Publish the recording's time on /clock and run the nodes by it.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes."),
    DeclareLaunchArgument(
        "events",
        default_value="/event_camera/events",
        description="Topic on which the packets are played.",
    ),
)


def generate_launch_description() -> LaunchDescription:
    def typed(name: str, value_type: type) -> ParameterValue:
        return ParameterValue(LaunchConfiguration(name), value_type=value_type)

    player = Node(
        package="cs3d_ros",
        executable="player_node",
        name="player",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            {
                "path": typed("bag", str),
                "topic": typed("topic", str),
                "rate": typed("rate", float),
                "loop": typed("loop", bool),
                "paused": typed("paused", bool),
                "clock": typed("clock", bool),
                "wait_for_subscriber_s": _WAIT_FOR_SUBSCRIBER_S,
            }
        ],
        remappings=[("events", LaunchConfiguration("events"))],
        output="screen",
    )
    # model, device, params_file and energy pass through: included files see the same arguments.
    fer = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare("cs3d_ros"), "launch", "fer.launch.py"])
        ),
        launch_arguments={
            "use_sim_time": LaunchConfiguration("clock"),
            "required": "true",
        }.items(),
    )
    end = RegisterEventHandler(
        OnProcessExit(
            target_action=player,
            on_exit=[
                TimerAction(
                    period=_LAST_WINDOW_S,
                    actions=[EmitEvent(event=Shutdown(reason="the recording has ended"))],
                )
            ],
        )
    )
    return LaunchDescription([*ARGUMENTS, fer, player, end])
