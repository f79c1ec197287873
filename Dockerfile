# One image for operator and worker: `IMAGE operator ...` or `IMAGE worker ...`. `make image` builds it.
# BASE may be any Debian image with Python 3.11 or newer.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
# pip has a virtual environment of its own, so that neither pip nor a compiler gets into the image.
RUN python3 -m venv /pip && python3 -m venv --without-pip /opt/tcf
WORKDIR /src
COPY hack/requirements/build.txt hack/requirements/run.txt ./
RUN /pip/bin/pip install --no-cache-dir --require-hashes -r build.txt \
 && /pip/bin/pip --python /opt/tcf/bin/python install --no-cache-dir --require-hashes --only-binary=:all: -r run.txt \
 # A second client, for asyncio, as large as the first. This project does not use it.
 && rm -rf /opt/tcf/lib/python3*/site-packages/kubernetes/aio
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /pip/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /pip/bin/pip --python /opt/tcf/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 ca-certificates \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/*
COPY --from=build /opt/tcf /opt/tcf
ENV PATH=/opt/tcf/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tcf-operator" \
      org.opencontainers.image.description="Decides which of several federated clusters is active, and answers GET /tcf/is_active" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["python3", "-m", "tcf"]
