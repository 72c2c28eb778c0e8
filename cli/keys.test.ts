/** `latchstring keys`, as whoever replaces a master key would run it. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { transitFake } from '../test/key-services/fake.ts'
import { type Shell, shell } from './shell.ts'

interface Status {
  readonly master_keys: readonly {
    id: string
    service: string | null
    role: string
    rows: Record<string, number>
    total: number
  }[]
  readonly signing_keys: readonly { kid: string; role: string }[]
}

const NOT_ROOT = process.getuid?.() !== 0 && 'platform: only root can give a file away, and be somebody else'
const NOBODY = 65_534

const newKey = () => randomBytes(32).toString('base64')

/** With the keys in a file, as few should see it. */
function withKeyFile(
  t: TestContext,
  variables: Readonly<Record<string, string>> = {},
): Shell & { readonly lines: () => string[]; readonly path: string } {
  const here = shell(t, { LATCHSTRING_MASTER_KEY: '', LATCHSTRING_MASTER_KEY_FILE: 'master.key', ...variables })
  const path = join(here.folder, 'master.key')
  writeFileSync(path, `${newKey()}\n`, { mode: 0o644 })
  chmodSync(path, 0o644)
  return { ...here, path, lines: () => readFileSync(path, 'utf8').trim().split('\n') }
}

const rolesOf = ({ master_keys }: Status) => master_keys.map(({ role, total }) => `${role} ${total}`)

