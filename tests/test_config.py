"""Settings: which source wins, what every wrong value is told, and what is shown of the right ones."""

from pathlib import Path
from typing import Any

import pytest

from mailferry.config import SETTINGS, BadSetting, Config, Setting, load, parse_host_port, parse_listen


def told(file: Path | None = None, environ: dict[str, str] | None = None, **overrides: Any) -> list[str]:
    """What is wrong, a line each."""
    with pytest.raises(BadSetting) as caught:
        load(file, environ or {}, {name.replace("__", "."): value for name, value in overrides.items()})
    return str(caught.value).splitlines()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mailferry.toml"
    path.write_text(text, "utf-8")
    return path


def test_without_any_source_all_are_defaults() -> None:
    config = load(None, {})
    assert {s.key: config[s.key] for s in SETTINGS} == {s.key: s.default for s in SETTINGS}
    assert set(config.origins.values()) == {"default"}


def test_the_command_line_wins_over_the_environment_that_over_the_file_the_file_over_the_default(
    tmp_path: Path,
) -> None:
    file = written(
        tmp_path,
        '[server]\ndata_dir = "file"\nhostname = "file.test"\n[http]\nhosts = ["file.test"]\n[dns]\nzone="z.test"',
    )
    environ = {"MAILFERRY_SERVER_DATA_DIR": "environment", "MAILFERRY_SERVER_HOSTNAME": "environment.test"}
    config = load(file, environ, {"server.data_dir": "flag"})
    assert {key: (config[key], config.origins[key]) for key in config.values if config.origins[key] != "default"} == {
        "server.data_dir": ("flag", "command line"),
        "server.hostname": ("environment.test", "MAILFERRY_SERVER_HOSTNAME"),
        "http.hosts": (["file.test"], str(file)),
        "dns.zone": ("z.test", str(file)),
    }
    assert config.file == file


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_comes_from_the_environment(setting: Setting) -> None:
    text, value = {
        "str": ("mail.example.test", "mail.example.test"),
        "path": ("some/where", "some/where"),
        "int": ("7", 7),
        "bool": ("yes", True),
        "list": ("127.0.0.1:7, ,[::1]:8", ["127.0.0.1:7", "[::1]:8"]),
    }[setting.kind]
    if special := SPECIAL.get(setting.key):
        text, value = special
    if setting.choices and setting.kind == "str":
        text = value = setting.choices[-1]
    together = {"relay.host": "smtp.example.test:587", "tls.certificate": "c.pem", "tls.key": "k.pem"}
    config = load(None, {setting.variable: text}, {key: v for key, v in together.items() if key != setting.key})
    assert config[setting.key] == value
    assert config.origins[setting.key] == setting.variable


SPECIAL: dict[str, tuple[str, Any]] = {
    "server.public_url": ("https://mail.example.test", "https://mail.example.test"),
    "tracking.url": ("https://t.example.test", "https://t.example.test"),
    "server.roles": ("api,smtp", ["api", "smtp"]),
    "server.trusted_proxies": ("10.0.0.0/8,::1", ["10.0.0.0/8", "::1"]),
    "database.url": ("postgresql://user@host/name", "postgresql://user@host/name"),
    "delivery.local_address": ("192.0.2.1", "192.0.2.1"),
    "relay.host": ("smtp.example.test:465", "smtp.example.test:465"),
    "metrics.listen": ("127.0.0.1:7", "127.0.0.1:7"),
    "sandbox.spamd": ("spamd.example.test:783", "spamd.example.test:783"),
    "sandbox.blocklists": ("bl.example.test, domain:d.example.test", ["bl.example.test", "domain:d.example.test"]),
    "sandbox.rspamd": ("http://rspamd.example.test:11333", "http://rspamd.example.test:11333"),
}


def test_lists_are_written_as_lists_or_with_commas(tmp_path: Path) -> None:
    for text in ('["a.test", " b.test "]', '"a.test, b.test"', '"a.test,,b.test,"'):
        assert load(written(tmp_path, f"[http]\nhosts = {text}"), {})["http.hosts"] == ["a.test", "b.test"]
    assert load(None, {"MAILFERRY_HTTP_LISTEN": ""})["http.listen"] == []


