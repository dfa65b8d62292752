ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04
# cifar10-resnet56 is embedded; imagenet is fetched and put into the image.
ARG MODEL=cifar10-resnet56

# The dependencies alone, so that a change in src/ does not build them again.
FROM ${RUST_IMAGE} AS deps
WORKDIR /resnetd
COPY Cargo.toml Cargo.lock ./
# The empty package must be cleaned away at the end: cargo compares times, and the real sources
# copied later can be older than its build.
RUN mkdir src benches \
    && echo 'fn main() {}' > src/main.rs \
    && echo 'fn main() {}' > build.rs \
    && touch src/lib.rs benches/sessions.rs benches/stages.rs \
    && cargo build --release --locked \
    && cargo clean --release --locked --package resnetd

FROM deps AS build
COPY models models
COPY build.rs ./
COPY proto proto
COPY src src
# The default photo of `resnetd tune`.
COPY tests/data/cat.jpg tests/data/
RUN cargo build --release --locked

FROM ${DEBIAN_IMAGE} AS fetch
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY scripts/fetch-onnxruntime /

FROM fetch AS onnxruntime
RUN /fetch-onnxruntime --dir /opt/resnetd/lib

FROM fetch AS onnxruntime-cuda
RUN /fetch-onnxruntime --gpu --dir /opt/resnetd/lib

# The folder of models that are not embedded: empty, or with the starter model.
FROM fetch AS model
ARG MODEL
COPY scripts/fetch-imagenet /build/scripts/
COPY models/imagenet /build/models/imagenet
COPY --from=onnxruntime /opt/resnetd/lib /opt/resnetd/lib
COPY --from=build /resnetd/target/release/resnetd /opt/resnetd/bin/
RUN mkdir -p /opt/resnetd/models \
    && if [ "$MODEL" = imagenet ]; then \
        /build/scripts/fetch-imagenet --resnetd /opt/resnetd/bin/resnetd --dir /opt/resnetd/models/imagenet; \
    fi

FROM fetch AS sbom
COPY Cargo.lock /build/
COPY scripts/sbom /build/scripts/
RUN mkdir -p /opt/resnetd && /build/scripts/sbom /opt/resnetd/sbom.json

# Both base images have libc and libstdc++, which is all that resnetd needs.
# Libraries before the program: they change less often.
# ONNX Runtime can send telemetry while it is loaded; only this environment variable prevents that.
FROM ${CUDA_IMAGE} AS cuda
COPY --from=onnxruntime-cuda /opt/resnetd/lib /opt/resnetd/lib
COPY --from=build /resnetd/target/release/resnetd /opt/resnetd/bin/
COPY --from=model /opt/resnetd/models /opt/resnetd/models
COPY --from=sbom /opt/resnetd/sbom.json /opt/resnetd/
# Nothing in the image needs setuid.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
LABEL org.opencontainers.image.title=resnetd \
    org.opencontainers.image.description="Classifies images over HTTP with native ResNet graphs on ONNX Runtime" \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.version=0.1.0
ARG MODEL
ENV PATH=/opt/resnetd/bin:${PATH} RESNETD_LISTEN=0.0.0.0:8080 RESNETD_MODEL=${MODEL} ORT_DISABLE_TELEMETRY=1
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["resnetd", "healthcheck"]
ENTRYPOINT ["resnetd"]
CMD ["serve"]

FROM ${DEBIAN_IMAGE} AS cpu
COPY --from=onnxruntime /opt/resnetd/lib /opt/resnetd/lib
COPY --from=build /resnetd/target/release/resnetd /opt/resnetd/bin/
COPY --from=model /opt/resnetd/models /opt/resnetd/models
COPY --from=sbom /opt/resnetd/sbom.json /opt/resnetd/
# Nothing in the image needs setuid.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
LABEL org.opencontainers.image.title=resnetd \
    org.opencontainers.image.description="Classifies images over HTTP with native ResNet graphs on ONNX Runtime" \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.version=0.1.0
ARG MODEL
ENV PATH=/opt/resnetd/bin:${PATH} RESNETD_LISTEN=0.0.0.0:8080 RESNETD_MODEL=${MODEL} ORT_DISABLE_TELEMETRY=1
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["resnetd", "healthcheck"]
ENTRYPOINT ["resnetd"]
CMD ["serve"]
