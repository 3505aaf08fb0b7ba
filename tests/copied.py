"""A copy of this working tree, for tests that change it."""

import shutil
import subprocess
from pathlib import Path

from rendered import ROOT


def copy_tree(folder: Path) -> None:
    """The files that git has or would take: neither .env nor the data of this machine's user."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
