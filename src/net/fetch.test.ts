/** What the one way out lets through and what it cuts off, against real servers on this machine. */

import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { text as consumed } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { selfSigned } from '../../test/certificate.ts'
import { untilDone } from '../../test/until-done.ts'
import { NetError, type NetRequest } from '../core/ports.ts'
import { type ClosableNet, createNet, type NetOptions } from './fetch.ts'

const LOOPBACK: LookupAddress[] = [{ address: '127.0.0.1', family: 4 }]

test('an answer comes back as raw bytes with its status and headers, names in lower case', async (t) => {
  const server = await untilDone(
    t,
    listening((request, response) => {
      response.writeHead(201, { 'X-Asked': `${request.method} ${request.url}`, 'Set-Cookie': ['a=1', 'b=2'] })
      response.end(Buffer.from([0xef, 0xbb, 0xbf, 0x00, 0xff]))
    }),
  )
  const net = await untilDone(t, opened())
  const { status, headers, body } = await net.request(get(`${server.url}/path?q=a%20b`))
  assert.equal(status, 201)
  assert.equal(headers['x-asked'], 'GET /path?q=a%20b')
  assert.equal(headers['set-cookie'], 'a=1')
  assert.deepEqual([...body], [0xef, 0xbb, 0xbf, 0x00, 0xff])
})

test('a body and headers arrive as given, and no encoding is asked for', async (t) => {
  const server = await untilDone(
    t,
    listening((request, response) => {
      const { 'content-type': type, 'accept-encoding': encoding } = request.headers
      void consumed(request).then((body) => response.end(JSON.stringify({ body, type, encoding })))
    }),
  )
  const net = await untilDone(t, opened())
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'accept-encoding': 'gzip' }
  const answer = await net.request({ method: 'POST', url: server.url, headers, body: 'a=ä+b', allowPrivateNetwork: true })
  assert.deepEqual(json(answer.body), { body: 'a=ä+b', type: headers['content-type'], encoding: 'identity' })
})

test('S-39 private, loopback, link-local and reserved addresses are refused before anything is sent', async (t) => {
  const net = await untilDone(t, opened())
  const hosts = [
    '127.0.0.1',
    '[::1]',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.0.1',
    '100.64.0.1',
    '169.254.169.254',
    '[fd00::1]',
    '[fe80::1]',
  ]
  const disguised = [
    '[::ffff:127.0.0.1]',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '0.0.0.0',
    '[64:ff9b::a00:1]',
    '[2002:a00:1::]',
  ]
  for (const host of [...hosts, ...disguised]) {
    await refusedAs('address_refused', false, net.request({ ...get(`https://${host}/token`), allowPrivateNetwork: false }))
  }
})

test('S-39 names that lead to private addresses are refused, localhost. among them', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end()),
  )
  const real = await untilDone(t, opened())
  const net = await untilDone(t, opened({ lookup: async () => [{ address: '::1', family: 6 }, ...LOOPBACK] }))
  const request = (host: string): NetRequest => ({ ...get(`https://${host}:${server.port}/`), allowPrivateNetwork: false })
  await refusedAs('address_refused', false, real.request(request('localhost')))
  for (const host of ['localhost.', 'LOCALHOST', 'a.localhost', 'inside.example']) {
    await refusedAs('address_refused', false, net.request(request(host)))
  }
  assert.equal(server.connections(), 0)
})

test('S-39 where private networks are allowed, loopback works and metadata services still do not', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end('here')),
  )
  const net = await untilDone(
    t,
    opened({
      lookup: async (name) => [{ address: name === 'sly.example' ? '169.254.169.254' : '127.0.0.1', family: 4 }],
    }),
  )
  assert.equal((await net.request(get(`http://inside.example:${server.port}/`))).status, 200)
  for (const host of ['169.254.169.254', '0.0.0.0', '[fe80::1]', '[fd00:ec2::254]', '100.100.100.200', 'sly.example']) {
    await refusedAs('address_refused', false, net.request(get(`http://${host}:${server.port}/`)))
  }
})

