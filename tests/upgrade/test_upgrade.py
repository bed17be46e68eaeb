"""What version 0.1.0 was given works with this one: folders, settings, chart values. docs/upgrading.md tells of it."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from bento import artifact, settings
from bento.detector import Detector
from bento.settings import ROOT, ModelSettings, Settings
from tests.deploy.charts import only, rendered

OLD = Path(__file__).parent / "0.1.0"
# A folder of manifest format 1, with the operators of its time.
EMBEDDED = ROOT / "models" / "wordtell-small"
# Kubernetes lets nobody change these of an object that is there.
SELECTOR = {"app.kubernetes.io/name": "wordtell", "app.kubernetes.io/instance": "wordtell"}


def scores(folder: Path) -> tuple[str, np.ndarray]:
    detector = Detector.load(Settings(model=ModelSettings(checkpoint_dir=folder)))
    try:
        return detector.version, asyncio.run(detector.score(["She is the founder of a school."])).words[0]
    finally:
        detector.close()


def test_a_folder_of_format_1_is_served_and_means_the_same_in_format_2(tmp_path: Path) -> None:
    manifest = json.loads((EMBEDDED / artifact.MANIFEST).read_text())
    assert manifest["format"] == 1
    assert not {"engine", "activation", "position_limit"} & manifest.keys()
    newer = shutil.copytree(EMBEDDED, tmp_path / "newer")
    (newer / artifact.MANIFEST).write_text(
        artifact.load(EMBEDDED).manifest.to_json().replace('"format": 1', '"format": 2')
    )
    assert artifact.load(newer).manifest.format == artifact.FORMAT == 2
    (version, old), (newer_version, new) = scores(EMBEDDED), scores(newer)
    assert version == newer_version
    np.testing.assert_array_equal(old, new)


def test_every_key_of_the_old_settings_file_is_known() -> None:
    loaded = settings.load({settings.CONFIG_VARIABLE: str(OLD / "shared_config.yaml")})
    values = yaml.safe_load((OLD / "shared_config.yaml").read_text())
    kept = {origin.key: origin.value for origin in loaded.origins if origin.source != "default"}
    given = {f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()}
    given = {key: value for key, value in given.items() if value is not None}
    assert kept.keys() == given.keys()
    given["model.checkpoint_dir"] = OLD / given["model.checkpoint_dir"]
    assert kept == given


def test_every_key_of_the_old_settings_file_may_stand_in_the_environment() -> None:
    values = yaml.safe_load((OLD / "shared_config.yaml").read_text())
    environ = {
        settings.variable(f"{section}.{key}"): str(value).lower() if isinstance(value, bool) else str(value)
        for section, keys in values.items()
        for key, value in keys.items()
        if value is not None
    }
    assert settings.load(environ).settings.api.use_fp16 is False


def test_the_old_chart_values_are_valid_and_mean_the_same() -> None:
    values = yaml.safe_load((OLD / "values.yaml").read_text())
    objects = rendered(values)
    deployment = only(objects, "Deployment")
    assert deployment["metadata"]["name"] == "wordtell"
    assert deployment["spec"]["selector"] == {"matchLabels": SELECTOR}
    assert only(objects, "Service")["spec"]["selector"] == SELECTOR
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    asked = {name: str(amount) for name, amount in values["resources"]["limits"].items()}
    assert container["resources"]["limits"] == asked
    assert deployment["spec"]["replicas"] == values["replicas"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"source": "pvc", "pvc": {"claim": "models", "subPath": "small"}}},
        {"autoscaling": {"type": "hpa", "minReplicas": 2, "maxReplicas": 6, "hpa": {"targetCPU": 75}}},
        {"kserve": {"enabled": True, "mode": "Standard", "storageUri": "pvc://models/small"}},
        {"config": {"api": {"max_words": 500}, "cpu": {"lanes": 4}}, "apiKeysSecret": "keys"},
        {"ingress": {"enabled": True, "host": "wordtell.example.com", "path": "/"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_users_of_the_old_chart_set_is_still_valid(change: dict[str, object]) -> None:
    objects = rendered(change)
    assert objects


def test_the_document_names_what_a_user_has_to_look_at() -> None:
    told = (ROOT / "docs" / "upgrading.md").read_text()
    for key in ("api.use_fp16", "api.max_body_bytes", "resources.limits.memory", "model_version"):
        assert f"`{key}`" in told
