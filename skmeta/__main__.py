"""``python -m skmeta``: the demonstration; with ``compare``, a table of yours."""

import sys

from ._cli import compare, demo

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["compare"]:
        compare.main(arguments[1:])
    else:
        demo.main(arguments)
