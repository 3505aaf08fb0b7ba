"""scripts/check_shape.py finds code that has outgrown its place, and nothing else."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "check_shape.py"

Faults = Callable[[dict[str, str]], list[str]]


@pytest.fixture
def faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Faults:
    main = runpy.run_path(str(SCRIPT))["main"]

    def look(texts: dict[str, str]) -> list[str]:
        """All that is found in a project with these files, and those of the calls before."""
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        code = main([str(tmp_path)])
        found = capsys.readouterr().out.splitlines()
        assert code == (1 if found else 0)
        return found

    return look


def function(lines: int, indent: str = "") -> str:
    """One of so many lines, the first of which is its name's."""
    return f"{indent}async def long():\n" + f"{indent}    pass\n" * (lines - 1)


def test_a_function_of_more_than_50_lines(faults: Faults) -> None:
    fine = "@one\n@two\n" + function(50)
    assert faults({"services/a.py": fine, "services/tests/test_a.py": function(80)}) == []
    [fault] = faults({"services/b.py": "class A:\n" + function(51, "    ")})
    assert fault == "services/b.py:2: long has 51 lines, at most 50 are a function"


def test_a_file_of_more_than_300_lines_in_the_library(faults: Faults) -> None:
    fine = {"shared/x/a.py": "\n" * 300, "services/a.py": "\n" * 301}
    assert faults(fine | {"shared/x/tests/a.py": "\n" * 301}) == []
    [fault] = faults({"shared/x/a.py": "\n" * 301})
    assert fault == "shared/x/a.py: 301 lines, at most 300 are a file of the library"


def test_a_room_of_more_than_nine_modules_at_any_depth(faults: Faults) -> None:
    names = ["__init__", *(f"m{n}" for n in range(9))]
    assert faults({f"services/{room}/{n}.py": "" for n in names for room in ("a", "a/b")}) == []
    [fault] = faults({"services/a/b/one_more.py": ""})
    assert fault == "services/a/b: 10 modules, at most 9 are a room"
