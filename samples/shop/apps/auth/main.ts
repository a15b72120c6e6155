import { createLog } from '../service/log.ts'
import { runService } from '../service/serve.ts'
import { startAuth } from './app.ts'
import { readAuthOptions } from './options.ts'

const options = readAuthOptions()
const log = createLog('auth', options.logLevel)
await runService(log, () => startAuth(options, log))
