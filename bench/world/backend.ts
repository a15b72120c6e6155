import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, startProcess, untilListening } from './process.ts'

/** The application behind every proxy: one nginx worker. */
export interface Backend {
  readonly pid: number
  readonly port: number
  /** What it answers to a GET, or to a POST of a path that takes one. */
  bodyOf(path: string): string
  /** Requests that it has answered since its start. A POST to {@link UPLOAD_PATH} counts twice. */
  answered(): Promise<number>
  stop(): Promise<void>
}

/** Answers with as many octets. */
export const DOWNLOADS = { '/bytes/64k': 65_536, '/bytes/1m': 1_048_576, '/bytes/16m': 16_777_216 } as const

/** Reads the whole of a request's body before it answers. */
export const UPLOAD_PATH = '/upload'

const UNIT = 'hauberk '
const BODY = UNIT.repeat(128)

export async function startBackend(directory: string, core: number): Promise<Backend> {
  await mkdir(join(directory, 'bytes'), { recursive: true, mode: 0o755 })
  for (const [path, bytes] of Object.entries(DOWNLOADS)) {
    await writeFile(join(directory, path), UNIT.repeat(bytes / UNIT.length))
  }
  const port = await freePort()
  const config = join(directory, 'nginx.conf')
  await writeFile(
    config,
    `daemon off;
worker_processes 1;
user root;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path ${directory};
  client_body_buffer_size 2m;
  client_max_body_size 32m;
  proxy_temp_path ${directory};
  fastcgi_temp_path ${directory};
  uwsgi_temp_path ${directory};
  scgi_temp_path ${directory};
  upstream itself { server 127.0.0.1:${port}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    default_type text/plain;
    location = /bench-status { stub_status; }
    location /bytes/ { root ${directory}; sendfile on; etag off; if_modified_since off; }
    # nginx reads a body only for somebody: it asks itself, without the body, once it has all of it.
    location = ${UPLOAD_PATH} {
      proxy_pass http://itself/read;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_pass_request_body off;
    }
    location / { return 200 '${BODY}'; }
  }
}
`,
  )
  const child = await startProcess(['nginx', '-p', directory, '-c', config, '-e', join(directory, 'error.log')], {
    core,
    logFile: join(directory, 'nginx.log'),
  })
  await untilListening(port, child)
  let asked = 0
  return {
    pid: child.pid,
    port,
    bodyOf(path) {
      const bytes = (DOWNLOADS as Readonly<Record<string, number>>)[path]
      return bytes === undefined ? BODY : UNIT.repeat(bytes / UNIT.length)
    },
    async answered() {
      const response = await fetch(`http://127.0.0.1:${port}/bench-status`)
      const counts = /^ (\d+) (\d+) (\d+) $/m.exec(await response.text())
      if (counts === null) throw new Error('the backend does not say how many requests it answered')
      asked += 1
      return Number(counts[3]) - asked
    },
    stop: child.stop,
  }
}
