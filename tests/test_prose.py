"""The check of the prose finds headless sentences, and nothing in sound ones."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / "scripts" / "check_prose.py"


def check(path: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, CHECK, path], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", '"""Ends those who stall."""\n', 1),
        ("a.py", "x = 1\n# The rest:\n# what is left goes out.\n", 3),
        ("a.py", 'def f():\n    """Fine.\n\n    Whoever resumes is told.\n    """\n', 4),
        ("a.md", "Fine.\n\nWhat is gone is said.\n", 3),
        ("a.yaml", "a: b # what it does\n", 1),
        ("a.lua", "-- What both share\n", 1),
        ("a.md", f"A sentence of {'very ' * 40}many words.\n", 1),
    ],
)
def test_a_headless_or_endless_sentence_is_found(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    path = tmp_path / name
    path.write_text(text)
    code, output = check(path)
    assert code == 1
    assert output.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""Ends clients that stall. What if it is late?"""\nwho = "whom"\n'),
        ("a.md", "Fine.\n\n```sh\nwhat\n```\n\nThe word `who` is code.\n"),
        ("a.md", "| a | very long table |" + " word" * 50 + " |\n"),
    ],
)
def test_questions_and_code_and_tables_are_left_alone(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert check(path) == (0, "")