test('F-45 many who ask one provider at once take up one lookup of its name', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end()),
  )
  const found = Promise.withResolvers<LookupAddress[]>()
  let lookups = 0
  const net = await untilDone(
    t,
    opened({
      lookup: () => {
        lookups += 1
        return found.promise
      },
    }),
  )
  const asked = Array.from({ length: 16 }, () => net.request(get(`http://provider.example:${server.port}/`)))
  while (lookups === 0) await turn()
  for (let turns = 0; turns < 20; turns++) await turn()
  found.resolve(LOOPBACK)
  for (const { status } of await Promise.all(asked)) assert.equal(status, 200)
  assert.equal(lookups, 1)
})

test('S-39 a permission for one provider opens no door for another: connections are not shared', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end()),
  )
  const net = await untilDone(t, opened({ lookup: async () => LOOPBACK }))
  await net.request(get(`http://shared.example:${server.port}/`))
  const url = `https://shared.example:${server.port}/`
  await refusedAs('address_refused', false, net.request({ ...get(url), allowPrivateNetwork: false }))
})

test('S-40 the address that was checked is the one connected to, however the name answers the next time', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.setHeader('connection', 'close').end('first')),
  )
  const answers = [LOOPBACK, [{ address: '169.254.169.254', family: 4 }]]
  let lookups = 0
  const net = await untilDone(t, opened({ lookup: async () => answers[lookups++]! }))
  const url = `http://rebinding.example:${server.port}/`
  // Resolved once: there is no second answer that could take the place of the one that was checked.
  assert.equal((await net.request(get(url))).status, 200)
  assert.equal(lookups, 1)
  // A new connection resolves anew, and what comes back is checked anew.
  await refusedAs('address_refused', false, net.request(get(url)))
  assert.equal(lookups, 2)
  assert.equal(server.connections(), 1)
})

test('S-40 of several addresses only those that may be reached are tried', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end('ok')),
  )
  const mixed = [{ address: '169.254.169.254', family: 4 }, ...LOOPBACK]
  const net = await untilDone(t, opened({ lookup: async () => mixed }))
  assert.equal((await net.request(get(`http://mixed.example:${server.port}/`))).status, 200)
})

test('S-41 a redirect is an answer, and is not followed', async (t) => {
  const server = await untilDone(
    t,
    listening((request, response) => {
      if (request.url !== '/') return response.end('followed')
      return response.writeHead(307, { location: '/elsewhere' }).end('redirect')
    }),
  )
  const net = await untilDone(t, opened())
  const answer = await net.request({ method: 'POST', url: server.url, headers: {}, body: 'secret', allowPrivateNetwork: true })
  assert.equal(answer.status, 307)
  assert.equal(answer.headers['location'], '/elsewhere')
  assert.equal(server.requests(), 1)
})

test('S-42 an answer longer than the limit is cut, announced or not', async (t) => {
  const long = Buffer.alloc(4096)
  const server = await untilDone(
    t,
    listening((request, response) => {
      // Announced and never sent: there is nothing to wait for.
      if (request.url === '/announced') return response.writeHead(200, { 'content-length': long.length }).flushHeaders()
      for (let sent = 0; sent < 8; sent++) response.write(long)
      return response.end()
    }),
  )
  const net = await untilDone(t, opened({ bodyBytesMax: 4095 }))
  await refusedAs('too_large', true, net.request(get(`${server.url}/announced`)))
  await refusedAs('too_large', true, net.request(get(`${server.url}/streamed`)))
})

test('S-83 where only the status counts, whatever is wrong with the body is no matter', async (t) => {
  const server = await untilDone(
    t,
    listening((request, response) => {
      if (request.url === '/announced') return response.writeHead(202, { 'content-length': 9999 }).flushHeaders()
      if (request.url === '/encoded') return response.writeHead(202, { 'content-encoding': 'gzip' }).end('no gzip')
      if (request.url === '/cut') {
        response.writeHead(202, { 'content-length': 10 }).write('half')
        return setImmediate(() => response.destroy())
      }
      response.writeHead(202)
      for (let sent = 0; sent < 8; sent++) response.write(Buffer.alloc(4096))
      return response.end()
    }),
  )
  const net = await untilDone(t, opened({ bodyBytesMax: 4095, timeoutMs: 300 }))
  for (const path of ['/announced', '/encoded', '/cut', '/streamed']) {
    const { status, body } = await net.request({ ...get(`${server.url}${path}`), ignoreBody: true })
    assert.deepEqual([status, body.length], [202, 0], path)
  }
})

