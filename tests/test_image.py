"""The context of the images holds all that their build needs."""

import subprocess

from rendered import ROOT


def test_every_link_in_the_context_leads_to_a_file_in_it() -> None:
    """shared/streaming/LICENSE is one: without its target no image can be built."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    included = [ROOT / line[1:] for line in lines if line.startswith("!")]
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    links = [path for name in listing.stdout.splitlines() if (path := ROOT / name).is_symlink()]
    assert links
    for link in links:
        target = link.resolve()
        assert any(target == path or path in target.parents for path in included), link
