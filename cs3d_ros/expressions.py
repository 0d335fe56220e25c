"""The expressions that are told apart."""

EXPRESSIONS = ("neutral", "happy", "sad", "surprised", "scared", "disgusted", "angry")
"""The seven classes, in the words of ROS4HRI and the order of a network's outputs."""