test('S-42 an answer of exactly the limit, one mebibyte by default, comes through', async (t) => {
  const server = await untilDone(
    t,
    listening((request, response) => response.end(Buffer.alloc(1_048_576 + Number(request.url?.slice(1))))),
  )
  const net = await untilDone(t, opened())
  assert.equal((await net.request(get(`${server.url}/0`))).body.length, 1_048_576)
  await refusedAs('too_large', true, net.request(get(`${server.url}/1`)))
  await refusedAs('too_large', true, net.request({ ...get(`${server.url}/0`), bodyBytesMax: 1_048_575 }))
})

test('S-42 a body that drips is cut when the whole request has had its time', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => {
      const drip = setInterval(() => response.write('.'), 10)
      response.on('close', () => clearInterval(drip))
    }),
  )
  const net = await untilDone(t, opened({ timeoutMs: 150 }))
  const begun = performance.now()
  await refusedAs('timeout', true, net.request(get(server.url)))
  assert(performance.now() - begun < 2000)
})

test('F-12 a request may be given more time than is usual, or less', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => void setTimeout(() => response.end('late'), 150)),
  )
  const net = await untilDone(t, opened({ timeoutMs: 50 }))
  await refusedAs('timeout', true, net.request(get(server.url)))
  const { body } = await net.request({ ...get(server.url), timeoutMs: 10_000 })
  assert.equal(Buffer.from(body).toString(), 'late')
  await refusedAs('timeout', true, net.request({ ...get(server.url), timeoutMs: 20 }))
})

test('S-42 a server that takes the connection and never answers is left, and so are the requests queued behind it', async (t) => {
  const server = await untilDone(
    t,
    listening(() => {}),
  )
  const net = await untilDone(t, opened({ timeoutMs: 300, connectionsPerOriginMax: 1 }))
  const given = net.request(get(server.url))
  // Its time is over well before the first one's, which would give it the connection.
  const queued = net.request({ ...get(server.url), timeoutMs: 60 })
  const [first, second] = await Promise.allSettled([given, queued])
  assert(first.status === 'rejected' && second.status === 'rejected')
  assert.deepEqual([first.reason.reason, first.reason.sent], ['timeout', true])
  assert.deepEqual([second.reason.reason, second.reason.sent], ['timeout', false])
  assert.equal(server.requests(), 1)
})

test('S-42 a compressed body is refused, whatever it would unpack to', async (t) => {
  const bomb = Buffer.alloc(1_000_000)
  const bodies = {
    gzip: gzipSync(bomb),
    br: brotliCompressSync(bomb),
    deflate: Buffer.from('x'),
    'identity, gzip': Buffer.from('x'),
  }
  const server = await untilDone(
    t,
    listening((request, response) => {
      const encoding = decodeURIComponent(request.url!.slice(1)) as keyof typeof bodies
      response.writeHead(200, { 'content-encoding': encoding }).end(bodies[encoding])
    }),
  )
  const net = await untilDone(t, opened())
  for (const encoding of Object.keys(bodies)) {
    await refusedAs('encoded', true, net.request(get(`${server.url}/${encodeURIComponent(encoding)}`)))
  }
})

test('an encoding called identity is none', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.writeHead(200, { 'content-encoding': 'Identity' }).end('plain')),
  )
  const net = await untilDone(t, opened())
  assert.equal(text((await net.request(get(server.url))).body), 'plain')
})

test('S-42 headers without end are cut', async (t) => {
  const server = await untilDone(
    t,
    rawListening((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const line = `x-more: ${'a'.repeat(1000)}\r\n`
      const flood = setInterval(() => socket.write(line), 1)
      socket.on('close', () => clearInterval(flood))
    }),
  )
  const net = await untilDone(t, opened())
  await refusedAs('too_large', true, net.request(get(server.url)))
})

test('S-44 a certificate that nobody trusts is refused, and nothing is sent', async (t) => {
  const server = await untilDone(t, tlsListening(selfSigned('tls.example')))
  const net = await untilDone(t, opened({ lookup: async () => LOOPBACK }))
  await refusedAs('unreachable', false, net.request(get(`https://tls.example:${server.port}/`)))
  assert.equal(server.requests(), 0)
})

