# syntax=docker/dockerfile:1
# The image for nodes of a Ray cluster (deploy/kuberay.yaml) and for single machines.
#
#   docker build --tag pretext-study .
#   docker run --rm pretext-study study doctor
#   docker run --rm --gpus all --shm-size 8g --volume "$PWD/runs:/runs" pretext-study study run quickstart
#
# torch's wheels bring their own CUDA libraries, so the same image serves machines with and without a GPU.
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY requirements.lock requirements-torch.lock ./
RUN pip install --require-hashes --no-deps --requirement requirements.lock \
    && pip install --requirement requirements-torch.lock
COPY pyproject.toml README.md LICENSE ./
COPY study study
COPY trainables trainables
COPY analysis analysis
COPY search_spaces search_spaces
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm

# wget: KubeRay's probes of Ray's health use it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray \
    && install --directory --owner ray --group ray /runs
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    RAY_USAGE_STATS_ENABLED=0 \
    STUDY_HOME=/runs
USER 1000
WORKDIR /home/ray
VOLUME /runs
CMD ["study", "--help"]
