"""The real collection that is part of the package."""

import csv
import gzip
from importlib import resources

from ..tasks import TaskCollection

LIGANDS = {
    "CC(C)(C)P(C(C)(C)C)C(C)(C)C": "P(tBu)3",
    "c3c(P(c1ccccc1)c2ccccc2)cccc3": "PPh3",
    "CC(C)(C)P(C1=CC=C(C=C1)N(C)C)C(C)(C)C": "AmPhos",
    "C1(CCCCC1)P(C2CCCCC2)C3CCCCC3": "P(Cy)3",
    "CC1=CC=CC=C1P(C2=CC=CC=C2C)C3=CC=CC=C3C": "P(o-Tol)3",
    "CCCCP(C12CC3CC(C1)CC(C3)C2)C45CC6CC(C4)CC(C6)C5": "CataCXium A",
    "COc1cccc(c1c2ccccc2P(C3CCCCC3)C4CCCCC4)OC": "SPhos",
    "CC(C)(C)P(C1=CC=C[CH]1)C(C)(C)C.CC(C)(C)P(C1=CC=C[CH]1)C(C)(C)C.[Fe]": "dtbpf",
    "P(c2ccccc2c1c(cc(cc1C(C)C)C(C)C)C(C)C)(C3CCCCC3)C4CCCCC4": "XPhos",
    "C1=CC=C(C=C1)P([C-]2C=CC=C2)C3=CC=CC=C3."
    "C1=CC=C(C=C1)P([C-]2C=CC=C2)C3=CC=CC=C3.[Fe+2]": "dppf",
    "O6c1c(cccc1P(c2ccccc2)c3ccccc3)C(c7cccc(P(c4ccccc4)c5ccccc5)c67)(C)C": "Xantphos",
    "none": "none",
}
BASES = {
    "[OH-].[Na+]": "NaOH",
    "[Na+].OC([O-])=O": "NaHCO3",
    "[F-].[Cs+]": "CsF",
    "[K+].[K+].[K+].[O-]P([O-])([O-])=O": "K3PO4",
    "[K+].[OH-]": "KOH",
    "[Li+].[O-]C(C)(C)C": "LiOtBu",
    "CCN(CC)CC": "Et3N",
    "none": "none",
}
SOLVENTS = {
    "CC#N.O": "MeCN/water",
    "C1CCOC1.O": "THF/water",
    "CN(C)C=O.O": "DMF/water",
    "CO.O": "MeOH/water",
}


def load_suzuki_tasks():
    """Yields of Suzuki couplings: 180 tasks of 32 reactions, 12 features.

    A task is one pair of reactants with one ligand: predict the yield from the base
    and the solvent. The 5,760 reactions are those of [1]_ and are part of this package,
    under the MIT licence (``skmeta/datasets/data/suzuki-LICENSE.txt``).

    Returns
    -------
    tasks : TaskCollection
        Each with X (32, 12), 1.0 where the column's base or solvent was used, else
        0.0, and y the yield as a fraction, from 0 to 1. The names say the reactants
        and the ligand: quinolines 1a (chloride), 1b (bromide), 1c (triflate),
        1d (iodide), 1e (boronic acid), 1f (trifluoroborate) and 1g (boronic ester),
        with indazoles 2a (boronic acid), 2b (boronic ester), 2c (trifluoroborate) and
        2d (bromide).

    References
    ----------
    .. [1] Perera et al., "A platform for automated nanomole-scale reaction screening
       and micromole-scale synthesis in flow", Science 359, 429-434, 2018.

    Examples
    --------
    >>> from skmeta.datasets import load_suzuki_tasks
    >>> tasks = load_suzuki_tasks()
    >>> tasks
    TaskCollection(n_tasks=180, n_rows=5,760, n_features=12)
    >>> tasks[8].name
    '1a + 2a, XPhos'
    >>> tasks.feature_names[:3]
    ('base=NaOH', 'base=NaHCO3', 'base=CsF')
    """
    path = resources.files("skmeta.datasets") / "data" / "suzuki.csv.gz"
    with path.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = _codes("1", [row["reactant_1"] for row in rows])
    second = _codes("2", [row["reactant_2"] for row in rows])
    columns = [("base", smiles) for smiles in BASES]
    columns += [("solvent", smiles) for smiles in SOLVENTS]
    tasks = {}
    for row in rows:
        pair = f"{first[row['reactant_1']]} + {second[row['reactant_2']]}"
        X, y = tasks.setdefault(f"{pair}, {LIGANDS[row['ligand']]}", ([], []))
        X.append([row[part] == smiles for part, smiles in columns])
        y.append(float(row["yield"]))
    names = {**BASES, **SOLVENTS}
    feature_names = tuple(f"{part}={names[smiles]}" for part, smiles in columns)
    return TaskCollection(tasks)._replace(feature_names=feature_names)


def _codes(number, labels):
    """Label -> 1a, 1b, ... in order of first appearance."""
    return {
        label: number + chr(97 + i) for i, label in enumerate(dict.fromkeys(labels))
    }
