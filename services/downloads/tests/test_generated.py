from eddyline_downloads.generated import CHUNK, generated


def test_makes_a_chunk_when_it_is_asked_for() -> None:
    chunks = generated(10**15)
    first, second = next(chunks), next(chunks)
    assert len(first) == len(second) == CHUNK
    assert set(first.splitlines()) == {b"000000000000000"}
    assert set(second.splitlines()) == {b"000000000000001"}


def test_ends() -> None:
    assert len(list(generated(3))) == 3
