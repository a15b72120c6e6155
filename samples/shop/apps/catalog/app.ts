import type { Express, Request } from 'express'
import { createApi, Refusal } from '../service/api.ts'
import type { Logger } from '../service/log.ts'
import { FIRST_PRODUCTS, type Product, parseProduct } from './products.ts'

/** Products kept at once; more are refused. */
const MAX_PRODUCTS = 1_000

/**
 * What the shop sells. Everybody may read; who may write is not decided here.
 *
 * Products live in memory: a restart brings the first ones back.
 */
export function createCatalog(log: Logger, maxProducts: number = MAX_PRODUCTS): Express {
  const products = new Map<string, Product>(FIRST_PRODUCTS.map((product) => [product.id, product]))

  return createApi(log, (app) => {
    app.get('/products', (_req, res) => {
      res.json({ products: [...products.values()] })
    })

    app.get('/products/:id', (req, res) => {
      const product = products.get(req.params.id)
      if (!product) throw new Refusal(404, 'no such product')
      res.json(product)
    })

    app.post('/products', (req, res) => {
      const product = readProduct(req)
      if (products.has(product.id)) throw new Refusal(409, 'there is a product of that id')
      if (products.size >= maxProducts) throw new Refusal(507, `the catalog holds at most ${maxProducts} products`)
      products.set(product.id, product)
      log.info({ product: product.id }, 'product added')
      res.status(201).location(`/products/${product.id}`).json(product)
    })

    app.put('/products/:id', (req, res) => {
      const product = readProduct(req, req.params.id)
      if (!products.has(product.id)) throw new Refusal(404, 'no such product')
      products.set(product.id, product)
      log.info({ product: product.id }, 'product changed')
      res.json(product)
    })

    app.delete('/products/:id', (req, res) => {
      if (!products.delete(req.params.id)) throw new Refusal(404, 'no such product')
      log.info({ product: req.params.id }, 'product removed')
      res.status(204).end()
    })
  })
}

function readProduct(req: Request, id?: string): Product {
  try {
    return parseProduct(id === undefined ? req.body : { ...(req.body as object), id })
  } catch (error) {
    throw new Refusal(422, (error as Error).message)
  }
}
