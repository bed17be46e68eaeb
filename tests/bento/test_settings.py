"""Settings: where each came from, and errors that name the key."""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from bento import settings
from bento.artifact import ModelFolder
from bento.errors import ConfigError
from tests import kubelet


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
    (tmp_path / "empty" / "lost+found").mkdir(parents=True)  # a fresh volume
    assert chosen({}, tmp_path / "empty") == (embedded, "shared_config.yaml")
    named = {"WORDTELL_MODEL__CHECKPOINT_DIR": str(embedded)}
    assert chosen(named, fake_folder.path) == (embedded, "environment WORDTELL_MODEL__CHECKPOINT_DIR")
    elsewhere = write(tmp_path, "model: {checkpoint_dir: mine}")
    assert chosen(elsewhere, fake_folder.path) == (tmp_path / "mine", "config.yaml")


def test_numbers_and_switches_of_the_environment_are_read_as_yaml(tmp_path: Path) -> None:
    environ = write(tmp_path, "model: {max_tokens: 64, window_overlap: 16}")
    environ |= {"WORDTELL_MODEL__MAX_TOKENS": "null", "WORDTELL_CPU__FUSED": "no", "WORDTELL_API__TIMEOUT_S": "2.5 # s"}
    loaded = settings.load(environ).settings
    assert (loaded.model.max_tokens, loaded.cpu.fused, loaded.api.timeout_s) == (None, False, 2.5)


TEXTS = ["no", "1.10", "detector # blue", "007", "null", "~x", "2024-01-01", "[a]", "{a: b}", "*a", "a: b", '"a"']


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_the_environment_is_taken_as_it_stands(tmp_path: Path, text: str) -> None:
    environ = write(tmp_path, "") | {"WORDTELL_MODEL__NAME": text, "WORDTELL_MODEL__CHECKPOINT_DIR": f"/{text}"}
    loaded = settings.load(environ).settings
    assert (loaded.model.name, str(loaded.model.checkpoint_dir)) == (text, f"/{text}")


@pytest.mark.parametrize("folder", ["123", "yes", "null", "a # b"])
def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = settings.load(write(tmp_path, "") | {"WORDTELL_MODEL__CHECKPOINT_DIR": folder})
    assert loaded.settings.model.checkpoint_dir == tmp_path / folder


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_variable_is_unset(empty: str) -> None:
    environ = {settings.variable(key): empty for key, _ in settings.fields()} | {"WORDTELL_CONFIG": empty}
    assert settings.load(environ) == settings.load({})


def test_a_key_without_a_value_in_the_file_is_unset(tmp_path: Path) -> None:
    text = "".join(f"{key.split('.')[1]}:\n  " for key, _ in settings.fields() if key.startswith("api."))
    assert settings.load(write(tmp_path, f"api:\n  {text}")).settings == settings.Settings()


def keys(tmp_path: Path, text: str = "", **environ: str) -> list[str]:
    loaded = settings.load(write(tmp_path, text) | environ).settings
    return [key.get_secret_value() for key in loaded.api.keys]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s3cr3t-key-of-prod", ["s3cr3t-key-of-prod"]),
        ("12345678", ["12345678"]),
        ("1e9999999", ["1e9999999"]),
        ("0x1234567", ["0x1234567"]),
        ("2024-01-01", ["2024-01-01"]),
        ("some:key#1 {", ["some:key#1 {"]),
        ("s3cr3t-key\n", ["s3cr3t-key"]),  # as `kubectl create secret --from-file` keeps it
        ("[first-key, second-key]", ["first-key", "second-key"]),
        ("[12345678, 00000000, 'quoted, key']", ["12345678", "00000000", "quoted, key"]),
        ('["first-key"]', ["first-key"]),
        ("[]", []),
    ],
)
def test_keys_of_the_environment(tmp_path: Path, text: str, found: list[str]) -> None:
    assert keys(tmp_path, WORDTELL_API__KEYS=text) == found


def test_keys_of_the_file(tmp_path: Path) -> None:
    assert keys(tmp_path, "api: {keys: one-lone-key}") == ["one-lone-key"]
    assert keys(tmp_path, "api: {keys: [first-key, '12345678']}") == ["first-key", "12345678"]


SECRET = "s3cr3t"  # noqa: S105 - of these tests only


