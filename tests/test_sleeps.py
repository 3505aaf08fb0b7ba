"""scripts/check_sleeps.py finds fixed waits in tests, and nothing else."""

import runpy
from pathlib import Path

import pytest

MAIN = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "check_sleeps.py"))["main"]


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        ("a/tests/test_a.py", "asyncio.sleep(0.1)\n", [1]),
        ("a/tests/test_a.py", "x = 1\nsleep(pause)\n", [2]),
        ("a/conftest.py", "page.wait_for_timeout(300)\n", [1]),
        ("a/tests/test_a.py", "sleep(\n    0.1,\n)\n", [1]),
        ("a/tests/test_a.py", "sleep(1)  # sleep: why\n", [1]),
        ("a/tests/test_a.py", "sleep(1)  # sleep: the pace of a client\n", []),
        ("a/tests/test_a.py", "# sleep: it is about time\n\nsleep(1)\n", []),
        ("a/tests/test_a.py", "asyncio.sleep(0)\n", []),
        ("a/product.py", "asyncio.sleep(1)\n", []),
        (".venv/tests/test_a.py", "asyncio.sleep(1)\n", []),
    ],
)
def test_fixed_waits_of_tests_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, text: str, found: list[int]
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert MAIN([str(tmp_path)]) == (1 if found else 0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[:2] for line in lines] == [[place, str(number)] for number in found]
