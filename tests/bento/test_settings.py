"""Settings: where each came from, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bento import settings
from bento.artifact import ModelFolder
from bento.errors import ConfigError


def write(path: Path, text: str) -> dict[str, str]:
    """The environment that names a config file of this content."""
    path.mkdir(exist_ok=True)
    (path / "config.yaml").write_text(text, encoding="utf-8")
    return {"WORDTELL_CONFIG": str(path / "config.yaml")}


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    environ = write(tmp_path, "api: {max_words: 100, max_sentences: 10}") | {"WORDTELL_API__MAX_WORDS": "50"}
    loaded = settings.load(environ)
    assert (loaded.settings.api.max_words, loaded.settings.api.max_sentences) == (50, 10)
    sources = {origin.key: origin.source for origin in loaded.origins}
    assert sources["api.max_words"] == "environment WORDTELL_API__MAX_WORDS"
    assert sources["api.max_sentences"] == "config.yaml"
    assert sources["api.timeout_s"] == "default"


def test_a_path_is_relative_to_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = write(tmp_path / "etc", "model: {checkpoint_dir: here}")
    assert settings.load(environ).settings.model.checkpoint_dir == tmp_path / "etc" / "here"
    monkeypatch.chdir(tmp_path)
    there = settings.load(environ | {"WORDTELL_MODEL__CHECKPOINT_DIR": "there"})
    assert there.settings.model.checkpoint_dir == tmp_path / "there"


def test_a_mounted_model_goes_before_an_embedded_one(tmp_path: Path, fake_folder: ModelFolder) -> None:
    def chosen(environ: dict[str, str], mount: Path) -> tuple[Path, str]:
        loaded = settings.load(environ, mount)
        (source,) = (origin.source for origin in loaded.origins if origin.key == "model.checkpoint_dir")
        return loaded.settings.model.checkpoint_dir, source

    mounted = (fake_folder.path, f"mounted at {fake_folder.path}")
    embedded = settings.ROOT / "models" / "wordtell-small"
    assert chosen({}, fake_folder.path) == mounted  # though the shipped file names the embedded one
    assert chosen(write(tmp_path, ""), fake_folder.path) == mounted
    assert chosen({}, tmp_path / "nothing") == (embedded, "shared_config.yaml")
    assert chosen({}, tmp_path) == (embedded, "shared_config.yaml")  # a folder, but no model
    named = {"WORDTELL_MODEL__CHECKPOINT_DIR": str(embedded)}
    assert chosen(named, fake_folder.path) == (embedded, "environment WORDTELL_MODEL__CHECKPOINT_DIR")
    elsewhere = write(tmp_path, "model: {checkpoint_dir: mine}")
    assert chosen(elsewhere, fake_folder.path) == (tmp_path / "mine", "config.yaml")


def test_the_environment_is_read_as_yaml(tmp_path: Path) -> None:
    environ = write(tmp_path, "") | {"WORDTELL_API__KEYS": "[first-key, second-key]", "WORDTELL_MODEL__NAME": "null"}
    loaded = settings.load(environ).settings
    assert loaded.api.keys == ("first-key", "second-key")
    assert loaded.model.name is None


def test_the_shipped_file_sets_what_the_code_does() -> None:
    loaded = settings.load({})
    assert loaded.settings == settings.Settings()
    assert "shared_config.yaml" in {origin.source for origin in loaded.origins}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("api: {max_word: 3}", r"unknown key 'api.max_word'; did you mean 'api.max_words'\?"),
        ("apis: {}", r"unknown section 'apis'; did you mean 'api'\?"),
        ("zebra: {}", "unknown section 'zebra'; known: model, api, cpu"),
        ("api: {max_words: many}", "config.yaml: api.max_words: input should be a valid integer.*'many'"),
        ("api: {max_words: 0}", "api.max_words: input should be greater than or equal to 1, not 0"),
        ("api: {use_fp16: true}", "config.yaml: api.use_fp16: ONNX Runtime has no FP16"),
        ("api: {keys: [short]}", "api.keys"),
        ("api: 3", "api: must be a mapping"),
        ("- 1", "must be a mapping"),
        ("api: {", "cannot be read"),
        ("model: {max_tokens: 100, window_overlap: 51}", "window_overlap is 51: at most half"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings.load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("WORDTELL_API__MAX_WORD", "did you mean 'WORDTELL_API__MAX_WORDS'"),
        ("WORDTELL_LANES", "unknown environment variable WORDTELL_LANES"),
    ],
)
def test_an_unknown_variable_is_named(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings.load(write(tmp_path, "") | {name: "3"})


def test_a_config_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="WORDTELL_CONFIG: there is no file"):
        settings.load({"WORDTELL_CONFIG": str(tmp_path / "none.yaml")})


def test_settings_are_frozen() -> None:
    loaded = settings.load({}).settings
    with pytest.raises(ValueError, match="frozen"):
        loaded.api.max_words = 3  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for _, field in settings.fields())
