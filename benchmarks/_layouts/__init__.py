"""Layouts of the tables that ``tables.py`` makes from result files."""

from .classification import CLASSIFICATION
from .cost import COST
from .regression import REGRESSION

TABLES = {**REGRESSION, **CLASSIFICATION, **COST}
