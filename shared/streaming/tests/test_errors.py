import pytest

from eddyline import errors

STATUS = {
    errors.BadRequest: 400,
    errors.BadCursor: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.UpstreamError: 502,
    errors.Unavailable: 503,
    errors.Overloaded: 429,
}


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_an_error_has_its_status_and_keeps_its_text(
    kind: type[errors.StreamingError], status: int
) -> None:
    error = kind("limit=-1: expected 1 to 100")
    assert (error.status, error.detail, str(error)) == (status, error.detail, error.detail)
    assert error.detail == "limit=-1: expected 1 to 100"
    assert isinstance(error, errors.StreamingError)


def test_an_overload_can_be_waited_out_as_any_other_outage() -> None:
    error = errors.Overloaded("full", retry_after=7.5)
    assert isinstance(error, errors.Unavailable)
    assert error.retry_after == 7.5


def test_an_unknown_format_names_the_data_and_both_formats() -> None:
    error = errors.UnknownFormat("the journal eddyline:{events}:", "3", "1")
    assert "the journal eddyline:{events}: has format 3" in error.detail
    assert "this version knows formats up to 1" in error.detail
    assert (error.status, error.retry_after) == (503, 30.0)
