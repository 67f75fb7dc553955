# Two images of one tree. Targets: `emulator` (sidecar and webhook) and `redirect`, the same with nftables and iptables on top.
# Made of Debian's packages, reduced to what runs: no shell, no package manager, no compiler.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
# It fails where Debian's security suite is not asked, or something newer was left aside.
RUN apt-get update \
 && apt-get upgrade -y \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates iptables nftables python3 python3-cryptography \
 && apt-get indextargets --format '$(CODENAME)' | grep -q -- -security$ \
 && ! apt-get --just-print dist-upgrade | grep ^Inst
COPY src/emulator/build/images/stage /build/src/emulator/build/images/stage
COPY LICENSE /build/
COPY src/emulator/*.py /build/src/emulator/
COPY src/emulator/sidecar /build/src/emulator/sidecar
COPY src/emulator/redirect /build/src/emulator/redirect
COPY src/emulator/injection /build/src/emulator/injection
COPY src/emulator/webhook /build/src/emulator/webhook
COPY src/emulator/probe /build/src/emulator/probe
ARG SOURCE_DATE_EPOCH=0
# Modules are compiled without columns for tracebacks, which would be in each sidecar's memory.
RUN cd /build && PYTHONPATH=src PYTHONNODEBUGRANGES=1 SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
      python3 -m emulator.build.images.stage.rootfs /build/src /build/LICENSE /rootfs

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
