"""The meta-learners as scikit-learn estimators."""
