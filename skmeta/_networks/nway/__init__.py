"""N-way classification: tasks with task-specific labels."""