describe('latchstring keys', { concurrency: 2 }, () => {
  test('S-53 the file stays where a link leads to it, and whoever reads it by its group goes on reading it', async (t) => {
    const { json, path, folder } = withKeyFile(t)
    const real = join(folder, 'secrets.key')
    renameSync(path, real)
    symlinkSync('secrets.key', path)
    chmodSync(real, 0o640)
    await json('keys', 'rotate')
    assert(lstatSync(path).isSymbolicLink())
    assert.equal(readFileSync(real, 'utf8').trim().split('\n').length, 2)
    assert.equal(statSync(real).mode & 0o777, 0o640)
  })

  test("S-53 the file stays the user's that the broker runs as, when root changes it", { skip: NOT_ROOT }, async (t) => {
    const { json, path } = withKeyFile(t)
    chownSync(path, NOBODY, NOBODY)
    await json('keys', 'rotate')
    const { uid, gid, mode } = statSync(path)
    assert.deepEqual([uid, gid, mode & 0o777], [NOBODY, NOBODY, 0o600])
  })

  test('S-53 who is neither root nor the user whose file it is changes nothing, and is told who can', { skip: NOT_ROOT }, (t) => {
    const { path, folder, lines } = withKeyFile(t)
    const before = lines()
    chownSync(folder, NOBODY, NOBODY)
    const file = JSON.stringify(join(import.meta.dirname, '../src/seal/key-file.ts'))
    const stage = `import(${file}).then(({ stageKey }) => stageKey({ path: ${JSON.stringify(path)}, services: () => null }, null))`
    const { status, stderr } = spawnSync(process.execPath, ['-e', stage], { encoding: 'utf8', env: {}, uid: NOBODY, gid: NOBODY })
    assert.notEqual(status, 0)
    assert.match(stderr, /the key file \S+master\.key is another user's: change it as that user, or as root/)
    assert.deepEqual(lines(), before)
    assert.deepEqual(readdirSync(folder), ['master.key'], 'no draft is left, which would refuse the next one')
  })

  test('S-53 a key in a file is staged, promoted, everything is put under it, and the old one is retired', async (t) => {
    const { run, json, lines, path } = withKeyFile(t)
    await json('callers', 'create', 'backend', '--scope', 'read:connected_apps', '--owner', 'ops')
    const first = await json<Status>('keys', 'status')
    assert.deepEqual(rolesOf(first), ['primary 3'])
    const old = first.master_keys[0]!.id

    const { staged } = await json<{ staged: string }>('keys', 'rotate')
    assert.equal(lines().length, 2)
    assert.match(lines()[1] ?? '', /^staged:[A-Za-z0-9+/]{43}=$/)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(rolesOf(await json('keys', 'status')), ['primary 3', 'staged 0'])
    const twice = await run('keys', 'rotate')
    assert.deepEqual([twice.code, lines().length], [2, 2])
    assert.match(twice.stderr, new RegExp(`${staged} is staged already: .*keys rotate --promote`))

    assert.deepEqual(await json('keys', 'rotate', '--promote'), { primary: staged })
    const promoted = await json<Status>('keys', 'status')
    assert.deepEqual(
      promoted.master_keys.map(({ id }) => id),
      [staged, old],
    )
    assert.deepEqual(rolesOf(promoted), ['primary 0', 'opens 3'])
    const early = await run('keys', 'retire', old, '--yes')
    assert.equal(early.code, 1)
    assert.match(early.stderr, new RegExp(`${old} cannot be retired: it still seals 3 broker_keys; latchstring keys reseal`))

    assert.deepEqual(await json('keys', 'reseal'), { resealed: 3, left: 0, damaged: [], stopped: false })
    assert.deepEqual(await json('keys', 'reseal'), { resealed: 0, left: 0, damaged: [], stopped: false })
    assert.deepEqual(rolesOf(await json('keys', 'status')), ['primary 3', 'retirable 0'])
    assert.match((await run('keys', 'retire', staged, '--yes')).stderr, /it is the primary key/)
    assert.equal((await run('keys', 'retire', old)).code, 2, 'nobody is there to say yes')
    assert.deepEqual(await json('keys', 'retire', old, '--yes'), { retired: old })
    assert.equal(lines().length, 1)
    assert.equal((await json<{ callers: unknown[] }>('callers', 'list')).callers.length, 1)
  })

  test('no key is ever printed, in any of it', async (t) => {
    const { run, lines } = withKeyFile(t)
    const said: string[] = []
    for (const args of [
      ['status'],
      ['rotate'],
      ['rotate', '--promote'],
      ['status'],
      ['reseal'],
      ['status', '--json'],
      ['rotate', '--signing'],
    ]) {
      const { code, stdout, stderr } = await run('keys', ...args)
      assert.equal(code, 0, stderr)
      said.push(stdout, stderr)
    }
    for (const line of lines()) assert(!said.join('\n').includes(line.replace('staged:', '')))
  })

  test('keys in the environment are changed by hand, and it says how', async (t) => {
    const { run } = shell(t)
    const { code, stdout, stderr } = await run('keys', 'rotate')
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /openssl rand -base64 32[\s\S]*staged:THE_NEW_KEY[\s\S]*latchstring keys reseal/)
    assert.match((await run('keys', 'rotate', '--promote')).stderr, /no key is staged/)
    const unknown = await run('keys', 'retire', '0123456789abcdef', '--yes')
    assert.deepEqual([unknown.code, unknown.stderr.includes('latchstring keys status lists them')], [2, true])
  })

  test('S-54 a key in a key service is staged when it seals and opens, and not otherwise', async (t) => {
    const fake = await transitFake()
    t.after(() => fake[Symbol.asyncDispose]())
    const { run, json, lines } = withKeyFile(t, fake.environment)
    for (const order of ['denied', 'encrypts'] as const) {
      fake.order = order
      const { code, stderr } = await run('keys', 'rotate', '--to', fake.reference)
      assert.deepEqual([code, lines().length], [1, 1], order)
      assert.match(stderr, /the key service transit:.* cannot be used at the moment: http_403/)
    }
    fake.order = 'well'
    const { staged } = await json<{ staged: string }>('keys', 'rotate', '--to', fake.reference)
    assert.equal(lines()[1], `staged:${fake.reference}`)
    const { master_keys } = await json<Status>('keys', 'status')
    assert.deepEqual(
      master_keys.map(({ id, service, role }) => [id === staged, service, role]),
      [
        [false, null, 'primary'],
        [true, fake.reference, 'staged'],
      ],
    )
  })

  test('what goes together with nothing is refused, and a draft that was left behind is named', async (t) => {
    const { run, path, lines } = withKeyFile(t)
    for (const args of [['--at-once'], ['--signing', '--promote'], ['--promote', '--to', 'x:y']])
      assert.equal((await run('keys', 'rotate', ...args)).code, 2)
    const nowhere = await run('keys', 'rotate', '--to', 'vault:somewhere')
    assert.match(nowhere.stderr, /is in no key service that is known here/)
    writeFileSync(`${path}.next`, '')
    const { code, stderr } = await run('keys', 'rotate')
    assert.equal(code, 1)
    assert.match(stderr, /master\.key\.next is there: another command changes the key file just now/)
    assert.equal(lines().length, 1)
  })

  test('a signing key is published before it signs, and one that leaked is gone at once', async (t) => {
    const { json, run } = shell(t)
    const [first] = (await json<Status>('keys', 'status')).signing_keys
    const { signing_key } = await json<{ signing_key: string }>('keys', 'rotate', '--signing')
    const roles = async () => (await json<Status>('keys', 'status')).signing_keys.map(({ kid, role }) => `${kid} ${role}`)
    assert.deepEqual(await roles(), [`${first?.kid} signs`, `${signing_key} published`])
    assert.equal((await run('keys', 'rotate', '--signing', '--at-once')).code, 2)
    const anew = await json<{ signing_key: string }>('keys', 'rotate', '--signing', '--at-once', '--yes')
    assert.deepEqual(await roles(), [`${anew.signing_key} signs`])
  })
})
