# The operator: one bundle, on Node.
#
#   docker build -f images/operator.Dockerfile -t hauberk-operator:0.1.0 .
#
# Who wants the same bytes as somebody else names the base by digest:
#   --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:...
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# As the lockfile says; nobody's install script is needed, so none is run.
RUN --mount=type=cache,target=/var/cache/npm npm ci --cache /var/cache/npm --ignore-scripts --no-update-notifier --fetch-timeout=30000 --fetch-retries=5

FROM dependencies AS build
COPY LICENSE ./
COPY images images
COPY tools tools
COPY model model
COPY policies policies
COPY contract contract
COPY runtime runtime
COPY operator operator
RUN node tools/build.ts --only hauberk-operator --out /out/app --metafile /tmp/metafile.json
ARG SOURCE_DATE_EPOCH=0
RUN node images/finish.ts --name hauberk-operator --bundled /tmp/metafile.json --epoch "${SOURCE_DATE_EPOCH}" --os /var/lib/dpkg/status /out

FROM ${NODE_IMAGE}
COPY --from=build /out/ /
LABEL org.opencontainers.image.title="hauberk-operator" \
      org.opencontainers.image.description="The operator of the Hauberk security mesh" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
USER 65532:65532
# In 512 MiB of memory Node would give young objects 1 MB, and collect garbage for half of the time that a thousand policies take.
ENTRYPOINT ["node", "--max-semi-space-size=16", "/app/hauberk-operator.mjs"]
