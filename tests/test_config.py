"""Settings: their sources, the values they take, and the errors for wrong values."""

from __future__ import annotations

from pathlib import Path

import pytest

from livejobs.cli.run.command import run
from livejobs.client import settings as sdk
from livejobs.config import (
    SWITCH,
    TABLE,
    SettingError,
    Settings,
    load,
    refuse_strangers,
    unknown_variables,
)


def refusal(flags: dict[str, object], environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        load(flags, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def toml(folder: Path, text: str) -> str:
    path = folder / "livejobs.toml"
    path.write_text(text)
    return str(path)


def test_without_any_setting_the_defaults_are_those_of_the_contract() -> None:
    settings = load({}, {})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.data) == (
        "127.0.0.1",
        8000,
        Path("livejobs-data"),
    )
    assert (settings.max_body_bytes, settings.max_head_bytes) == (1048576, 131072)
    assert (settings.max_line_bytes, settings.max_batch) == (16384, 1000)


def test_the_flag_wins_then_the_variable_then_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, 'port = 1\nhost = "::1"\nmax_batch = 7\n')
    environ = {"LIVEJOBS_CONFIG": file, "LIVEJOBS_PORT": "2", "LIVEJOBS_HOST": "127.0.0.2"}
    settings = load({"port": "3", "host": None}, environ)
    assert (settings.port, settings.host, settings.max_batch) == (3, "127.0.0.2", 7)


def test_every_setting_is_a_flag_a_variable_and_a_key(tmp_path: Path) -> None:
    for row in TABLE:
        wrong = "\x00"
        assert refusal({row.name: wrong}).startswith(f"{row.name} ({row.flag}): takes ")
        assert refusal({}, {row.variable: wrong}).startswith(f"{row.name} ({row.variable}): takes ")
        if row.name != "config":
            file = toml(tmp_path, f'{row.name} = "\\u0000"')
            source = f"livejobs.toml: {row.name}"
            assert refusal({"config": file}).startswith(f"{row.name} ({source}): takes ")


def test_files_may_be_in_a_folder_an_object_store_or_the_data_folder() -> None:
    for url, folder, store in (
        (None, "d/files", None),
        ("file:///srv/the%20files", "/srv/the files", None),
        ("file:///%C3%BC/", "/ü", None),
        ("s3://bucket/x", "d/files", "s3://bucket/x"),
    ):
        settings = load({"data": "d", "files": url}, {})
        assert (settings.files_folder, settings.object_store) == (Path(folder), store)
    for url in ("file://srv", "file:///", "file:///a\u00fc", "file:///a%00", "file:a", "/srv", ""):
        assert refusal({"files": url}).startswith("files (--files): takes ")
    shared: dict[str, object] = {"files": "file:///srv"}
    assert load({**shared, "sendfile": "x-sendfile"}, {}).sendfile == "x-sendfile"
    assert "needs an object store" in refusal({**shared, "files_redirect": "true"})


def test_times_by_name_may_be_a_toml_table(tmp_path: Path) -> None:
    file = toml(tmp_path, '[retention_types]\nrender = 3600\n"a,b" = "2d"\n')
    assert load({"config": file}, {}).retention_types == (("render", 3600.0), ("a,b", 172800.0))
    for wrong in ("[]", "1", '["a=1"]', "{a = true}", "{a = [1]}", '{"" = 1}'):
        file = toml(tmp_path, f"retention_types = {wrong}")
        assert "takes names and times" in refusal({"config": file})


def test_no_default_is_refused_by_its_own_reader() -> None:
    for row in TABLE:
        if row.default is not None:
            assert row.read(row.default, "") == row.default


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("port", "0", 0),
        ("max_body_bytes", "1048576", 1 << 20),
        ("max_body_bytes", "10MiB", 10 << 20),
        ("max_body_bytes", "64 KiB", 64 << 10),
        ("heartbeat_timeout", "2.5", 2.5),
        ("heartbeat_timeout", "90", 90.0),
        ("open", "true", True),
        ("open", "0", False),
        ("data", "some/where", Path("some/where")),
        ("base_path", "/api/jobs", "/api/jobs"),
        ("base_path", "", ""),
        ("faces", "render, tasks", ("render", "tasks")),
        ("faces", "", ()),
        ("log_level", "warning", "warning"),
        ("max_connections", "12", 12),
        ("retention_types", "render=3600", (("render", 3600.0),)),
        (
            "retention_types",
            "a=1.5h, b c = 2d,d=10m,e=0,f=g=9s",
            (("a", 5400.0), ("b c", 172800.0), ("d", 600.0), ("e", 0.0), ("f=g", 9.0)),
        ),
        ("retention_projects", "a=1", (("a", 1.0),)),
        ("keep_log_lines", "1000", 1000),
        ("keep_log_bytes", "1MiB", 1 << 20),
    ],
)
def test_text_is_read_as_a_value_of_its_setting(name: str, value: str, read: object) -> None:
    assert getattr(load({name: value}, {}), name) == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", ""),
        ("port", "http"),
        ("max_body_bytes", "0"),
        ("max_body_bytes", "10MB"),
        ("max_body_bytes", "9" * 400),
        ("heartbeat_timeout", "0"),
        ("heartbeat_timeout", "nan"),
        ("heartbeat_timeout", "inf"),
        ("open", "maybe"),
        ("host", ""),
        ("host", "a\nb"),
        ("base_path", "/"),
        ("base_path", "jobs"),
        ("base_path", "/a/../b?"),
        ("log_level", "loud"),
        ("data", "a\x00b"),
        ("allowed_hosts", "a,,b"),
        ("rate_read", "200"),
        ("retention_types", ""),
        ("retention_types", "a"),
        ("retention_types", "=1"),
        ("retention_types", "a=1,a=2"),
        ("retention_types", "a=-1"),
        ("retention_types", "a=1w"),
        ("retention_types", "a=1.2.3"),
        ("retention_types", "a=9999999d"),
        ("keep_log_lines", "0"),
    ],
)
def test_text_that_a_setting_does_not_take_is_refused(name: str, value: str) -> None:
    assert "takes" in refusal({name: value})


