"""Behind `meta_fit`: split, initialisation, loop, validation.

And the state that `fit` and `predict` run.
"""
