"""Where in the user's code a warning is raised."""

import sys


def level_of_caller():
    """How far up the stack a warning is raised from code that is not of the package."""
    frame, level = sys._getframe(1), 1
    inside = ("skmeta.", "sklearn.")
    while frame and frame.f_globals.get("__name__", "").startswith(inside):
        frame, level = frame.f_back, level + 1
    return level
