/** A mesh listener that echoes. Tells its parent its port, and what a client of the mesh connects with. */
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { testIdentity } from '../identity/testing/test-identity.ts'
import { serverTlsOptions } from '../identity/tls-options.ts'

const ca = await createTestCa()
const server = createServer(serverTlsOptions(await testIdentity(ca, 'orders')), (socket) => socket.pipe(socket))
const client = await testIdentity(ca, 'storefront')
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.send?.({ port, client: { key: client.privateKey, cert: client.chain, ca: ca.root } })
})
process.on('disconnect', () => process.exit())
