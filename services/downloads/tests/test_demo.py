import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eddyline_downloads.demo import HUGE, make_files, pdf, png


def test_makes_files_and_leaves_them_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "files"
    make_files(folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"file.pdf", "readme.txt", "users.csv", "gradient.png", "huge.bin"}
    (folder / "readme.txt").write_text("mine")
    (folder / "users.csv").unlink()
    make_files(folder)
    assert (folder / "readme.txt").read_text() == "mine"
    assert (folder / "users.csv").read_text().splitlines()[-1] == "99999,User 99999"
    assert {path.name for path in folder.iterdir()} == names


def test_every_replica_makes_the_same_files(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        make_files(folder)
    for path in folders[0].iterdir():
        other = folders[1] / path.name
        assert path.stat().st_mtime_ns == other.stat().st_mtime_ns
        assert path.stat().st_size == other.stat().st_size
        if path.stat().st_size != HUGE:
            assert path.read_bytes() == other.read_bytes()


def test_several_workers_make_them_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(make_files, [tmp_path] * 4))
    assert len(list(tmp_path.iterdir())) == 5


def test_the_huge_file_takes_no_room(tmp_path: Path) -> None:
    make_files(tmp_path)
    status = (tmp_path / "huge.bin").stat()
    assert status.st_size == HUGE
    assert status.st_blocks * 512 < 1024 * 1024


def test_the_pdf_has_every_object_where_its_table_says() -> None:
    document = pdf("hello")
    start = int(document.split(b"startxref\n")[1].split()[0])
    table = document[start:].splitlines()
    assert table[0] == b"xref"
    offsets = [int(line.split()[0]) for line in table[3:8]]
    for number, offset in enumerate(offsets, 1):
        assert document[offset:].startswith(b"%d 0 obj" % number)
    assert all(len(line) == 19 for line in table[2:8])


def test_the_png_has_the_rows_it_says() -> None:
    image = png(3, 2)
    length = int.from_bytes(image[33:37], "big")
    assert image[37:41] == b"IDAT"
    assert len(zlib.decompress(image[41 : 41 + length])) == 2 * (1 + 3)
