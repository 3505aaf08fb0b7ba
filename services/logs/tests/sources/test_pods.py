"""A kubelet that writes, rotates, restarts and makes anew, and a reader that follows it."""

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddyline.errors import NotFound
from eddyline_logs.files.base import File, Identity, identity
from eddyline_logs.sources.pods import ContainerChain, Pods
from eddyline_logs.sources.registry import Sources

ID = "pods/shop/web-0/app"


class Kubelet:
    """Keeps the log of one container as a kubelet does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = 0
        self.pods = 0
        self.written = 0
        #: The files that it leaves alone.
        self.unread: Callable[[Path], bool] = lambda path: False
        self.make()

    @property
    def folder(self) -> Path:
        return self.root / f"shop_web-0_uid-{self.pods}" / "app"

    @property
    def current(self) -> Path:
        return self.folder / f"{self.restarts}.log"

    def make(self) -> None:
        """Makes the pod, anew where there was one: its folder stays for a while."""
        self.pods += 1
        self.restarts = 0
        self.folder.mkdir(parents=True)
        self.current.touch()

    def write(self) -> None:
        self.written += 1
        with self.current.open("a") as file:
            file.write(f"2026-11-24T11:00:00Z stdout F {self.written}\n")

    def rotate(self) -> None:
        """Compresses files that it rotated before; renames the current one, and makes it anew."""
        for path in self.folder.glob("*.log.*"):
            if path.suffix != ".gz" and not self.unread(path):
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
        self.clock += 1
        self.current.rename(self.folder / f"{self.restarts}.log.20261124-{self.clock:06}")
        self.current.touch()

    def restart(self) -> None:
        self.restarts += 1
        self.current.touch()

    def forget(self) -> None:
        """Removes the folders of pods that are no more, and all but the last restart's logs."""
        for restart in range(self.restarts - 1):
            for path in self.folder.glob(f"{restart}.log*"):
                path.unlink()
        for number in range(1, self.pods):
            shutil.rmtree(self.root / f"shop_web-0_uid-{number}", ignore_errors=True)


class Reader:
    """Reads a chain as a tail does: to the end of each file, and then the next."""

    def __init__(self, root: Path) -> None:
        self.chain = ContainerChain(Pods("pods", root).find(ID), 1000)  # type: ignore[arg-type]
        self.file: File | None = None
        self.at = 0
        self.read: list[int] = []

    def poll(self, newest: bool = False) -> None:
        if self.file is None:
            try:
                self.file = self.chain.first() if newest else self.oldest()
            except FileNotFoundError:
                return
        while True:
            while data := self.file.pread(1 << 16, self.at):
                self.at += len(data)
                self.read += [int(line.split()[3]) for line in data.decode().splitlines()]
            try:
                following = self.chain.next(self.file)
            except FileNotFoundError:
                return
            if following is None:
                return
            self.file.close()
            self.file, self.at = following, 0

    def oldest(self) -> File:
        *newer, oldest = self.chain.files()
        for file in newer:
            file.close()
        return oldest

    def has_not_read(self, path: Path) -> bool:
        """Whether lines of a file are unread. The open one counts as read, under any name."""
        numbers = {int(line.split()[3]) for line in path.read_text().splitlines()}
        return identity(path.stat()) != self.identity and not numbers <= set(self.read)

    @property
    def identity(self) -> Identity:
        assert self.file is not None
        return self.file.identity


@contextmanager
def reading(root: Path) -> Iterator[tuple[Kubelet, Reader]]:
    kubelet, reader = Kubelet(root), Reader(root)
    try:
        yield kubelet, reader
    finally:
        if reader.file is not None:
            reader.file.close()


#: Events that may come between two looks, in any order.
BETWEEN = st.permutations(
    ["write", "write", "write", "rotate", "write", "rotate", "restart"]
) | st.permutations(["write", "restart", "write", "restart", "write", "write"])


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            BETWEEN.flatmap(lambda steps: st.integers(0, len(steps)).map(lambda n: steps[:n])),
            st.sampled_from(["", "make", "forget"]),
        ),
        max_size=12,
    )
)
def test_everything_is_read_once_and_in_order(rounds: list[tuple[list[str], str]]) -> None:
    with TemporaryDirectory() as folder, reading(Path(folder)) as (kubelet, reader):
        kubelet.unread = reader.has_not_read
        reader.poll()
        for steps, last in rounds:
            for step in steps:
                getattr(kubelet, step)()
            if last == "make":
                kubelet.make()
            reader.poll()
            if last == "forget":
                kubelet.forget()
        kubelet.write()
        reader.poll()
        assert reader.read == list(range(1, kubelet.written + 1))


def test_a_file_is_known_though_its_number_is_used_again(tmp_path: Path) -> None:
    """A compressed file was before the others, whichever inode or name it had."""
    with reading(tmp_path) as (kubelet, reader):
        for _ in range(6):
            kubelet.write()
            reader.poll()
            kubelet.rotate()
            kubelet.write()
            kubelet.rotate()
            kubelet.write()
        reader.poll()
        assert reader.read == list(range(1, 19))


def test_it_begins_with_the_newest_or_with_the_oldest(tmp_path: Path) -> None:
    with reading(tmp_path) as (kubelet, _):
        kubelet.write()
        kubelet.make()
        os.utime(tmp_path / "shop_web-0_uid-1" / "app" / "0.log", (1, 1))
        kubelet.write()
        kubelet.rotate()
        kubelet.write()
        kubelet.restart()
        kubelet.write()
    for newest, read in ((True, [4]), (False, [1, 2, 3, 4])):
        reader = Reader(tmp_path)
        reader.poll(newest)
        assert reader.read == read
        assert reader.file is not None
        reader.file.close()


