"""Files of estimators: `save` and `load`."""
