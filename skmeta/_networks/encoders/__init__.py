"""Stage 1: from the rows of a task to its encoding."""
