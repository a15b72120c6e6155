# The sidecar, the gateway, and the init container that has traffic led to them: one bundle and koffi's native part, on Node.
#
#   docker build -f images/sidecar.Dockerfile -t hauberk-sidecar:0.1.0 .
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# As the lockfile says; nobody's install script is needed, so none is run.
RUN --mount=type=cache,target=/var/cache/npm npm ci --cache /var/cache/npm --ignore-scripts --no-update-notifier --fetch-timeout=30000 --fetch-retries=5

# The init container writes the rules with nft. What its installation changed is taken along, less logs and caches, and dated
# as everything else is.
FROM ${NODE_IMAGE} AS nftables
ARG SOURCE_DATE_EPOCH=0
RUN began=$(date +%s) \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nftables \
 && mkdir /out \
 && find /etc /usr /var -newerct "@$((began - 1))" ! -type d ! -path '/var/cache/*' ! -path '/var/log/*' \
      ! -path '/var/lib/apt/*' ! -name '*-old' ! -path /etc/hosts ! -path /etc/resolv.conf -print0 \
      | tar --create --null --files-from - | tar --extract --directory /out \
 && find /out -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM dependencies AS build
COPY LICENSE ./
COPY images images
COPY tools tools
COPY model model
COPY policies policies
COPY contract contract
COPY runtime runtime
COPY sidecar sidecar
COPY --from=nftables /var/lib/dpkg/status /tmp/dpkg-status
RUN node tools/build.ts --only hauberk-sidecar --out /out/app --metafile /tmp/metafile.json
ARG SOURCE_DATE_EPOCH=0
RUN node images/finish.ts --name hauberk-sidecar --bundled /tmp/metafile.json --with koffi --epoch "${SOURCE_DATE_EPOCH}" --os /tmp/dpkg-status /out

FROM ${NODE_IMAGE}
COPY --from=nftables /out/ /
COPY --from=build /out/ /
LABEL org.opencontainers.image.title="hauberk-sidecar" \
      org.opencontainers.image.description="The sidecar and the gateway of the Hauberk security mesh" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
# In the memory that only the sidecar mounts: a container that starts again need not compile anew.
ENV NODE_COMPILE_CACHE=/var/lib/hauberk/compiled
USER 15013:15013
# By itself Node lets its heap grow to 256 MB, past what the container may have, and the kernel ends it before it collects.
# The others are those of sidecar/node-flags.ts.
ENTRYPOINT ["node", "--max-old-space-size-percentage=50", "--max-semi-space-size=1", "--openssl-config=/app/openssl.cnf", "/app/hauberk-sidecar.mjs"]
