"""Files of version 0.1.0 load, and predict what they did.

That version rounded what pooled estimators predict to float32.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from skmeta import load

FOLDER = Path(__file__).parent / "data"
PREDICTIONS = json.loads((FOLDER / "predictions-0.1.0.json").read_text())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*-0.1.0.safetensors")), ids=str)
def test_predictions_are_the_same(path):
    name = path.name.removesuffix("-0.1.0.safetensors")
    model, X = load(path), np.array(PREDICTIONS[f"{name}_X"])
    if hasattr(model, "predict_proba"):
        found = model.predict_proba(X)
    else:
        found = model.predict(X, return_std=True)
    np.testing.assert_allclose(found, PREDICTIONS[name], rtol=3e-7)
