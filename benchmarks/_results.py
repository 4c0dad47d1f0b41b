"""Result files of benchmarks: rows of numbers with commit, machine and command.

Every benchmark uses it in the same way::

    parser = argument_parser(__doc__)
    options, results = open_results(parser, key=("collection",), free=("names",))
    results.add(f"{name}: R2 {r2:.3f}", collection=name, r2=r2)  # prints and records

A file is ``results/BENCHMARK[-OPTION-VALUE ...].json``, named by the options that are
not at their default, so a short trial never replaces published rows. Not in the name
are options in ``free`` (they choose rows, or only the time taken) and paths. A row
replaces the row with the same values in ``key``; all other rows stay, each with the run
that it comes from. Files whose name ends in ``-earlier`` hold rows of earlier code that
are kept for comparison; no run writes them.

``python benchmarks/tables.py`` makes the tables of the documentation from these files.
"""

import argparse
import fcntl
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def argument_parser(description):
    """A parser described by the first line of a docstring, with the shared options."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--no-save", action="store_true", help="write no result file")
    parser.add_argument("--note", help="conditions of the run, kept with its rows")
    return parser


def open_results(parser, key, free=(), cores=1):
    """Parse the arguments and compute on one thread from here on.

    Parameters
    ----------
    parser : ArgumentParser
        Made by `argument_parser`.
    key : tuple of str
        Columns that identify a row.
    free : tuple of str
        Options that are not in the name of the file.
    cores : int or str
        Number of cores that the benchmark uses, or the option that sets it.

    Returns
    -------
    options : Namespace
    results : Results
    """
    one_thread()
    options = parser.parse_args()
    settings = {
        name: value
        for name, value in vars(options).items()
        if name not in ("no_save", "note") and not isinstance(value, Path)
    }
    run = {
        "command": command(parser.prog, sys.argv[1:]),
        **commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(settings.get(cores, cores), settings.get("device", "auto")),
        "settings": settings,
        **({"note": options.note} if options.note else {}),
        "rows": [],
    }
    benchmark = Path(parser.prog).stem
    changed = {
        name: value
        for name, value in settings.items()
        if name not in free and value != parser.get_default(name)
    }
    path = None if options.no_save else RESULTS / file_name(benchmark, changed)
    return options, Results(benchmark, key, run, path)


def one_thread():
    """Compute on one thread from here on."""
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    torch.set_num_threads(1)


class Results:
    """Rows of one run of a benchmark, in the file that its rows belong to."""

    def __init__(self, benchmark, key, run, path):
        self.benchmark, self.key, self.run, self.path = benchmark, key, run, path

    def heading(self, text):
        """Print the machine and what the rows are."""
        self.print(f"{described(self.run['machine'])}, {text}")

    def print(self, text):
        """Print a line that is not a row."""
        print(text, flush=True)

    def add(self, text, **row):
        """Print ``text``, and write the numbers and strings that it is made of."""
        print(text, flush=True)
        row = {name: plain(value) for name, value in row.items()}
        if self._key(row) in map(self._key, self.run["rows"]):
            raise ValueError(f"Two rows have the same {', '.join(self.key)}: {row}")
        self.run["rows"].append(row)
        if self.path is not None:
            self._write()

    def _key(self, row):
        return tuple(row.get(name) for name in self.key)

    def _write(self):
        mine = {self._key(row) for row in self.run["rows"]}
        with locked(self.path.parent):
            runs = read(self.path)["runs"] if self.path.exists() else []
            for run in runs:
                run["rows"] = [r for r in run["rows"] if self._key(r) not in mine]
            runs = [run for run in runs if run["rows"]]
            write(self.path, self.benchmark, self.key, [*runs, self.run])


def file_name(benchmark, changed):
    parts = [benchmark]
    for name, value in changed.items():
        values = value if isinstance(value, list | tuple) else [value]
        parts += [name.replace("_", "-"), *(f"{v}" for v in values if v is not True)]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)) + ".json"


def command(script, arguments):
    """The command as a user types it: absolute paths are ``DATA`` or ``DATA/FILE``."""

    def shown(argument):
        option, equals, value = argument.rpartition("=")
        path = Path(value)
        if path.is_absolute():
            value = f"DATA/{path.name}" if path.suffix else "DATA"
        return option + equals + value

    return shlex.join(["python", f"benchmarks/{script}", *map(shown, arguments)])


def commit():
    """The commit of the package that is measured, and whether files differ from it."""
    import skmeta

    def git(*arguments):
        folder = Path(skmeta.__file__).parent
        found = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True
        )
        return found.stdout.strip() if found.returncode == 0 else None

    return {
        "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--", ".")),
    }


def machine(cores, device):
    """Processor, cores used, version of torch, and the GPU where one is used."""
    import torch

    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        (cpu,) = re.findall(r"model name\s*:\s*(.*)", info)[:1]
    except (OSError, ValueError):
        cpu = platform.processor() or platform.machine()
    gpu = None
    if torch.cuda.is_available() and device != "cpu":
        gpu = torch.cuda.get_device_name()
    return {"cpu": cpu, "cores": cores, "torch": torch.__version__, "gpu": gpu}


def described(machine):
    """The machine in words."""
    cores = machine["cores"]
    counted = cores and f"{cores} core{'s' if cores > 1 else ''}"
    return ", ".join(part for part in (machine["cpu"], counted, machine["gpu"]) if part)


def plain(value):
    """A value as JSON has it; numbers to six digits."""
    if value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            return None
        return float(f"{value:.6g}") if value else 0
    raise TypeError(f"A row holds numbers and strings, not {value!r}")


@contextmanager
def locked(folder):
    """Keep other benchmarks from writing; a file may be that of several at once."""
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write(path, benchmark, key, runs):
    """Write a result file as a whole or not at all, with one row a line."""
    content = {"benchmark": benchmark, "key": list(key), "runs": runs}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    innermost = r"[\[{][^{}\[\]]*[\]}]"
    text = re.sub(innermost, lambda part: re.sub(r"\n\s*", " ", part[0]), text)
    part = path.with_suffix(".part")
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, path)
