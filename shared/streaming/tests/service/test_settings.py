import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from eddyline.errors import SettingsError
from eddyline.service.settings import Settings, exit_on_bad_settings


class Demo(Settings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")

    depth: int = Field(default=3, ge=1)
    sources: tuple[str, ...] = ()
    password: SecretStr = Field(default=SecretStr("long enough"), min_length=8)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "EDDYLINE_HOST", "EDDYLINE_PORT", "EDDYLINE_AUTH_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("EDDYLINE_HEARTBEAT", "2.5")
    monkeypatch.setenv("DEMO_DEPTH", "7")
    settings = Demo.read()
    assert (settings.port, settings.heartbeat, settings.depth) == (9001, 2.5, 7)


def test_the_long_name_wins_over_the_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("EDDYLINE_PORT", "2")
    assert Settings.read().port == 2


def test_a_variable_counts_by_its_documented_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEARTBEAT", "LOG_LEVEL", "WORKERS"):
        monkeypatch.setenv(name, "7")
    assert Settings.read() == Settings()
    assert Settings(heartbeat=5).heartbeat == 5


def test_code_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDDYLINE_HEARTBEAT", "2")
    monkeypatch.setenv("DEMO_DEPTH", "7")
    assert (Demo(heartbeat=5).heartbeat, Demo(depth=5).depth) == (5, 5)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    # compose writes `EDDYLINE_AUTH_KEY: ${EDDYLINE_AUTH_KEY:-}`
    for name in ("EDDYLINE_AUTH_KEY", "EDDYLINE_AUTH_KEY_FILE", "EDDYLINE_PORT"):
        monkeypatch.setenv(name, "")
    settings = Settings.read()
    assert (settings.auth_key, settings.auth_key_file, settings.port) == (None, None, 8000)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("EDDYLINE_PORT", "http", "valid integer"),
        ("PORT", "99999", "less than or equal to 65535"),
        ("EDDYLINE_HEARTBEAT", "0", "greater than 0"),
        ("EDDYLINE_HEARTBEAT", "nan", "finite|greater than 0"),
        ("EDDYLINE_DRAIN_WINDOW", "inf", "finite"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, gateway", "'gateway' does not appear to be"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8", "has host bits set"),
        ("EDDYLINE_KEEP_ALIVE", "0", "greater than or equal to 1"),
        ("EDDYLINE_AUTH", "maybe", "'auto', 'on' or 'off'"),
        ("DEMO_DEPTH", "0", "greater than or equal to 1"),
        ("DEMO_SOURCES", "{not json", "expected JSON"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=reason) as caught:
        Demo.read()
    assert caught.value.detail.startswith(f"{variable}='{value}': ")


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDDYLINE_PORT", "x")
    monkeypatch.setenv("DEMO_DEPTH", "y")
    with pytest.raises(SettingsError) as caught:
        Demo.read()
    assert "EDDYLINE_PORT='x'" in caught.value.detail
    assert "DEMO_DEPTH='y'" in caught.value.detail


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("EDDYLINE_HEARTBEET", "EDDYLINE_HEARTBEAT"),
        ("eddyline_heartbeet", "EDDYLINE_HEARTBEAT"),
        ("EDDYLINE_LIMIT_STREAM", "EDDYLINE_LIMIT_STREAMS"),
        ("DEMO_DEPHT", "DEMO_DEPTH"),
        ("DEMO_HEARTBEAT", "EDDYLINE_HEARTBEAT"),
        ("DEMO_PORT", "EDDYLINE_PORT"),
    ],
)
def test_a_misspelt_setting_is_refused_and_the_nearest_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "5")
    with pytest.raises(SettingsError) as caught:
        Demo.read()
    assert caught.value.detail == f"{variable}: no such setting; did you mean {nearest}?"


def test_an_unknown_setting_is_refused_where_none_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDDYLINE_XYZZY", "sesame")
    monkeypatch.setenv("EDDYLINE_PORT", "x")
    with pytest.raises(SettingsError, match=r"^EDDYLINE_XYZZY: no such setting; EDDYLINE_PORT='x'"):
        Settings.read()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEMOGRAPHY", "1"),
        ("OTHER_DEPHT", "1"),  # of a service that runs in another process
        ("EDDYLINE_HEARTBEET", ""),
        ("EDDYLINE_APP", "eddyline_events.app:app"),
        ("EDDYLINE_TOKEN", "ey"),
        ("DEMO_URL", "http://127.0.0.1:8000"),
    ],
)
def test_what_is_no_setting_of_this_service_is_let_be(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert Demo.read().depth == 3


def test_what_kubernetes_sets_for_services_of_our_names_is_let_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DEMO", "DEMO_METRICS", "EDDYLINE_DEMO", "EDDYLINE"):
        for suffix, value in (
            ("_SERVICE_HOST", "10.0.0.11"),
            ("_SERVICE_PORT", "8000"),
            ("_SERVICE_PORT_HTTP_METRICS", "8000"),
            ("_PORT", "tcp://10.0.0.11:8000"),
            ("_PORT_8000_TCP", "tcp://10.0.0.11:8000"),
            ("_PORT_8000_TCP_PROTO", "tcp"),
            ("_PORT_8000_TCP_PORT", "8000"),
            ("_PORT_8000_TCP_ADDR", "10.0.0.11"),
            ("_PORT_53_UDP_ADDR", "10.0.0.11"),
        ):
            monkeypatch.setenv(name + suffix, value)
    assert (Demo.read().depth, Demo.read().port) == (3, 8000)
    monkeypatch.setenv("PORT", "8111")
    assert Demo.read().port == 8111


def test_a_secret_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDDYLINE_AUTH_KEY", "open sesame")
    monkeypatch.setenv("DEMO_PASSWORD", "open sesame")
    settings = Demo.read()
    assert "open sesame" not in f"{settings} {settings!r}"
    assert "auth_key=**********" in str(settings)


def test_a_bad_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "sesame")
    with pytest.raises(SettingsError, match="DEMO_PASSWORD=") as caught:
        Demo.read()
    assert "sesame" not in caught.value.detail


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.2", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert Settings(host=host).on_loopback is loopback


def test_bad_settings_end_the_process_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        exit_on_bad_settings(SettingsError("EDDYLINE_PORT='x': not a number"))
    assert caught.value.code == 3
    assert capsys.readouterr().err == "eddyline: EDDYLINE_PORT='x': not a number\n"


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "EDDYLINE_CORS_ORIGINS", "https://a.example, http://localhost:3000,http://[::1]:80,*"
    )
    origins = ("https://a.example", "http://localhost:3000", "http://[::1]:80", "*")
    assert Demo.read().cors_origins == origins


@pytest.mark.parametrize("bad", ["https://a.example/", "a.example", "https://A.example", "null"])
def test_an_origin_that_no_browser_sends_is_refused(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv("EDDYLINE_CORS_ORIGINS", bad)
    with pytest.raises(SettingsError, match=r"EDDYLINE_CORS_ORIGINS.*is no origin"):
        Settings.read()
