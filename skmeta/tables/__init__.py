"""Tasks from a table in a file, whatever its columns hold.

Each column is read as a whole, as numbers, dates or text, which is inferred from all of
its rows. A column that can be read in two ways is left out, with a note, or refused if
it is the target. Names of tasks and classes are the cells, to the character. Dates
become numbers, and text is one-hot encoded. Row numbers and identifiers are left out.
The categories are those of all rows; targets play no part.
"""

from ._files import read_table
from ._read import TaskTable, read_tasks

__all__ = [
    "TaskTable",
    "read_table",
    "read_tasks",
]
