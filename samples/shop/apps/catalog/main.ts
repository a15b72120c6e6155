import { createLog } from '../service/log.ts'
import { readListenOptions } from '../service/options.ts'
import { runService, serve } from '../service/serve.ts'
import { createCatalog } from './app.ts'

const options = readListenOptions()
const log = createLog('catalog', options.logLevel)
await runService(log, () => serve(createCatalog(log), options))