test('S-44 a certificate for another name, or one that has expired, is refused even from a trusted authority', async (t) => {
  const other = selfSigned('other.example')
  const expired = selfSigned('tls.example', { notAfter: new Date(Date.now() - 60_000) })
  for (const certificate of [other, expired]) {
    const server = await untilDone(t, tlsListening(certificate))
    const net = await untilDone(t, opened({ lookup: async () => LOOPBACK, ca: certificate.cert }))
    await refusedAs('unreachable', false, net.request(get(`https://tls.example:${server.port}/`)))
    assert.equal(server.requests(), 0)
  }
})

test('S-44 no environment variable switches the check of certificates off', async (t) => {
  const server = await untilDone(t, tlsListening(selfSigned('tls.example')))
  const net = await untilDone(t, opened({ lookup: async () => LOOPBACK }))
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  try {
    await refusedAs('unreachable', false, net.request(get(`https://tls.example:${server.port}/`)))
  } finally {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
  }
  assert.equal(server.requests(), 0)
})

test('a valid certificate of a trusted authority is accepted', async (t) => {
  const certificate = selfSigned('tls.example')
  const server = await untilDone(t, tlsListening(certificate))
  const net = await untilDone(t, opened({ lookup: async () => LOOPBACK, ca: certificate.cert }))
  assert.equal((await net.request(get(`https://tls.example:${server.port}/`))).status, 200)
})

describe('through a proxy', () => {
  const NAME = 'tls.example'
  const certificate = selfSigned(NAME)
  const outside = (port: number, path = '/'): NetRequest => ({
    ...get(`https://${NAME}:${port}${path}`),
    allowPrivateNetwork: false,
  })

  test('what is on the internet is asked for by its name, which is the proxy’s to resolve, and one tunnel serves several requests', async (t) => {
    const server = await untilDone(t, tlsListening(certificate))
    const proxy = await untilDone(t, proxying(server.port))
    const net = await untilDone(
      t,
      opened({ proxy: proxy.url, ca: certificate.cert, lookup: () => assert.fail('it was looked up') }),
    )
    for (let i = 0; i < 3; i++) {
      assert.equal(String((await net.request(outside(server.port))).body), 'ok')
      await turn() // and then the connection is free
    }
    assert.deepEqual(proxy.asked, [{ for: `${NAME}:${server.port}`, as: undefined }])
    assert.deepEqual([server.requests(), server.connections()], [3, 1])
  })

  test('it is told a user and a password, and nobody else is', async (t) => {
    const told: unknown[] = []
    const server = await untilDone(
      t,
      started(
        createTlsServer(certificate, ({ headers }, response) => {
          told.push(headers['proxy-authorization'], headers.authorization)
          response.end('ok')
        }) as Server,
      ),
    )
    const proxy = await untilDone(t, proxying(server.port))
    const withUser = proxy.url.replace('//', '//me:p%40ss@')
    const net = await untilDone(t, opened({ proxy: withUser, ca: certificate.cert }))
    await net.request(outside(server.port))
    assert.equal(proxy.asked[0]?.as, `Basic ${Buffer.from('me:p@ss').toString('base64')}`)
    assert.deepEqual(told, [undefined, undefined])
  })

  test('it may be spoken to over TLS, with a certificate that is checked', async (t) => {
    const server = await untilDone(t, tlsListening(certificate))
    const own = selfSigned('localhost')
    const proxy = await untilDone(t, proxying(server.port, { tls: own }))
    const trusting = await untilDone(t, opened({ proxy: proxy.url, ca: `${certificate.cert}\n${own.cert}` }))
    assert.equal((await trusting.request(outside(server.port))).status, 200)
    const wary = await untilDone(t, opened({ proxy: proxy.url, ca: certificate.cert }))
    await refusedAs('unreachable', false, wary.request(outside(server.port)))
  })

  test('S-44 the provider’s certificate is checked all the same, and nothing is sent', async (t) => {
    const server = await untilDone(t, tlsListening(selfSigned('other.example')))
    const proxy = await untilDone(t, proxying(server.port))
    for (const ca of [undefined, certificate.cert]) {
      const net = await untilDone(t, opened({ proxy: proxy.url, ...(ca !== undefined && { ca }) }))
      await refusedAs('unreachable', false, net.request(outside(server.port)))
    }
    assert.equal(server.requests(), 0)
  })

  test('S-39 addresses that are refused, and names of the proxy’s own machine, are refused before it is asked', async (t) => {
    const proxy = await untilDone(t, proxying(1))
    const net = await untilDone(t, opened({ proxy: proxy.url }))
    for (const host of [
      '127.0.0.1',
      '[::1]',
      '10.0.0.1',
      '169.254.169.254',
      '2130706433',
      'localhost',
      'localhost.',
      'a.LOCALHOST',
    ])
      await refusedAs('address_refused', false, net.request({ ...get(`https://${host}/`), allowPrivateNetwork: false }))
    assert.deepEqual(proxy.asked, [])
  })

  test('what may be on a private network is reached directly', async (t) => {
    const [plain, tls] = [
      await untilDone(
        t,
        listening((_, response) => response.end('ok')),
      ),
      await untilDone(t, tlsListening(certificate)),
    ]
    const proxy = await untilDone(t, proxying(1))
    const net = await untilDone(t, opened({ proxy: proxy.url, ca: certificate.cert, lookup: async () => LOOPBACK }))
    assert.equal((await net.request(get(plain.url))).status, 200)
    assert.equal((await net.request(get(`https://${NAME}:${tls.port}/`))).status, 200)
    assert.deepEqual(proxy.asked, [])
  })

  test('F-50 a proxy that refuses, is not there or says nothing: nothing was sent, and that is known', async (t) => {
    for (const status of [403, 407, 502]) {
      const proxy = await untilDone(t, proxying(1, { status }))
      const net = await untilDone(t, opened({ proxy: proxy.url }))
      const { message } = await refusedAs('unreachable', false, net.request(outside(443)))
      assert.match(message, new RegExp(`^tls\\.example:?\\d* could not be reached \\(the proxy answered ${status}\\)$`))
    }
    const gone = await untilDone(t, opened({ proxy: 'http://127.0.0.1:1' }))
    await refusedAs('unreachable', false, gone.request(outside(443)))
    const silent = await untilDone(t, proxying(1, { status: null }))
    const patient = await untilDone(t, opened({ proxy: silent.url, timeoutMs: 200, connectTimeoutMs: 400 }))
    await refusedAs('timeout', false, patient.request(outside(443)))
  })

  test('F-04 a tunnel that breaks after the request was written: it was sent, and that is known', async (t) => {
    const server = await untilDone(t, started(createTlsServer(certificate, () => proxy.cut()) as Server))
    const proxy = await untilDone(t, proxying(server.port))
    const net = await untilDone(t, opened({ proxy: proxy.url, ca: certificate.cert }))
    await refusedAs('reset', true, net.request(outside(server.port)))
  })
})

