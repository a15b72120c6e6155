# The services of samples/shop, as they are: Node runs the TypeScript, with the packages that they import and no others.
#
#   docker build -f images/shop.Dockerfile -t hauberk-shop:0.1.0 .
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# As the lockfile says; nobody's install script is needed, so none is run.
RUN --mount=type=cache,target=/var/cache/npm npm ci --cache /var/cache/npm --ignore-scripts --no-update-notifier --fetch-timeout=30000 --fetch-retries=5

# The packages of the shop alone.
FROM dependencies AS packages
COPY tools/import-rules.ts tools/
COPY images/keep-packages.ts images/
RUN node images/keep-packages.ts samples \
 && npm prune --ignore-scripts --omit=dev --omit=optional --no-update-notifier

FROM dependencies AS build
COPY LICENSE ./
COPY images images
COPY tools tools
COPY model model
COPY runtime runtime
COPY cli/dev cli/dev
COPY samples/shop samples/shop
# What makes the shop's secrets on a cluster is bundled: it is not written for these packages.
RUN node tools/build.ts --only make-secrets --out /out/app/cluster --metafile /tmp/metafile.json \
 && cp -r samples/shop/apps /out/app/apps \
 && echo '{"type":"module","private":true}' >/out/app/package.json
COPY --from=packages /src/node_modules /out/app/node_modules
ARG SOURCE_DATE_EPOCH=0
RUN node images/finish.ts --name hauberk-shop --bundled /tmp/metafile.json --epoch "${SOURCE_DATE_EPOCH}" --os /var/lib/dpkg/status /out

FROM ${NODE_IMAGE}
COPY --from=build /out/ /
LABEL org.opencontainers.image.title="hauberk-shop" \
      org.opencontainers.image.description="The sample application of the Hauberk security mesh" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
USER 1000:1000
ENTRYPOINT []
CMD ["node", "apps/catalog/main.ts"]