@pytest.mark.parametrize(
    ("text", "variable", "says"),
    [
        ("", SECRET, r"WORDTELL_API__KEYS: api.keys\[0\]: has 6 characters: at least 8"),
        ("", f"[long-enough, {SECRET}]", r"api.keys\[1\]: has 6 characters"),
        ("", f"{SECRET}-\u05e9\u05dc\u05d5\u05dd", "a header cannot carry"),
        ("", f"{SECRET}-two\nlines", "a header cannot carry"),
        ("", f"[{SECRET}-of-prod", r"WORDTELL_API__KEYS: begins with \[ but is no list"),
        ("", f"[{SECRET}-of-prod, [nested]]", "is no list of texts"),
        (f"api: {{keys: {SECRET}}}", "", r"config.yaml: api.keys\[0\]: has 6 characters"),
        (f"api: {{keys: [{SECRET}-of-prod, 12345678]}}", "", "api.keys: YAML reads this value as a number: write it"),
        (f"api: {{keys: [{SECRET}-of-prod, null]}}", "", "api.keys: must be a text or a list"),
        (f"api: {{keys: {{{SECRET}: 1}}}}", "", "api.keys: must be a text or a list"),
        (f"api: {{keys:{SECRET}-of-prod}}", "", r"unknown key 'api.keys...'; did you mean 'api.keys'\?"),
        (f"api: [{SECRET}", "", "config.yaml: cannot be read: line 1, column"),
        (f"api: {{keys: *{SECRET}}}", "", "cannot be read: line 1, column 13: found undefined alias"),
        (f"api:\n  keys: [{SECRET}-of-prod, 'a]\n", "", "cannot be read: line 3, column 1"),
        (f"api: {SECRET}", "", "api: must be a mapping"),
        (f"keys: {SECRET}-of-prod", "", "unknown section 'keys'"),
    ],
)
def test_no_error_prints_a_key(tmp_path: Path, text: str, variable: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        settings.load(write(tmp_path, text) | {"WORDTELL_API__KEYS": variable})
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_nothing_that_is_printed_of_settings_has_a_key(tmp_path: Path) -> None:
    loaded = settings.load(write(tmp_path, "") | {"WORDTELL_API__KEYS": f"{SECRET}-of-prod"})
    for shown in (repr(loaded), str(loaded.settings), loaded.settings.model_dump_json(), f"{loaded.origins}"):
        assert SECRET not in shown
        assert "keys" in shown
    with pytest.raises(ValidationError) as refused:
        settings.ApiSettings(keys=(SECRET,))  # pydantic makes it one
    assert SECRET not in str(refused.value)


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
        ("model: {device: gpu}", "config.yaml: model.device: string should match pattern"),
        ("model: {name: no}", 'config.yaml: model.name: YAML reads this value as true or false: .*quotes, name: "..."'),
        ("model: {name: 1.10}", "model.name: YAML reads this value as a number"),
        ("model: {name: 2024-01-01}", "model.name: YAML reads this value as a date"),
        ("model: {name: [a]}", "model.name: must be a text"),
        ("model: {checkpoint_dir: 123}", "model.checkpoint_dir: YAML reads this value as a number"),
        ("model: {checkpoint_dir: yes}", "model.checkpoint_dir: YAML reads this value as true or false"),
        ("api: {base_path: 1}", "api.base_path: YAML reads this value as a number"),
        ("api: {base_path: wordtell}", "api.base_path: must begin with / and not end with it, .* not 'wordtell'"),
        ("api: {base_path: /a/}", "api.base_path: must begin with /"),
        ("api: {base_path: /}", "api.base_path: must begin with /"),
        ("api: {base_path: //a}", "api.base_path: must begin with /"),
        ("api: {base_path: /a/../b}", "api.base_path: must begin with /"),
        ("api: {base_path: '/a\"<b'}", "api.base_path: must begin with /"),
        (
            "api: {cors_origins: 'https://a.example/'}",
            r"api.cors_origins\[0\]: must be an origin .*'https://a.example/'",
        ),
        ("api: {cors_origins: [https://a.example, b.example]}", r"api.cors_origins\[1\]: must be an origin"),
        ("api: {cors_origins: 'https://a,https://b'}", r"api.cors_origins\[0\]: must be an origin"),
        ("api: 3", "api: must be a mapping"),
        ("- 1", "must be a mapping"),
        ("api: {", "config.yaml: cannot be read: line 1, column 7: expected the node content, but found"),
        ("model: {name: 2024-13-99}", "a value looks like a date or a number, but is none: quote it"),
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
        ("WORDTELL_API_MAX_WORDS", r"'WORDTELL_API__MAX_WORDS'\? Two underscores stand between section and key."),
        ("WORDTELL_MODEL_CHECKPOINT_DIR", r"'WORDTELL_MODEL__CHECKPOINT_DIR'\? Two underscores"),
        ("WORDTELL_PORT", "unknown environment variable WORDTELL_PORT"),  # 3: no address of a Service's
        ("WORDTELL_API__PORT", "unknown environment variable WORDTELL_API__PORT"),
        ("WORDTELL_API__SERVICE_HOST", "unknown environment variable WORDTELL_API__SERVICE_HOST"),
        ("WORDTELL_PORT_80", "unknown environment variable WORDTELL_PORT_80"),
    ],
)
def test_an_unknown_variable_is_named(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings.load(write(tmp_path, "") | {name: "3"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*", ("*",)),
        ("https://App.Example.com", ("https://app.example.com",)),
        ("https://a.example:443", ("https://a.example",)),
        ("[http://a.example:80, 'http://[::1]:8080']", ("http://a.example", "http://[::1]:8080")),
        ("chrome-extension://abcdef", ("chrome-extension://abcdef",)),
    ],
)
def test_origins_are_as_browsers_send_them(tmp_path: Path, text: str, found: tuple[str, ...]) -> None:
    loaded = settings.load(write(tmp_path, "") | {"WORDTELL_API__CORS_ORIGINS": text})
    assert loaded.settings.api.cors_origins == found


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "null", "https://*.example", "https://a,b", "//a"]
)
def test_what_is_no_origin_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match=r"WORDTELL_API__CORS_ORIGINS: api.cors_origins\[0\]: must be an origin"):
        settings.load(write(tmp_path, "") | {"WORDTELL_API__CORS_ORIGINS": origin})


