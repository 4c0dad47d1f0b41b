"""Stage 2: the memory of tasks, and relations of a task to those in it."""
