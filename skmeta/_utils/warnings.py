"""Stack level of warnings."""

import sys


def level_of_caller():
    """Stack level of the innermost caller outside of the package and scikit-learn."""
    frame, level = sys._getframe(1), 1
    inside = ("skmeta.", "sklearn.")
    while frame and frame.f_globals.get("__name__", "").startswith(inside):
        frame, level = frame.f_back, level + 1
    return level
