"""``python -m skmeta``: see `skmeta.demonstration`."""

from .demonstration import main

if __name__ == "__main__":
    main()
