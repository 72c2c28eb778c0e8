/** Environment and flags in, a frozen Config out, and every mistake in one go. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { asWorker, ConfigError, type Environment, type Flags, readConfig, VARIABLES, withPort } from './config.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')

const folder = mkdtempSync(join(tmpdir(), 'latchstring-config-'))
after(() => rmSync(folder, { recursive: true }))

function read(environment: Environment = {}, flags: Flags = {}) {
  return readConfig(flags, { LATCHSTRING_MASTER_KEY: KEY, ...environment })
}

function mistakes(environment: Environment, flags: Flags = {}): readonly string[] {
  try {
    readConfig(flags, environment)
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
  return []
}

/** Of one variable, everything else being right. */
function mistakeOf(name: string, value: string): string {
  const [mistake = '', ...more] = mistakes({ LATCHSTRING_MASTER_KEY: KEY, [name]: value })
  assert.deepEqual(more, [])
  return mistake
}

test('with a key and nothing else it is what the documentation says', () => {
  const { masterKeys, environment, ...rest } = read()
  assert.deepEqual(rest, {
    host: '127.0.0.1',
    port: 4400,
    publicUrl: 'http://localhost:4400',
    database: { kind: 'sqlite', path: 'data/latchstring.db' },
    journalFolder: null,
    masterKeyFile: null,
    keyServiceCa: null,
    setupFile: null,
    logLevel: 'info',
    failedGuessesPerMinute: 60,
    workers: 1,
    requestsPerMinute: null,
    trustedProxies: [],
    allowedHosts: [],
    httpsProxy: null,
  })
  assert.equal(masterKeys.reveal(), KEY)
  assert.equal(environment['LATCHSTRING_MASTER_KEY'], KEY)
})

test('every variable has its say', () => {
  const config = read({
    LATCHSTRING_HOST: '0.0.0.0',
    LATCHSTRING_PORT: '8080',
    LATCHSTRING_PUBLIC_URL: 'https://connect.example.com/base/',
    LATCHSTRING_DATABASE_URL: 'sqlite:/var/lib/latchstring.db',
    LATCHSTRING_JOURNAL_DIR: '/var/lib/journal',
    LATCHSTRING_CONFIG: 'setup.yaml',
    LATCHSTRING_LOG_LEVEL: 'debug',
    LATCHSTRING_FAILED_GUESSES_PER_MINUTE: '5',
    LATCHSTRING_WORKERS: '4',
    LATCHSTRING_REQUESTS_PER_MINUTE: '600',
    LATCHSTRING_TRUSTED_PROXIES: '10.0.0.0/8, ::1',
    LATCHSTRING_ALLOWED_HOSTS: 'latchstring.internal',
    LATCHSTRING_HTTPS_PROXY: 'http://me:p%40ss@proxy.internal:3128',
  })
  const { masterKeys: _, environment: __, ...rest } = config
  assert.deepEqual(rest, {
    host: '0.0.0.0',
    port: 8080,
    publicUrl: 'https://connect.example.com/base',
    database: { kind: 'sqlite', path: '/var/lib/latchstring.db' },
    journalFolder: '/var/lib/journal',
    masterKeyFile: null,
    keyServiceCa: null,
    setupFile: 'setup.yaml',
    logLevel: 'debug',
    failedGuessesPerMinute: 5,
    workers: 4,
    requestsPerMinute: 600,
    trustedProxies: ['10.0.0.0/8', '::1'],
    allowedHosts: ['latchstring.internal'],
    httpsProxy: 'http://me:p%40ss@proxy.internal:3128',
  })
  assert.equal(VARIABLES.length, 15, 'and there are no others')
})

test('there is no more than one worker on a store that each process has of its own', () => {
  assert.deepEqual(mistakes({ LATCHSTRING_MASTER_KEY: KEY, LATCHSTRING_DATABASE_URL: 'memory:' }, { workers: '2' }), [
    'LATCHSTRING_WORKERS must be 1 with memory:, which each process has of its own; name a file or PostgreSQL',
  ])
  assert.match(mistakeOf('LATCHSTRING_WORKERS', '0'), /whole number from 1 to 128/)
})

test('a worker reads where its primary listens', () => {
  const primary = withPort(read({ LATCHSTRING_PORT: '0' }, { host: '0.0.0.0' }), 4711)
  const { host, port, publicUrl } = read(asWorker(primary))
  assert.deepEqual([host, port, publicUrl], ['0.0.0.0', 4711, primary.publicUrl])
})

test('nobody can change it later', () => {
  const config = read()
  assert.throws(() => Object.assign(config, { host: '0.0.0.0' }), TypeError)
})