def test_a_rotation_that_fails_is_undone(tmp_path: Path) -> None:
    with reading(tmp_path) as (kubelet, reader):
        kubelet.write()
        reader.poll()
        aside = kubelet.current.with_name("0.log.20261124-000001")
        kubelet.current.rename(aside)
        reader.poll()
        aside.rename(kubelet.current)
        kubelet.write()
        reader.poll()
        assert reader.read == [1, 2]


def test_a_folder_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    with reading(tmp_path) as (kubelet, reader):
        kubelet.write()
        reader.poll()
        shutil.rmtree(tmp_path / "shop_web-0_uid-1")
        with pytest.raises(FileNotFoundError):
            reader.chain.next(reader.file)
        kubelet.make()
        assert reader.chain.next(reader.file) is None, "it is empty"
        kubelet.write()
        reader.poll()
        assert reader.read == [1, 2]


def test_what_is_renamed_before_it_is_opened_is_found_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading(tmp_path) as (kubelet, reader):
        kubelet.write()
        reader.poll()
        kubelet.restart()
        kubelet.write()
        files = reader.chain._files

        def rotated_meanwhile() -> object:
            found = files()
            kubelet.rotate()
            kubelet.write()
            monkeypatch.undo()
            return found

        monkeypatch.setattr(reader.chain, "_files", rotated_meanwhile)
        assert reader.chain.next(reader.file) is None
        reader.poll()
        assert reader.read == [1, 2, 3]


def test_lines_go_on_over_a_rotation_but_not_over_a_restart(tmp_path: Path) -> None:
    with reading(tmp_path) as (kubelet, reader):
        reader.poll()
        joiner = reader.chain.joiner
        kubelet.rotate()
        kubelet.write()
        reader.poll()
        assert reader.chain.joiner is joiner
        kubelet.restart()
        kubelet.write()
        reader.poll()
        assert reader.chain.joiner is not joiner


def test_each_container_is_listed_once(tmp_path: Path) -> None:
    kubelet = Kubelet(tmp_path)
    kubelet.restart()
    kubelet.make()
    kubelet.rotate()
    for name in (
        "shop_web-1_uid/app",
        "shop_web-1_uid/init",
        "other",
        "a_b/c",
        "_x_y/z",
        "a_b_c/Z",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "shop_web-1_uid" / "app" / "0.log").touch()
    (tmp_path / "shop_web-1_uid" / "init" / "0.log.20261124-000001.gz").touch()
    (tmp_path / "a_b_c" / "Z" / "0.log").touch()
    sources = Sources.parse(f"pods=cri:{tmp_path}")
    assert [source.id for source in sources.list()] == [
        ID,
        "pods/shop/web-1/app",
        "pods/shop/web-1/init",
    ]


@pytest.mark.parametrize(
    "id",
    [
        "pods",
        "pods/shop",
        "pods/shop/web-0",
        "pods/shop/web-0/app/0.log",
        "pods/shop/web_0/app",
        "pods/shop/web-0/.hidden",
        "pods/shop/*/app",
        "pods/shop/web-0/" + "x" * 300,
        "shop/web-0/app",
    ],
)
def test_what_is_no_container(tmp_path: Path, id: str) -> None:
    Kubelet(tmp_path)
    with pytest.raises(NotFound, match="there is no source"):
        Sources.parse(f"pods=cri:{tmp_path}").find(id)


def test_a_symlink_may_lead_around_but_not_out(tmp_path: Path) -> None:
    root = tmp_path / "pods"
    kubelet = Kubelet(root)
    kubelet.write()
    secret = tmp_path / "secret"
    secret.write_text("2026-11-24T11:00:00Z stdout F secret\n")
    for name, target in (("inside", kubelet.current), ("outside", secret)):
        (root / "shop_web-0_uid-1" / name).mkdir()
        (root / "shop_web-0_uid-1" / name / "0.log").symlink_to(target)
    (root / "shop_web-9_uid").symlink_to(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "0.log").write_text("secret\n")
    sources = Sources.parse(f"pods=cri:{root}")
    assert [source.id for source in sources.list()] == [ID, "pods/shop/web-0/inside"]
    for id in ("pods/shop/web-0/outside", "pods/shop/web-9/app"):
        assert not sources.find(id).exists()
    # Nor does one that is swapped in while it is followed.
    reader = Reader(root)
    reader.poll()
    (kubelet.folder / "1.log").symlink_to(secret)
    reader.poll()
    assert reader.read == [1]
    assert reader.file is not None
    reader.file.close()


def test_no_file_stays_open(tmp_path: Path) -> None:
    Kubelet(tmp_path).write()
    before = len(os.listdir("/proc/self/fd"))
    source = Sources.parse(f"pods=cri:{tmp_path}").find(ID)
    for _ in range(3):
        assert source.exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_was_rotated_is_not_read_again_when_its_successor_is_deleted(tmp_path: Path) -> None:
    with reading(tmp_path) as (kubelet, reader):
        kubelet.write()
        kubelet.rotate()
        kubelet.write()
        reader.poll()
        kubelet.current.unlink()
        reader.poll()
        assert reader.read == [1, 2]


def test_a_new_pod_that_has_no_log_yet_is_the_newer_one(tmp_path: Path) -> None:
    with reading(tmp_path) as (kubelet, reader):
        kubelet.write()
        kubelet.make()
        shutil.rmtree(kubelet.folder)
        reader.poll()
        kubelet.folder.mkdir()
        kubelet.write()
        reader.poll()
        assert reader.read == [1, 2]
