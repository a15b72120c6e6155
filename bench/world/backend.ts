import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, startProcess, untilListening } from './process.ts'

/** The application behind every proxy: one nginx worker that answers each GET with the same 1,024 octets. */
export interface Backend {
  readonly pid: number
  readonly port: number
  readonly body: string
  /** Requests that it has answered since its start. */
  answered(): Promise<number>
  stop(): Promise<void>
}

const BODY = 'hauberk '.repeat(128)

export async function startBackend(directory: string, core: number): Promise<Backend> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const port = await freePort()
  const config = join(directory, 'nginx.conf')
  await writeFile(
    config,
    `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path ${directory};
  proxy_temp_path ${directory};
  fastcgi_temp_path ${directory};
  uwsgi_temp_path ${directory};
  scgi_temp_path ${directory};
  server {
    listen 127.0.0.1:${port};
    default_type text/plain;
    location = /bench-status { stub_status; }
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
    body: BODY,
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