WRONG = [
    ("http.listen", "8025", "is no ADDRESS:PORT with an IP address (all: 0.0.0.0:2525, IPv6: [::1]:2525)"),
    ("http.listen", "localhost:8025", "'localhost:8025' is no ADDRESS:PORT"),
    ("http.listen", "127.0.0.1:8025,127.0.0.1:99999", "'127.0.0.1:99999' is no ADDRESS:PORT"),
    ("http.listen", "127.0.0.1:0", "is no ADDRESS:PORT"),
    ("http.listen", "::1:8025", "is no ADDRESS:PORT"),
    ("http.tls_listen", "tls://127.0.0.1:443", "tls:// is for [smtp] listen alone"),
    ("smtp.listen", "tls:/127.0.0.1:465", "is no ADDRESS:PORT"),
    ("pop3.listen", "1100", "is no ADDRESS:PORT"),
    ("metrics.listen", "*:9025", "is no ADDRESS:PORT"),
    ("sandbox.blocklists", "bl.example.test,https://x.test", "'https://x.test' is no zone of a blocklist"),
    ("sandbox.spamd", "783", "is no HOST:PORT"),
    ("sandbox.rspamd", "rspamd.example.test:11333", "is no URL of a host"),
    ("server.public_url", "mail.example.test", "is no URL of a host, e.g. https://mail.example.com"),
    ("tracking.url", "t.example.test", "is no URL of a host, e.g. https://mail.example.com"),
    ("server.roles", "api,cook", "'cook' is none of api, smtp, delivery, consumers, housekeeping"),
    ("server.trusted_proxies", "10.0.0.0/8,proxy", "'proxy' is neither an IP address nor a network such as 10.0.0.0/8"),
    ("smtp.plain_auth", "maybe", "true or false is needed, not 'maybe'"),
    ("smtp.max_connections", "many", "a whole number is needed, not 'many'"),
    ("smtp.max_connections", "--5", "a whole number is needed, not '--5'"),
    ("smtp.max_connections", "0", "0 is out of range; it goes from 1 to"),
    ("delivery.smtp_port", "65536", "65536 is out of range; it goes from 1 to 65535"),
    ("delivery.signers", "-2", "-2 is out of range; it goes from -1 to"),
    ("delivery.transport", "pigeon", "'pigeon' is none of mx, relay"),
    ("delivery.local_address", "eth0", "'eth0' is no IP address"),
    ("database.url", "mysql://user:secret@host/name", "it begins with postgresql://"),
    ("dns.nameservers", "resolver.test", "'resolver.test' is no name server as IP:PORT"),
    ("relay.host", "smtp.example.test", "'smtp.example.test' is no HOST:PORT, e.g. smtp.example.com:587"),
    ("relay.tls", "yes", "'yes' is none of required, implicit, opportunistic, none"),
    ("retention.logs_days", "0", "0 is out of range"),
    ("log.level", "loud", "'loud' is none of debug, info, warning, error"),
]


@pytest.mark.parametrize(("key", "value", "right"), WRONG)
def test_a_wrong_value_names_the_setting_its_source_and_what_is_right(key: str, value: str, right: str) -> None:
    section, _, name = key.partition(".")
    variable = f"MAILFERRY_{section}_{name}".upper()
    (line,) = told(None, {variable: value})
    assert line.startswith(f"[{section}] {name} from {variable}: ")
    assert right in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[http]\nlisten = 8025", "[http] listen from {}: a list of strings is needed, not 8025"),
        ("[http]\nlisten = [8025]", "[http] listen from {}: a list of strings is needed, not [8025]"),
        ("[smtp]\nplain_auth = 1.5", "[smtp] plain_auth from {}: true or false is needed, not 1.5"),
        ("[smtp]\nmax_connections = true", "[smtp] max_connections from {}: a whole number is needed, not True"),
        ("[smtp]\nmax_connections = 2.0", "[smtp] max_connections from {}: a whole number is needed, not 2.0"),
        ("[server]\nhostname = 1", "[server] hostname from {}: a string is needed, not 1"),
        ("[htp]\nlisten = []", "[htp] listen from {}: there is no such setting; did you mean [http] listen?"),
        ("[http]\nlistn = []", "[http] listn from {}: there is no such setting; did you mean [http] listen?"),
        ("[zzz]\nqqq = 1", "[zzz] qqq from {}: there is no such setting"),
        ("listen = []", "listen from {}: settings stand in sections, e.g. [server]"),
        ("[http", "{} is no TOML: "),
    ],
)
def test_a_wrong_file_is_told_so(tmp_path: Path, text: str, wrong: str) -> None:
    file = written(tmp_path, text)
    (line,) = told(file)
    assert line.startswith(wrong.format(file))


