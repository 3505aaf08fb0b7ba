"""The command `eddyline`, whose subcommands are imported when they are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from eddyline import __main__ as command


def test_the_script_is_installed_and_lists_the_commands() -> None:
    script = Path(sys.executable).with_name("eddyline")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for name in command.COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", command.COMMANDS)
def test_a_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main([name, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: eddyline {name} ")


def test_an_unknown_command_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["server"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("'server'", *command.COMMANDS))


def test_a_command_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.COMMANDS, "token", ("no_such_package.tokens", "auth", "about"))
    with pytest.raises(SystemExit) as caught:
        command.main(["token"])
    assert caught.value.code == (
        "eddyline: token needs no_such_package: pip install 'eddyline[auth]'"
    )


def test_help_imports_no_server_and_no_cryptography() -> None:
    code = (
        "import sys\nfrom eddyline.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'uvicorn', 'fastapi', 'cryptography'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_app_of_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("app = 'no app at all'\n")
    script = Path(sys.executable).with_name("eddyline")
    done = subprocess.run(
        [script, "serve", "mine:app"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "mine:app is str, expected the FastAPI" in done.stderr
