/** Whom a server that stops waits for. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import { hangUpOnClose } from './hang-up.ts'

/** A server that answers /slow when it is told to. */
async function served(t: TestContext, patienceMs?: number) {
  const { promise: go, resolve: answer } = Promise.withResolvers<void>()
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
  const app = Fastify({ keepAliveTimeout: 60_000 })
  hangUpOnClose(app, patienceMs)
  app.get('/slow', async () => {
    arrive()
    await go
    return 'answered'
  })
  app.post('/form', async () => 'read')
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  t.after(() => answer())
  const caller = async (said = ''): Promise<Socket> => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    t.after(() => socket.destroy())
    await once(socket, 'connect')
    socket.write(said)
    return socket
  }
  return { app, arrived, answer, caller }
}

test('who never asked anything is not waited for, and an answer under way is', async (t) => {
  const { app, arrived, answer, caller } = await served(t)
  const silent = await caller()
  const asking = await caller('GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await arrived
  const closed = app.close()
  await once(silent.resume(), 'close')
  const said = text(asking)
  answer()
  assert.match(await said, /answered$/)
  await closed
})

for (const half of [
  'GET /slow HTTP/1.1\r\nhost: loc',
  'POST /form HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nhalf',
]) {
  test(`who stops in the middle of asking (${half.slice(0, 9)}) is waited for, but not for ever`, async (t) => {
    const { app, caller } = await served(t, 100)
    const [[theirs], socket] = (await Promise.all([once(app.server, 'connection'), caller(half)])) as [[Socket], Socket]
    while (theirs.bytesRead < half.length) await turn()
    await app.close()
    await once(socket.resume(), 'close')
  })
}
