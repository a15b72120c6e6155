import { startSessionServer } from './session-server.ts'

const server = await startSessionServer({ port: Number(process.argv[2] ?? 0) })
console.log(server.port)
