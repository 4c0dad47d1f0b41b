"""What the commands share: values of arguments, and output of any encoding."""

import argparse
import os
import sys
from pathlib import Path


def writable_path(text):
    """A path that a file can be written to, for argparse."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text!r}: there is no folder {str(path.parent)!r}; make it first"
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written to")
    return path


def seed_number(text):
    """A seed, for argparse."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 0 to {2**32 - 1}"
        )
    return int(text)


def replace_unencodable():
    """Write a question mark for characters that an output stream cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
