"""Stage 3: base learners, which predict for one task."""