@pytest.mark.parametrize("name", ["wordtell", "wordtell-api", "wordtell-api-keys", "wordtell-2", "wordtell-a--b"])
@pytest.mark.parametrize(("port", "protocol", "port_name"), [(80, "tcp", "http"), (3000, "udp", "web-2")])
def test_what_kubernetes_sets_for_a_service_is_not_ours(name: str, port: int, protocol: str, port_name: str) -> None:
    environ = kubelet.service_variables(name, port, protocol, port_name)
    assert settings.load(environ | {"WORDTELL_API__MAX_WORDS": "7"}).settings.api.max_words == 7


def test_a_model_mounted_a_level_too_deep(tmp_path: Path, fake_folder: ModelFolder) -> None:
    """The only one is served; several, or something else, stop the server."""
    mount = tmp_path / "models"
    shutil.copytree(fake_folder.path, mount / "large")
    (mount / "notes.txt").touch()
    shutil.copytree(fake_folder.path, mount / ".copying")
    loaded = settings.load({}, mount)
    (source,) = (origin.source for origin in loaded.origins if origin.key == "model.checkpoint_dir")
    assert loaded.settings.model.checkpoint_dir == mount / "large"
    assert source == f"mounted at {mount}, in its only model folder large"
    explicit = settings.load({"WORDTELL_MODEL__CHECKPOINT_DIR": str(mount)}, mount)
    assert explicit.settings.model.checkpoint_dir == mount
    shutil.copytree(fake_folder.path, mount / "small")
    with pytest.raises(ConfigError, match="holds 2 model folders, large, small: mount one model folder there, or set"):
        settings.load({}, mount)
    shutil.copytree(fake_folder.path, mount, dirs_exist_ok=True)
    assert settings.load({}, mount).settings.model.checkpoint_dir == mount


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (["model.onnx"], "holds model.onnx, but no manifest.json"),
        (["a/b/manifest.json"], "holds a, but no manifest.json, nor has a folder in it one"),
        ([f"file{i}" for i in range(7)], "holds file0, file1, file2, file3, file4, and 2 more, but"),
    ],
)
def test_a_mount_that_holds_no_model_stops_the_server(tmp_path: Path, made: list[str], says: str) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=f"{tmp_path} {says}"):
        settings.load({}, tmp_path)
    elsewhere = {"WORDTELL_MODEL__CHECKPOINT_DIR": "/mine"}
    assert settings.load(elsewhere, tmp_path).settings.model.checkpoint_dir == Path("/mine")


def test_a_config_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="WORDTELL_CONFIG: there is no file"):
        settings.load({"WORDTELL_CONFIG": str(tmp_path / "none.yaml")})


def test_settings_are_frozen() -> None:
    loaded = settings.load({}).settings
    with pytest.raises(ValueError, match="frozen"):
        loaded.api.max_words = 3  # type: ignore[misc]  # what must fail


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for _, field in settings.fields())
