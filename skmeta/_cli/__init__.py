"""``python -m skmeta``."""
