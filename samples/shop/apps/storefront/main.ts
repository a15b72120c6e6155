import { createLog } from '../service/log.ts'
import { runService } from '../service/serve.ts'
import { startStorefront } from './app.ts'
import { readStorefrontOptions } from './options.ts'

const options = readStorefrontOptions()
const log = createLog('storefront', options.logLevel)
await runService(log, () => startStorefront(options, log))
