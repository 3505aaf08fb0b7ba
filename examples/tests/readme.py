"""The commands of an example's README, run as they are printed, but for their ports."""

import asyncio
import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from eddyline.testing import PATIENCE, eventually, free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

#: Lines of a README, at most.
MOST_LINES = 40

#: Seconds for a command that installs or builds.
LONG = 100.0

#: How uv and npm say that there is no way to their registries.
_UNREACHABLE = re.compile(
    r"[Ff]ailed to (fetch|download)|dns error|tcp connect error|EAI_AGAIN|ENOTFOUND|ECONN|ETIMEDOUT"
)


class Readme:
    """Each block of `sh` is a terminal of its own. Free ports stand for the ports that it names."""

    def __init__(self, name: str, folder: Path, **variables: str) -> None:
        text = (EXAMPLES / name / "README.md").read_text()
        assert len(text.splitlines()) <= MOST_LINES
        self.folder = EXAMPLES / name
        self._ports: dict[str, int] = {}
        tools = f"{os.environ['PATH']}:{ROOT / '.tools' / 'bin'}"
        own = {"PATH": tools, "DATA": str(folder), "UV_LOCKED": "1"}
        self.environment: dict[str, str] = os.environ | own | variables
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
        self.terminals: list[Terminal] = [
            Terminal(self, self.on_free_ports(block), folder / f"terminal-{n}")
            for n, block in enumerate(blocks)
        ]

    def on_free_ports(self, text: str) -> str:
        return re.sub(r"\b(8\d{3}|6379|5173)\b", lambda port: str(self.port(port[0])), text)

    def port(self, printed: str | int) -> int:
        """The port that stands for the one of the README."""
        return self._ports.setdefault(str(printed), free_port())

    def url(self, printed: str | int = 8000) -> str:
        return f"http://127.0.0.1:{self.port(printed)}"

    async def listens(self, printed: str | int, terminal: "Terminal") -> None:
        """Waits until the server that was started in `terminal` takes connections."""

        async def connected() -> bool:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port(printed))
                writer.close()
                return True
            terminal.check()
            return False

        await eventually(connected, 3 * PATIENCE)


class Terminal:
    """Commands in a process group of their own, in the example's folder."""

    def __init__(self, readme: Readme, commands: str, log: Path) -> None:
        self.commands = commands
        self._readme = readme
        self._stdout = log.with_suffix(".out")
        self._stderr = log.with_suffix(".err")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return self._stdout.read_text()

    @property
    def errors(self) -> str:
        return self._stderr.read_text()

    def __str__(self) -> str:
        return f"{self.commands}\n{self.output}\n{self.errors}"

    def start(self) -> None:
        """Starts the commands, again if they have ended."""
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                ["sh", "-ec", self.commands],
                cwd=self._readme.folder,
                env=self._readme.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    async def run(self, seconds: float = 3 * PATIENCE) -> str:
        """The output, once all commands have succeeded."""
        self.start()
        assert self._process is not None
        await eventually(lambda: self._process and self._process.poll() is not None, seconds)
        assert self._process.returncode == 0, str(self)
        return self.output

    async def install(self) -> None:
        """Runs commands that install packages; skips the test where these can't be had."""
        if self._has_npm_packages():
            return
        try:
            await self.run(LONG)
        except AssertionError:
            if not _UNREACHABLE.search(self.errors):
                raise
            command = self.commands.strip()
            message = f"the registry of `{command}` can't be reached: connect this machine"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(message)

    def _has_npm_packages(self) -> bool:
        """Whether `npm ci` has installed them: it would begin anew. uv looks by itself."""
        lock = self._readme.folder / "package-lock.json"
        installed = self._readme.folder / "node_modules" / ".package-lock.json"
        return (
            self.commands == "npm ci\n"
            and installed.exists()
            and installed.stat().st_mtime >= lock.stat().st_mtime
        )

    def check(self) -> None:
        """Fails where the commands have ended."""
        assert self._process is not None
        assert self._process.poll() is None, str(self)

    async def says(self, text: str, seconds: float = 3 * PATIENCE) -> None:
        """Waits until `text` is printed, also as an error."""

        def said() -> bool:
            self.check()
            return text in self.output + self.errors

        try:
            await eventually(said, seconds)
        except TimeoutError:
            raise AssertionError(f"{text!r} was never said: {self}") from None

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """As Ctrl-C does, to all processes of the terminal; those that stay are killed."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        with suppress(TimeoutError):
            await eventually(lambda: self._process and self._process.poll() is not None)
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