test('plain http goes to private addresses only, and only where they are allowed', async (t) => {
  const net = await untilDone(t, opened({ lookup: async () => [{ address: '93.184.215.14', family: 4 }] }))
  const plain = net.request({ ...get('http://public.example/'), allowPrivateNetwork: false })
  await refusedAs('invalid_url', false, plain)
  await assert.rejects(plain, /must be reached by https \(allow_private_network allows http/)
  await refusedAs('address_refused', false, net.request(get('http://public.example/')))
  await refusedAs('address_refused', false, net.request(get('http://1.1.1.1/')))
})

test('what is no http(s) URL, or carries credentials, is refused', async (t) => {
  const net = await untilDone(t, opened())
  for (const url of [
    '',
    'token',
    'file:///etc/passwd',
    'ftp://x.example/',
    'https://user:hunter2@x.example/',
    'http://user@127.0.0.1/',
  ]) {
    const error = await refusedAs('invalid_url', false, net.request(get(url)))
    assert(!error.message.includes('hunter2'))
  }
})

test('a header that would end its line is refused', async (t) => {
  const net = await untilDone(t, opened())
  const request = { ...get('http://127.0.0.1:9/'), headers: { authorization: 'Bearer canary\r\nx-injected: 1' } }
  const error = await refusedAs('invalid_url', false, net.request(request))
  assert(!JSON.stringify([error.message, String(error.cause)]).includes('canary'))
})

test('F-12 a name that does not resolve, and a port where nobody listens, tell that nothing was sent', async (t) => {
  const closed = await listening(() => {})
  await closed[Symbol.asyncDispose]()
  const net = await untilDone(
    t,
    opened({
      lookup: async (name) => {
        if (name === 'nowhere.example') throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' })
        return LOOPBACK
      },
    }),
  )
  await refusedAs('unreachable', false, net.request(get('http://nowhere.example/')))
  await refusedAs('unreachable', false, net.request(get(closed.url)))
})

test('F-12 a connection that breaks once the request is out tells that it may have been acted upon', async (t) => {
  const server = await untilDone(
    t,
    rawListening((socket) => socket.once('data', () => socket.destroy())),
  )
  const net = await untilDone(t, opened())
  await refusedAs(
    'reset',
    true,
    net.request({ method: 'POST', url: server.url, headers: {}, body: 'a=1', allowPrivateNetwork: true }),
  )
})

for (const early of ['102 Processing', '103 Early Hints']) {
  test(`F-12 ${early} is no answer: after it the answer is read, or nothing is known of it`, async (t) => {
    const server = await untilDone(
      t,
      rawListening((socket) =>
        socket.on('data', (asked) => {
          socket.write(`HTTP/1.1 ${early}\r\nlink: </a>\r\ncontent-encoding: br\r\n\r\n`)
          socket.end(asked.includes('/whole') ? 'HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok' : '')
        }),
      ),
    )
    const net = await untilDone(t, opened())
    const { status, body } = await net.request(get(`${server.url}/whole`))
    assert.deepEqual([status, text(body)], [201, 'ok'])
    const { status: told } = await refusedAs('reset', true, net.request(get(`${server.url}/broken`)))
    assert.equal(told, null)
  })
}

test('F-03 a request whose time is over before there is a connection is never written, also where the timer comes late', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end('ok')),
  )
  // As after SIGCONT: what happened on sockets is handled before the timers are.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const net = await untilDone(
    t,
    opened({
      timeoutMs: 20,
      async lookup() {
        const over = performance.now() + 20
        while (performance.now() <= over) await turn()
        return LOOPBACK
      },
    }),
  )
  await refusedAs('timeout', false, net.request(get(server.url.replace('127.0.0.1', 'provider.example'))))
  assert.equal(server.requests(), 0)
})

