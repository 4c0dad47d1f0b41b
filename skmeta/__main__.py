"""``python -m skmeta``: see `skmeta.demonstration`."""

from .demonstration import main

main()
