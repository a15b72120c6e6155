/* Generators know no client certificates, or want them in ways of their own: each context that they make gets one here,
   and what the mesh speaks: TLS 1.3, one cipher, one group first, and ALPN names of ours. LD_PRELOAD; BENCH_CHAIN and
   BENCH_KEY are PEM files, BENCH_ALPN is in wire form (RFC 7301, 3.1). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int offer(SSL_CTX *context) {
  int (*set)(SSL_CTX *, const unsigned char *, unsigned int) = dlsym(RTLD_NEXT, "SSL_CTX_set_alpn_protos");
  const char *alpn = getenv("BENCH_ALPN");
  return alpn ? set(context, (const unsigned char *)alpn, strlen(alpn)) : 1;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
  SSL_CTX *(*make)(const SSL_METHOD *) = dlsym(RTLD_NEXT, "SSL_CTX_new");
  SSL_CTX *context = make(method);
  const char *chain = getenv("BENCH_CHAIN"), *key = getenv("BENCH_KEY");
  if (!context || !chain || !key || SSL_CTX_use_certificate_chain_file(context, chain) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 || offer(context) != 0 ||
      SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1) {
    fputs("client-certificate: BENCH_CHAIN, BENCH_KEY or BENCH_ALPN is of no use\n", stderr);
    exit(70);
  }
  return context;
}

/* What a generator would offer itself. */
int SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char *names, unsigned int length) {
  (void)names, (void)length;
  return offer(context);
}

/* A generator takes HTTP/2 by the name that it knows. */
void SSL_get0_alpn_selected(const SSL *ssl, const unsigned char **name, unsigned int *length) {
  void (*get)(const SSL *, const unsigned char **, unsigned int *) = dlsym(RTLD_NEXT, "SSL_get0_alpn_selected");
  get(ssl, name, length);
  if (*length == 13 && memcmp(*name, "hauberk/http2", 13) == 0) *name = (const unsigned char *)"h2", *length = 2;
}