test('F-12 an answer that came while this process was busy past the time limit is read', async (t) => {
  const [ASKED, ANSWERED] = [1, 2]
  const said = new Int32Array(new SharedArrayBuffer(4))
  const server = new Worker(ANSWERING, { eval: true, workerData: said })
  t.after(() => server.terminate())
  const [port] = (await once(server, 'message')) as [number]
  const net = await untilDone(t, opened({ timeoutMs: 200 }))
  const until = performance.now() + 200
  const answer = net.request(get(`http://127.0.0.1:${port}/`))
  while (Atomics.load(said, 0) !== ASKED) await turn()
  // From here on nothing of this process runs, timers included.
  Atomics.wait(said, 0, ASKED)
  while (performance.now() <= until);
  assert.equal(Atomics.load(said, 0), ANSWERED)
  assert.equal(Buffer.from((await answer).body).toString(), 'the only copy')
})

/** Answers once whoever asked is waiting. */
const ANSWERING = `
  const { createServer } = require('node:http')
  const { parentPort, workerData: said } = require('node:worker_threads')
  const server = createServer((_, response) => {
    Atomics.store(said, 0, 1)
    setTimeout(() => response.end('the only copy', () => {
      Atomics.store(said, 0, 2)
      Atomics.notify(said, 0)
    }), 20)
  })
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`

test('an answer that is no HTTP counts as one that was lost', async (t) => {
  const server = await untilDone(
    t,
    rawListening((socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9\r\n'))),
  )
  const net = await untilDone(t, opened())
  await refusedAs('reset', true, net.request(get(server.url)))
})

test('connections are kept and used again, and never more of them than the limit', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end('ok')),
  )
  const net = await untilDone(t, opened({ connectionsPerOriginMax: 2 }))
  await Promise.all(Array.from({ length: 40 }, () => net.request(get(server.url))))
  await net.request(get(server.url))
  assert.equal(server.requests(), 41)
  assert(server.connections() <= 2, `${server.connections()} connections`)
})

