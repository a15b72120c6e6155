import { createApi } from '../service/api.ts'
import { createLog } from '../service/log.ts'
import { readListenOptions } from '../service/options.ts'
import { runService, serve } from '../service/serve.ts'

// What people say about products. Its team is new here: there is no SecurityPolicy for it yet.
const options = readListenOptions()
const log = createLog('reviews', options.logLevel)
const api = createApi(log, (app) => {
  app.get('/products/:id/reviews', (req, res) => {
    res.json({ product: req.params.id, reviews: [{ stars: 5, text: 'Fits, and nothing got through.' }] })
  })
})
await runService(log, () => serve(api, options))
