"""Tasks from a table in a file, whatever its columns hold.

A table is read as it is. Each column is read in one way as a whole, as numbers, dates
or text, decided from all of its rows; what cannot be read for certain is left out by
name, or refused. The task and classes are what their cells say, to the character. Dates
become numbers, and text one column for each of its values. What only names the
rows is left out. Values are learned from all rows, targets aside.
"""

from ._files import read_table
from ._read import TaskTable, read_tasks

__all__ = [
    "TaskTable",
    "read_table",
    "read_tasks",
]
