import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, startProcess, untilListening } from '../world/process.ts'
import type { Peer } from './peer.ts'

/** nginx with one worker: mutual TLS and forwarding. What it is spared is what HAProxy is spared. */
export function nginx({ http2 = false }: { readonly http2?: boolean } = {}): Peer {
  return {
    programs: ['nginx'],
    async start(world, directory) {
      const port = await freePort()
      const { server, root } = world.certificates
      const home = join(directory, 'nginx')
      await mkdir(home, { recursive: true, mode: 0o700 })
      await writeFile(join(home, 'server.crt'), server.chain)
      await writeFile(join(home, 'server.key'), server.privateKey, { mode: 0o600 })
      await writeFile(join(home, 'root.crt'), root)
      const config = join(home, 'nginx.conf')
      await writeFile(
        config,
        `daemon off;
worker_processes 1;
user root;
pid ${home}/nginx.pid;
error_log ${home}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path ${home};
  proxy_temp_path ${home};
  fastcgi_temp_path ${home};
  uwsgi_temp_path ${home};
  scgi_temp_path ${home};
  upstream app { server 127.0.0.1:${world.backend.port}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} ssl${http2 ? ' http2' : ''};
    ssl_certificate server.crt;
    ssl_certificate_key server.key;
    ssl_client_certificate root.crt;
    ssl_verify_client on;
    ssl_verify_depth 3;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
    ssl_ecdh_curve X25519:P-256;
    ssl_session_tickets off;
    ssl_session_cache off;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`,
      )
      const child = await startProcess(['nginx', '-p', home, '-c', config, '-e', join(home, 'error.log')], {
        core: world.cores.proxy,
        logFile: join(home, 'nginx.log'),
      })
      await untilListening(port, child)
      return { pids: [child.pid], port, stop: child.stop }
    },
  }
}