def test_a_file_that_is_not_there_or_not_utf_8(tmp_path: Path) -> None:
    assert told(tmp_path / "none.toml") == [f"{tmp_path / 'none.toml'} cannot be read: No such file or directory"]
    (tmp_path / "latin.toml").write_bytes(b'[server]\nhostname = "gr\xf6\xdfe.test"')
    assert told(tmp_path / "latin.toml")[0].startswith(f"{tmp_path / 'latin.toml'} is no TOML: ")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, '[smtp]\nlisten = "x"\n[log]\nlevel = "loud"')
    lines = told(file, {"MAILFERRY_DELIVERY_ATTEMPTS": "-1"}, server__roles="cook")
    assert [line.partition(":")[0] for line in lines] == [
        f"[smtp] listen from {file}",
        f"[log] level from {file}",
        "[delivery] attempts from MAILFERRY_DELIVERY_ATTEMPTS",
        "[server] roles from command line",
    ]


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"delivery.transport": "relay"}, "[relay] host: needed when [delivery] transport is relay"),
        (
            {"sandbox.spamd": "127.0.0.1:783", "sandbox.rspamd": "http://127.0.0.1:11333"},
            "[sandbox] spamd and rspamd: one of them",
        ),
        ({"tls.key": "k.pem"}, "[tls] certificate and key: both or neither"),
        ({"server.roles": ""}, "[server] roles: at least one of api, smtp, delivery, consumers, housekeeping"),
        (
            {"smtp.plain_auth": "yes", "smtp.listen": "127.0.0.1:2525,0.0.0.0:587"},
            "[smtp] plain_auth: passwords in clear are for loopback listeners, not for 0.0.0.0",
        ),
    ],
)
def test_values_that_do_not_go_together(values: dict[str, str], wrong: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(None, {}, values)
    assert str(caught.value) == wrong


def test_listeners_are_read() -> None:
    assert parse_listen("127.0.0.1:2525") == ("127.0.0.1", 2525, False)
    assert parse_listen("tls://0.0.0.0:465") == ("0.0.0.0", 465, True)
    assert parse_listen("tls://[::1]:465") == ("::1", 465, True)
    assert parse_host_port("smtp.example.test:587") == ("smtp.example.test", 587)
    assert parse_host_port("[2001:db8::1]:25") == ("2001:db8::1", 25)


def test_what_turns_out_wrong_later_is_told_alike() -> None:
    config = Config({"tls.key": "k.pem"}, {"tls.key": "MAILFERRY_TLS_KEY"})
    assert str(config.wrong("tls.key", "it is gone")) == "[tls] key from MAILFERRY_TLS_KEY: it is gone"


def test_paths_follow_the_data_folder(tmp_path: Path) -> None:
    assert load(None, {}).data_dir == Path.cwd() / "data"
    config = load(None, {}, {"server.data_dir": str(tmp_path)})
    assert (config.data_dir, config.key_file) == (tmp_path, tmp_path / "secret.key")
    assert load(None, {"MAILFERRY_SECRETS_KEY_FILE": "/etc/key"}).key_file == Path("/etc/key")


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("MAILFERRY_DELIVERY_ATEMPTS", "; did you mean [delivery] attempts?"),
        ("MAILFERRY_DELIVRY_ATTEMPTS", "; did you mean [delivery] attempts?"),
        ("MAILFERRY_DELIVRY__ATTEMPTS", "; did you mean [delivery] attempts?"),
        ("MAILFERRY_DELIVERY__ATTEMPTS", "; did you mean [delivery] attempts?"),
        ("MAILFERRY_HTTPS_LISTEN", "; did you mean [http] listen?"),
        ("MAILFERRY_DELIVRY_XYZZYXYZZY", ""),
        ("MAILFERRY_SMTP_PORT", ""),
    ],
)
def test_a_variable_that_is_misspelled_is_told_with_its_section_too(variable: str, near: str) -> None:
    (line,) = told(None, {variable: "25"})
    start = f"{variable} from the environment: there is no such setting"
    assert line == start + near or (not near and line.startswith(start))


def test_variables_of_others_are_left_alone() -> None:
    names = ("CRASH", "URL", "API_TOKEN", "API_URL", "SERVICE_HOST", "SERVICE_PORT_SUBMISSION", "PORT_25_TCP_ADDR")
    others = [f"MAILFERRY_{name}" for name in (*names, *(f"SMTP_{name}" for name in names[4:]))]
    assert set(load(None, dict.fromkeys(others, "x")).origins.values()) == {"default"}
    load(None, {"MAILFERRY_SMTP_PORT": "tcp://10.0.0.1:25", "MAILFERRY_PORT": "tcp://10.0.0.1:25"})
