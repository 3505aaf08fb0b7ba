"""Stores are chosen by URL, and bad URLs are refused by name."""

import re

import pytest

from eddyline.errors import SettingsError
from eddyline.store.files.reader import FileReader
from eddyline.store.files.store import FileStore
from eddyline.store.memory import MemoryStore
from eddyline.store.stores import STORES, store_from_url


def test_each_scheme_has_its_store():
    assert isinstance(store_from_url("memory://"), MemoryStore)
    assert isinstance(store_from_url("file:///a%20folder?sync=interval&interval=0.5"), FileStore)
    assert isinstance(store_from_url("file:///a?read_only=1"), FileReader)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nothing", "scheme: none"),
        ("ftp://x", "'ftp'"),
        ("memory://?size=3", "'size': expected max_bytes"),
        ("memory://?max_bytes=x", "max_bytes='x': expected int"),
        ("file://host/a", "expected a folder"),
        ("file:///", "expected a folder"),
        ("file:///a?sync=never", "sync='never'"),
        ("file:///a?interval=0", "interval=0.0"),
        ("file:///a?max_bytes=-1", "max_bytes=-1"),
        ("file:///a?snyc=always", "'snyc': expected sync, interval"),
        ("file:///a?read_only=1&sync=always", "sync: of no use"),
    ],
)
def test_a_bad_url_is_refused_by_name(url, text):
    with pytest.raises(SettingsError, match=re.escape(text)):
        store_from_url(url)


def test_a_store_whose_module_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(STORES, "odd", "eddyline_odd:Store.from_url [odd]")
    with pytest.raises(SettingsError, match=r"install eddyline\[odd\]"):
        store_from_url("odd://secret")