test('after close nothing goes out any more', async (t) => {
  const server = await untilDone(
    t,
    listening((_, response) => response.end('ok')),
  )
  const [used, unused] = [createNet(), createNet()]
  await used.request(get(server.url))
  for (const net of [used, unused]) {
    await net.close()
    await refusedAs('unreachable', false, net.request(get(server.url)))
  }
  assert.equal(server.requests(), 1)
})

function opened(options?: NetOptions): ClosableNet & AsyncDisposable {
  const net = createNet(options)
  return { ...net, [Symbol.asyncDispose]: () => net.close() }
}

function get(url: string): NetRequest {
  return { method: 'GET', url, headers: {}, allowPrivateNetwork: true }
}

async function refusedAs(reason: NetError['reason'], sent: boolean, request: Promise<unknown>): Promise<NetError> {
  const error = await request.then(
    () => assert.fail('it went through'),
    (thrown: unknown) => thrown,
  )
  assert(error instanceof NetError, String(error))
  assert.deepEqual({ reason: error.reason, sent: error.sent }, { reason, sent }, error.message)
  return error
}

interface Listening extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly requests: () => number
  readonly connections: () => number
}

function listening(answer: RequestListener): Promise<Listening> {
  return started(createServer(answer))
}

interface Proxying extends AsyncDisposable {
  readonly url: string
  readonly asked: readonly { readonly for: string | undefined; readonly as: string | undefined }[]
  /** Breaks all tunnels. */
  readonly cut: () => void
}

/** A proxy to one port here, whatever it is asked for. `status` null: it never answers. */
async function proxying(
  port: number,
  { status = 200, tls }: { status?: number | null; tls?: { cert: string; key: string } } = {},
): Promise<Proxying> {
  const asked: { for: string | undefined; as: string | undefined }[] = []
  const sockets = new Set<Socket>()
  const server = (tls ? createTlsServer(tls) : createServer()) as Server
  server.on('connection', (socket: Socket) => void sockets.add(socket))
  server.on('connect', (request, client: Socket) => {
    asked.push({ for: request.url, as: request.headers['proxy-authorization'] })
    client.on('error', () => {})
    if (status === null) return
    if (status !== 200) return void client.end(`HTTP/1.1 ${status} No\r\n\r\n`)
    const target = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      target.pipe(client).pipe(target)
    })
    sockets.add(target)
    target.on('error', () => client.destroy())
  })
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  const { url, port: own } = await started(server)
  const close = (): Promise<void> => {
    cut()
    return new Promise((resolve) => server.close(() => resolve()))
  }
  return { url: tls ? `https://localhost:${own}` : url, asked, cut, [Symbol.asyncDispose]: close }
}

function tlsListening({ cert, key }: { cert: string; key: string }): Promise<Listening> {
  return started(createTlsServer({ cert, key }, (_, response) => response.end('ok')) as Server)
}

async function started(server: Server): Promise<Listening> {
  let requests = 0
  let connections = 0
  server.on('request', () => requests++)
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  }
  const url = `http://127.0.0.1:${port}`
  return { url, port, requests: () => requests, connections: () => connections, [Symbol.asyncDispose]: close }
}

async function rawListening(onSocket: (socket: Socket) => void): Promise<AsyncDisposable & { url: string }> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    for (const socket of sockets) socket.destroy()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, [Symbol.asyncDispose]: close }
}

function text(body: Uint8Array): string {
  return Buffer.from(body).toString()
}

function json(body: Uint8Array): unknown {
  return JSON.parse(text(body))
}

test('S-39 an address beyond is reached over plain http where it was named, and by no name and no other net', async (t) => {
  const server = await untilDone(
    t,
    listening((_request, response) => response.end('here')),
  )
  // Refused everywhere, and it leads to this machine.
  const url = `http://0.0.0.0:${server.port}/`
  const beyond = await untilDone(t, opened({ beyond: ['0.0.0.0'], lookup: async () => [{ address: '0.0.0.0', family: 4 }] }))
  assert.equal(Buffer.from((await beyond.request(get(url))).body).toString(), 'here')
  await refusedAs('address_refused', false, beyond.request(get(`http://name.example:${server.port}/`)))
  await refusedAs('invalid_url', false, beyond.request({ ...get(url), allowPrivateNetwork: false }))
  await refusedAs('address_refused', false, beyond.request(get(url.replace('http:', 'https:'))))
  await refusedAs('address_refused', false, (await untilDone(t, opened())).request(get(url)))
})
