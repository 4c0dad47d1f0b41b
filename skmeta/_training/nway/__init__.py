"""Meta-training on tasks with task-specific labels (N-way classification)."""