test('the public URL follows the port, unless it was set', () => {
  assert.equal(read({ LATCHSTRING_PORT: '9' }).publicUrl, 'http://localhost:9')
  assert.equal(withPort(read({ LATCHSTRING_PORT: '0' }), 4711).publicUrl, 'http://localhost:4711')
  assert.equal(withPort(read({ LATCHSTRING_PORT: '0' }), 4711).port, 4711)
  const set = read({ LATCHSTRING_PORT: '0', LATCHSTRING_PUBLIC_URL: 'https://connect.example.com' })
  assert.equal(withPort(set, 4711).publicUrl, 'https://connect.example.com')
})

test('empty and blank variables are as good as none', () => {
  const config = read({ LATCHSTRING_HOST: '', LATCHSTRING_PORT: '  ', LATCHSTRING_CONFIG: ' ' })
  assert.deepEqual([config.host, config.port, config.setupFile], ['127.0.0.1', 4400, null])
})

describe('flags', () => {
  test('go before the environment', () => {
    const environment = { LATCHSTRING_HOST: 'a', LATCHSTRING_PORT: '1', LATCHSTRING_CONFIG: 'a.yaml' }
    const { host, port, setupFile } = read(environment, { host: 'b', port: '2', config: 'b.yaml' })
    assert.deepEqual([host, port, setupFile], ['b', 2, 'b.yaml'])
  })

  test('are named as flags when they are wrong', () => {
    assert.deepEqual(mistakes({ LATCHSTRING_MASTER_KEY: KEY, LATCHSTRING_PORT: '80' }, { port: 'many' }), [
      '--port must be a whole number from 0 to 65535',
    ])
  })
})

describe('the public URL', () => {
  for (const fine of ['https://a.example', 'http://localhost:4400', 'http://127.0.0.1:1', 'http://[::1]:1'])
    test(`may be ${fine}`, () => assert.equal(read({ LATCHSTRING_PUBLIC_URL: fine }).publicUrl, fine))

  for (const [wrong, why] of [
    ['connect.example.com', /must be a URL/],
    ['ftp://connect.example.com', /must be a URL/],
    ['http://connect.example.com', /must be https/],
    ['http://127.0.0.1.example.com', /must be https/],
    ['https://user:pass@connect.example.com', /no user, query or fragment/],
    ['https://connect.example.com/?a=b', /no user, query or fragment/],
    ['https://connect.example.com/#a', /no user, query or fragment/],
    ['https://connect.example.com/#', /no user, query or fragment/],
    ['https://connect.example.com?', /no user, query or fragment/],
  ] as const)
    test(`may not be ${wrong}`, () => assert.match(mistakeOf('LATCHSTRING_PUBLIC_URL', wrong), why))
})

describe('the database', () => {
  for (const [value, database] of [
    ['memory:', { kind: 'memory' }],
    ['sqlite:a.db', { kind: 'sqlite', path: 'a.db' }],
    ['sqlite:///var/a.db', { kind: 'sqlite', path: '/var/a.db' }],
    ['sqlite://a.db', { kind: 'sqlite', path: 'a.db' }],
    ['postgres://me:pw@db:5432/vault', { kind: 'postgres', url: 'postgres://me:pw@db:5432/vault' }],
    ['postgresql://db/vault?sslmode=verify-full', { kind: 'postgres', url: 'postgresql://db/vault?sslmode=verify-full' }],
  ] as const)
    test(`may be ${value}`, () => assert.deepEqual(read({ LATCHSTRING_DATABASE_URL: value }).database, database))

  for (const wrong of ['a.db', 'sqlite:', 'mysql://a', 'memory'])
    test(`may not be ${wrong}`, () =>
      assert.match(mistakeOf('LATCHSTRING_DATABASE_URL', wrong), /must be sqlite:PATH or postgres:/))

  test('may not be in memory by another name, since much goes by whether it is', () =>
    assert.match(mistakeOf('LATCHSTRING_DATABASE_URL', 'sqlite::memory:'), /must be memory: where nothing is to be kept/))

  for (const wrong of ['postgres://me:p/w@db:5432/vault', 'postgres://me:secret@db', 'postgres://me:secret@db/'])
    test(`may not be ${wrong}, and the password is not repeated`, () => {
      const mistake = mistakeOf('LATCHSTRING_DATABASE_URL', wrong)
      assert.match(mistake, /must name a database, as postgres:/)
      assert.doesNotMatch(mistake, /secret|p\/w/)
    })
})

test('a proxy whose password has a bare % is refused before anything is sent, and the password is not repeated', () => {
  for (const wrong of ['http://me:100%@proxy:3128', 'http://me:p%ff@proxy:3128', 'http://m%zz:secret@proxy:3128']) {
    const mistake = mistakeOf('LATCHSTRING_HTTPS_PROXY', wrong)
    assert.match(mistake, /^LATCHSTRING_HTTPS_PROXY must be .*%25 for a %/)
    assert.doesNotMatch(mistake, /100|p%ff|secret/)
  }
})

