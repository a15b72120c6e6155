import { createLog } from '../service/log.ts'
import { runService } from '../service/serve.ts'
import { startOrders } from './app.ts'
import { readOrdersOptions } from './options.ts'

const options = readOrdersOptions()
const log = createLog('orders', options.logLevel)
await runService(log, () => startOrders(options, log))
