"""Keeps the suite's keys in a folder: those that the environment gives, else some made once.

The one-shot service `keys` of docker-compose.yml: services that read them by file need no `.env`.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path


def main(folder: Path) -> None:
    key = keep(folder / "auth-key", os.environ.get("EDDYLINE_AUTH_KEY", ""), 0o600)
    # Grafana is another user, in this one's group.
    keep(folder / "grafana-password", os.environ.get("GRAFANA_PASSWORD", ""), 0o640)
    write(folder / "token", token(key), 0o600)


def keep(file: Path, given: str, mode: int) -> Path:
    """The file, with the key that was given, else with its own, else with a new one."""
    if given or not file.exists():
        write(file, given or secrets.token_hex(32), mode)
    return file


def write(file: Path, text: str, mode: int) -> None:
    """As a whole: a process that reads it meanwhile gets the old one or the new one."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
        opened.write(text)
    new.rename(file)


def token(key: Path) -> str:
    """The load test's: it may read everything, ask, and publish to topics of its own."""
    scopes = "events:subscribe events:publish:load/* logs:read downloads:read records:read chat:*"
    mint = [sys.executable, "-m", "eddyline", "token", "--key-file", str(key)]
    mint += ["--subject", "loadtest", "--scope", scopes, "--expires", "30d"]
    return subprocess.run(mint, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
