import { createLog } from '../service/log.ts'
import { readListenOptions } from '../service/options.ts'
import { runService, serve } from '../service/serve.ts'
import { createPayments } from './app.ts'

const options = readListenOptions()
const log = createLog('payments', options.logLevel)
await runService(log, () => serve(createPayments(log), options))
