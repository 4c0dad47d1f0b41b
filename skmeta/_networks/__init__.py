"""The torch modules: encoders, relations between tasks, base learners."""
