"""Files of version 0.1.0 load, and predict what they did.

That version rounded what pooled estimators predict to float32.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from skmeta import load
from skmeta._persistence import networks
from skmeta._persistence.records import CLASSES
from skmeta.exceptions import SavedFileError

FOLDER = Path(__file__).parents[1] / "data"
PREDICTIONS = json.loads((FOLDER / "predictions-0.1.0.json").read_text())


def predictions(model, X):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)
    return model.predict(X, return_std=True)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*-0.1.0.safetensors")), ids=str)
def test_predictions_are_the_same(path):
    name = path.name.removesuffix("-0.1.0.safetensors")
    model, X = load(path), np.array(PREDICTIONS[f"{name}_X"])
    np.testing.assert_allclose(predictions(model, X), PREDICTIONS[name], rtol=3e-7)


def test_names_of_classes_in_files_stay():
    """Whatever the classes are called now."""
    assert sorted(CLASSES) == [
        "FeatureRange", "FeatureScaler", "GaussianProcessPosterior", "LabelEncoder",
        "LaplacePosterior", "LatentPosterior", "LinearMixedModel", "LogisticMixedModel",
        "MissingValues", "MixedPrior", "PooledPredictor", "PooledPrior",
        "RandomEffects", "ReducedScaler", "SharedGaussianProcess", "SharedKernel",
        "SharedLatentProcess", "TargetScaler",
    ]  # fmt: skip


def test_former_names_of_weights(tmp_path, monkeypatch, saved_parts):
    """A module and a parameter were renamed after a file was written."""
    name, path = "self_attention_classifier", tmp_path / "file"
    arrays, node, metadata = saved_parts.read(FOLDER / f"{name}-0.1.0.safetensors")
    network = node["SelfAttentionMetaClassifier"]["meta_state"]["network"]
    for former, current in {"mixer": "encoder", "prior.level": "prior.signal"}.items():
        network["weights"] = {
            f".{key}.".replace(f".{current}.", f".{former}.")[1:-1]: array
            for key, array in network["weights"].items()
        }
    assert "learner.base.prior.level" in network["weights"]
    saved_parts.write(path, arrays, node, metadata)
    with pytest.raises(SavedFileError, match=r"prior\.level|mixer\."):
        load(path)
    renamed = networks.FORMER_NAMES | {
        "mixer": "encoder",
        "prior.level": "prior.signal",
    }
    monkeypatch.setattr(networks, "FORMER_NAMES", renamed)
    X = np.array(PREDICTIONS[f"{name}_X"])
    found = predictions(load(path), X)
    np.testing.assert_allclose(found, PREDICTIONS[name], rtol=3e-7)
