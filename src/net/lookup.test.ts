/** Names whose servers are silent, and what becomes of all others meanwhile. */

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { nameServers, together } from './lookup.ts'

test('F-45 however many names are waited for, another one is found', async (t) => {
  const server = await nameServer(t)
  const lookup = nameServers([server.address])
  let heard = 0
  const waiting = Array.from({ length: 20 }, (_, n) => lookup(`silent-${n}.example`).finally(() => (heard += 1)))
  assert.deepEqual(await lookup('found.example'), [{ address: '203.0.113.7', family: 4 }])
  assert.equal(heard, 0, 'nothing was heard of the others')
  server.speak()
  for (const { status } of await Promise.allSettled(waiting)) assert.equal(status, 'rejected')
})

test('a name that is not there fails as such', async (t) => {
  const lookup = nameServers([(await nameServer(t)).address])
  await assert.rejects(lookup('missing.example'), { code: 'ENOTFOUND' })
})

test('F-45 a name is looked up once for all who ask for it meanwhile, and anew afterwards', async () => {
  const asked: string[] = []
  const answers = new Map<string, PromiseWithResolvers<{ address: string; family: number }[]>>()
  const lookup = together((hostname) => {
    asked.push(hostname)
    const answer = Promise.withResolvers<{ address: string; family: number }[]>()
    answers.set(hostname, answer)
    return answer.promise
  })
  const found = [{ address: '203.0.113.7', family: 4 }]
  const [first, second, other] = [lookup('a.example'), lookup('a.example'), lookup('b.example')]
  answers.get('b.example')!.reject(new Error('nobody knows it'))
  await assert.rejects(other, /nobody knows it/)
  answers.get('a.example')!.resolve(found)
  assert.deepEqual(await Promise.all([first, second]), [found, found])
  assert.deepEqual(asked, ['a.example', 'b.example'])
  void lookup('a.example')
  assert.deepEqual(asked, ['a.example', 'b.example', 'a.example'])
})

/** Knows where found.example is and that all others are not there, but says nothing of those that are silent until it is told to speak. */
async function nameServer(t: TestContext): Promise<{ readonly address: string; speak(): void }> {
  const socket = createSocket('udp4')
  t.after(() => socket.close())
  let held: (() => void)[] | null = []
  socket.on('message', (query, { port, address }) => {
    const answer = () => socket.send(answerTo(query), port, address)
    if (held && query.toString('latin1').includes('silent')) held.push(answer)
    else answer()
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    speak() {
      for (const answer of held ?? []) answer()
      held = null
    },
  }
}

/** RFC 1035, section 4.1. */
function answerTo(query: Buffer): Buffer {
  const end = query.indexOf(0, 12) + 5
  const isKnown = query.toString('latin1', 12, end).includes('found')
  const isFour = query.readUInt16BE(end - 4) === 1
  const head = Buffer.from([query[0]!, query[1]!, 0x81, isKnown ? 0x80 : 0x83, 0, 1, 0, isKnown && isFour ? 1 : 0, 0, 0, 0, 0])
  // The name of the question, IN A, a minute, four bytes.
  const record = isKnown && isFour ? [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7] : []
  return Buffer.concat([head, query.subarray(12, end), Buffer.from(record)])
}
