# The images of one tree. Targets: `emulator` (sidecar and webhook), `redirect`, the same with nftables and iptables on
# top, and `cli`, the same with the commands that a person runs on top.
# Made of Debian's packages, reduced to what runs: no shell, no package manager, no compiler. Nothing of the target's
# architecture is run, so that each machine builds for all.
ARG BASE=debian:trixie-slim
ARG BUILDPLATFORM

FROM --platform=$BUILDPLATFORM ${BASE} AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-pyelftools
COPY src/emulator/build/images/stage/sysroot.py /build/sysroot.py
ARG TARGETARCH
RUN python3 /build/sysroot.py /sysroot ${TARGETARCH} ca-certificates iptables nftables python3 python3-cryptography
COPY LICENSE /build/
COPY src/emulator/*.py /build/src/emulator/
COPY src/emulator/build/images/stage /build/src/emulator/build/images/stage
COPY src/emulator/sidecar /build/src/emulator/sidecar
COPY src/emulator/redirect /build/src/emulator/redirect
COPY src/emulator/injection /build/src/emulator/injection
COPY src/emulator/webhook /build/src/emulator/webhook
COPY src/emulator/probe /build/src/emulator/probe
ARG SOURCE_DATE_EPOCH=0
# Modules are compiled without columns for tracebacks, which would be in each sidecar's memory.
ENV PYTHONPATH=/build/src PYTHONNODEBUGRANGES=1
RUN SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} python3 -m emulator.build.images.stage.rootfs \
      /sysroot ${TARGETARCH} /build/src /build/LICENSE /rootfs emulator redirect

FROM scratch AS emulator
COPY --from=build /rootfs/emulator /
ARG VERSION
LABEL org.opencontainers.image.title="imds-emulator" \
      org.opencontainers.image.description="AWS credentials for labelled pods at 169.254.169.254: sidecar and webhook" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
USER 16925:16925
ENV PATH=/usr/sbin:/usr/bin
ENTRYPOINT ["/usr/bin/imds-emulator"]
CMD ["serve"]

FROM emulator AS redirect
COPY --from=build /rootfs/redirect /
LABEL org.opencontainers.image.title="imds-emulator redirect" \
      org.opencontainers.image.description="Redirects 169.254.169.254 to the emulator inside a pod: the init container"
# Writes rules of its pod's network: the injection gives it uid 0 with NET_ADMIN and NET_RAW and nothing else.
USER 0:0
CMD ["redirect"]

# Last, for builders that run every stage before the target.
FROM build AS build-cli
ARG TARGETARCH
RUN python3 /build/sysroot.py /sysroot ${TARGETARCH} python3-kubernetes python3-ruamel.yaml python3-yaml
COPY src/emulator/cli /build/src/emulator/cli
ARG SOURCE_DATE_EPOCH=0
RUN SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} python3 -m emulator.build.images.stage.rootfs \
      /sysroot ${TARGETARCH} /build/src /build/LICENSE /rootfs cli

FROM emulator AS cli
COPY --from=build-cli /rootfs/cli /
LABEL org.opencontainers.image.title="imds-emulator cli" \
      org.opencontainers.image.description="check, inject and trust-policy; by default inject, as a KRM function"
CMD ["inject", "--krm"]