@pytest.mark.parametrize(
    "line", ["port = true", "port = 1.5", 'open = "maybe"', "data = 3", "open = [1]"]
)
def test_a_toml_value_of_the_wrong_type_is_refused(tmp_path: Path, line: str) -> None:
    assert "takes" in refusal({"config": toml(tmp_path, line)})


def test_a_toml_value_has_its_own_type(tmp_path: Path) -> None:
    settings = load({"config": toml(tmp_path, "open = true\nport = 9\nlost_after = 10")}, {})
    assert (settings.open, settings.port, settings.lost_after) == (True, 9, 10.0)


def test_a_key_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    error = refusal({"config": toml(tmp_path, "prot = 1")})
    assert error == "prot (livejobs.toml: prot): there is no such setting"
    assert "no such setting" in refusal({"config": toml(tmp_path, 'config = "b.toml"')})


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "can't read" in refusal({"config": str(tmp_path / "none.toml")})
    assert "is not TOML" in refusal({"config": toml(tmp_path, "port = ")})
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    assert "is not TOML" in refusal({}, {"LIVEJOBS_CONFIG": str(tmp_path / "bytes.toml")})


def test_a_variable_that_is_no_setting_is_reported() -> None:
    kill_after = next(str(it.envvar) for it in run.params if it.name == "grace")
    environ = {"LIVEJOBS_PROT": "1", "LIVEJOBS_PORT": "1", "HOME": "/"}
    of_workers = dict.fromkeys((sdk.URL, sdk.KEY, sdk.JOB, sdk.SPOOL, kill_after), "")
    assert unknown_variables(environ | of_workers) == ["LIVEJOBS_PROT"]


def test_values_set_in_code_are_checked_by_the_same_rules() -> None:
    with pytest.raises(
        SettingError, match=r"^port: takes a whole number from 0 to 65535, not '-1'"
    ):
        Settings(port=-1)


def test_a_certificate_needs_its_key() -> None:
    assert "both or neither" in refusal({"ssl_certfile": "cert.pem"})


def test_http2_needs_a_certificate() -> None:
    assert refusal({"http2": "true"}).startswith("http2: needs ssl_certfile")


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1000", "1.5", "", "2 "])
def test_workers_are_a_whole_number_from_1_to_64(wrong: str) -> None:
    takes = f"workers (--workers): takes a whole number from 1 to 64, not {wrong!r}"
    assert refusal({"workers": wrong, "database": "postgresql://a/b"}) == takes


def test_several_workers_need_a_database() -> None:
    assert (
        refusal({"workers": "2"}) == "workers: more than 1 need a PostgreSQL database: set database"
    )
    assert load({"workers": "1"}, {}).workers == 1
    assert load({"workers": "2", "database": "postgresql://a/b"}, {}).workers == 2


def test_the_documentation_has_the_row_of_every_setting() -> None:
    page = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    for row in TABLE:
        shown = str(row.default).lower() if row.format is SWITCH else str(row.default)
        default = "" if row.default in (None, (), "") else f"`{shown}`"
        line = f"| `{row.name}` | {default} | {row.format.takes} | {row.help} |"
        assert line in page, line


def test_a_secret_never_prints() -> None:
    assert "hunter" not in repr(Settings(admin_key="hunter"))
    assert "hunter\x00" not in refusal({"admin_key": "hunter\x00"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_no_key_is_needed(host: str) -> None:
    refuse_strangers(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.1"])
def test_on_any_other_host_the_server_needs_a_key_or_open(host: str) -> None:
    with pytest.raises(SettingError, match=r"LIVEJOBS_ADMIN_KEY=….*--open"):
        refuse_strangers(Settings(host=host))
    refuse_strangers(Settings(host=host, open=True))
