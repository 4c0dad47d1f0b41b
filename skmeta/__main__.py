"""``python -m skmeta``: the demonstration; with ``compare``, a table of yours."""

import sys

from . import command_line, demonstration

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["compare"]:
        command_line.main(arguments[1:])
    else:
        demonstration.main(arguments)
