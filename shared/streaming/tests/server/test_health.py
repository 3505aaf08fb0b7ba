"""A container's health check, as Docker runs it."""

import asyncio
import os
import sys

import pytest
from fastapi import APIRouter

from eddyline.service.app import Context, Service, create_app
from eddyline.service.settings import Settings
from eddyline.testing import free_port, running


async def check(port: int) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "eddyline.server.health",
        env=os.environ | {"EDDYLINE_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize(("fault", "code"), [(None, 0), ("the disk is gone", 1)])
async def test_it_tells_whether_the_service_is_ready(fault: str | None, code: int) -> None:
    service = Service("any", APIRouter(), ready=lambda: fault)
    async with running(create_app(Context.from_settings(Settings()), [service], "Any")) as server:
        returned, output = await check(server.port)
    assert returned == code
    assert fault is None or fault in output


async def test_without_an_answer_it_fails() -> None:
    returned, output = await check(free_port())
    assert returned == 1
    assert "no answer" in output
