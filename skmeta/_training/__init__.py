"""Behind `meta_fit`."""