for (const [name, wrong] of [
  ['LATCHSTRING_PORT', ['-1', '65536', '1.5', '0x10', '1e3', 'http']],
  ['LATCHSTRING_REQUESTS_PER_MINUTE', ['0', 'many']],
  ['LATCHSTRING_TRUSTED_PROXIES', ['all', '10.0.0.1/8', 'proxy.internal', 'true']],
  ['LATCHSTRING_ALLOWED_HOSTS', ['*', '*.example.com', 'a.example:4400', 'https://a.example']],
  ['LATCHSTRING_HTTPS_PROXY', ['proxy:3128', 'proxy', 'socks5://proxy:1080', 'http://proxy:3128/path', 'http://me@proxy:3128']],
  ['LATCHSTRING_FAILED_GUESSES_PER_MINUTE', ['0', '-5', '1000001', 'none']],
  ['LATCHSTRING_LOG_LEVEL', ['verbose', 'INFO', 'trace']],
] as const) {
  for (const value of wrong)
    test(`${name} may not be ${value}`, () => assert.match(mistakeOf(name, value), new RegExp(`^${name} must be `)))
}

describe('S-47 the master key', () => {
  const file = join(folder, 'master-key')
  writeFileSync(file, `${KEY}\n`)

  test('may stand in a file', () => {
    const config = readConfig({}, { LATCHSTRING_MASTER_KEY_FILE: file })
    assert.equal(config.masterKeys.reveal().trim(), KEY)
    assert.equal(config.masterKeyFile, file)
  })

  test('must be there: without one there is no start', () => {
    const [mistake] = mistakes({})
    assert.match(mistake ?? '', /^LATCHSTRING_MASTER_KEY is not set.*openssl rand -base64 32/)
    assert.deepEqual(mistakes({ LATCHSTRING_MASTER_KEY: ' ' }), [mistake])
  })

  test('must not be there twice', () => {
    assert.match(mistakes({ LATCHSTRING_MASTER_KEY: KEY, LATCHSTRING_MASTER_KEY_FILE: file }).join(), /both set/)
  })

  test('must be readable', () => {
    assert.match(
      mistakes({ LATCHSTRING_MASTER_KEY_FILE: join(folder, 'nothing') }).join(),
      /cannot be read \(ENOENT\); name the one that you have, or make one/,
    )
    assert.match(
      mistakes({ LATCHSTRING_MASTER_KEY_FILE: folder }).join(),
      /cannot be read \(EISDIR\); name a file that [^;]* can read$/,
    )
  })

  test('does not show when the config is printed', () => {
    const { environment: _, ...config } = read()
    assert(!JSON.stringify(config).includes(KEY))
  })
})

test('a mistyped variable is a mistake, and the project’s own for tests is none', () => {
  assert.match(mistakeOf('LATCHSTRING_DATABSE_URL', 'memory:'), /^LATCHSTRING_DATABSE_URL is not a variable that is known here/)
  assert.deepEqual(
    mistakes({ LATCHSTRING_MASTER_KEY: KEY, LATCHSTRING_TEST_DATABASE_URL: 'x', PATH: '/bin', latchstring_port: 'x' }),
    [],
  )
})

test('what Kubernetes sets for a Service whose name begins with latchstring is told as that', () => {
  const links = {
    LATCHSTRING_PORT: 'tcp://10.0.0.1:4400',
    LATCHSTRING_SERVICE_HOST: '10.0.0.1',
    LATCHSTRING_PORT_4400_TCP: 'tcp://10.0.0.1:4400',
  }
  const ofDatabase = { LATCHSTRING_DB_SERVICE_HOST: '10.0.0.2', LATCHSTRING_DB_PORT: 'tcp://10.0.0.2:5432' }
  const key = { LATCHSTRING_MASTER_KEY: KEY }
  const remedy = /^LATCHSTRING_(DB_)?SERVICE_HOST and its like are set by Kubernetes .*enableServiceLinks: false/
  const told = mistakes({ ...key, ...links })
  assert.equal(told.length, 2)
  assert.match(told.at(-1) ?? '', remedy)
  // A port that the pod names itself goes before the one of the Service.
  for (const set of [{ ...links, LATCHSTRING_PORT: '4400' }, ofDatabase]) {
    const [only, ...more] = mistakes({ ...key, ...set })
    assert.match(only ?? '', remedy)
    assert.deepEqual(more, [])
  }
})

test('all mistakes are told at once, and no value with them', () => {
  const told = mistakes({
    LATCHSTRING_PORT: 'canary-port',
    LATCHSTRING_PUBLIC_URL: 'canary-url',
    LATCHSTRING_LOG_LEVEL: 'canary-level',
    LATCHSTRING_DATABASE_URL: 'postgress://user:canary-password@host/db',
    LATCHSTRING_TYPO: 'canary-typo',
  })
  assert.equal(told.length, 6)
  assert(!told.join().includes('canary'))
})
