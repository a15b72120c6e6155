/* wrk knows no client certificates: each context that it makes gets one here, and the ALPN names of the mesh.
   LD_PRELOAD; BENCH_CHAIN and BENCH_KEY are PEM files, BENCH_ALPN is in wire form (RFC 7301, 3.1). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
  SSL_CTX *(*make)(const SSL_METHOD *) = dlsym(RTLD_NEXT, "SSL_CTX_new");
  SSL_CTX *context = make(method);
  const char *chain = getenv("BENCH_CHAIN"), *key = getenv("BENCH_KEY"), *alpn = getenv("BENCH_ALPN");
  if (!context || !chain || !key || !alpn || SSL_CTX_use_certificate_chain_file(context, chain) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_set_alpn_protos(context, (const unsigned char *)alpn, strlen(alpn)) != 0 ||
      SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 || SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1) {
    fputs("client-certificate: BENCH_CHAIN, BENCH_KEY or BENCH_ALPN is of no use\n", stderr);
    exit(70);
  }
  return context;
}
