"""Errors of N-way classification."""

from .parts import SYSTEMS, Part, Table, each

EPISODES = [
    (f"{place}, {n_way} ways", {"within_script": within, "n_way": n_way})
    for within, place in ((False, "across scripts"), (True, "within a script"))
    for n_way in (5, 20)
]
FIRST = {**EPISODES[0][1], "n_shots": 1}
"""A record of each method, for what its records have in common."""

STEPS = "training steps", "{n_steps:,}"
DEV = "glyphs-minutes-3-split-dev"


def best_ratio(find):
    """The smallest error of the three systems over that of Prototypical Networks."""
    ours = [find(method=system) for system in SYSTEMS]
    theirs = find(method="prototypes")
    if theirs is None or None in ours:
        return ""
    ratio = min(record["error"] for record in ours) / theirs["error"]
    return f"{ratio:.2f}".lstrip("0")


def scripts(file):
    """Errors of all methods on the episodes of `glyphs.py`."""
    rows = [
        Part(f"{label}, {shots}", {**where, "n_shots": k})
        for label, where in EPISODES
        for k, shots in ((1, "1 shot"), (5, "5 shots"))
    ]
    rows += [Part(STEPS[0], FIRST, STEPS[1])]
    columns = each("method", {"prototypes": "Prototypical Networks", **SYSTEMS})
    columns += [Part("best of ours relative to theirs", {"method": ""}, best_ratio)]
    text = "{error:.4f} ({calibration_error:.3f})"
    return Table(rows, columns, {"file": file}, text)


def scripts_without(file, parts):
    """Errors of `glyphs.py` with and without parts of the classifiers."""
    rows = [
        Part(part or f"{label}, 1 / 5 shots", {**where, "n_shots": (1, 5), **left_out})
        for label, where in EPISODES
        for part, left_out in parts.items()
    ]
    rows += [
        Part(part or STEPS[0], {**FIRST, **left_out}, STEPS[1])
        for part, left_out in parts.items()
    ]
    return Table(rows, each("method", SYSTEMS), {"file": file}, "{error:.4f}")


def digits():
    methods = ("logistic regression", "nearest neighbour", "SVC")
    names = {**{name: name for name in methods}, **SYSTEMS}
    rows = each("K", {1: "1 shot", 5: "5 shots"}, file="digits", split="mean")
    first = {"split": 0, "K": 5}
    rows += [
        Part("5 shots, first split", {"file": "digits", **first}),
        Part(
            "5 shots, first split, Gaussian classes alone",
            {"file": "digits-earlier", **first},
        ),
    ]
    columns = [Part(label, {}, f"{{{name}:.3f}}") for name, label in names.items()]
    return Table(rows, columns)


CLASSIFICATION = {
    "scripts": scripts("glyphs"),
    "scripts_gpu": scripts("glyphs-minutes-3-device-cuda"),
    "scripts_parts": scripts_without(
        f"{DEV}-earlier",
        {
            "": {"without": None},
            "without attention": {"without": "attention"},
            "without the auxiliary classifier": {"without": "known-classes"},
        },
    ),
    "scripts_rows": scripts_without(
        DEV, {"": {"without": None}, "without kernels": {"without": "rows"}}
    ),
    "digits": digits(),
}
