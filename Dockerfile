# Every image of the suite: docker build --build-arg SERVICE=events -t localhost/eddyline/events .
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ARG SERVICE
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_DEV=1 UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
WORKDIR /app
# The dependencies first: it changes seldom, and this layer is kept until it does.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --quiet --frozen --all-extras --no-install-workspace --package "eddyline-${SERVICE:?give --build-arg SERVICE=events}"
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --quiet --locked --all-extras --no-editable --package "eddyline-${SERVICE}"

FROM ${BASE_IMAGE}
ARG SERVICE
# No name of a user is needed; the folders are there so that volumes mounted on them have its owner.
RUN install -d -o 10001 -g 10001 /srv/files /srv/data /var/log/eddyline
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EDDYLINE_APP=eddyline_${SERVICE}.app:app \
    EDDYLINE_HOST=0.0.0.0 \
    EDDYLINE_PORT=8000
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s CMD ["python", "-m", "eddyline.server.health"]
ENTRYPOINT ["python", "-m", "eddyline", "serve"]
# gunicorn; without an argument it is one process and no supervisor: a pod.
CMD ["--workers", "1"]
