/** The audit and an owner's record at the command line, as an operator or an auditor uses them. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { stringify } from 'yaml'
import type { AuditItem } from '../sdk/src/wire.ts'
import { sealHistory } from '../src/core/checkpoint.ts'
import { stretchesOf } from '../src/core/evidence.ts'
import { untilDone } from '../test/until-done.ts'
import { startWorld } from '../test/world.ts'
import { linesOf } from './audit-file.ts'
import { type Shell, shell } from './shell.ts'

interface Verified {
  readonly whole: boolean
  readonly facts: number
  readonly unsealed: number
  readonly problem: { readonly kind: string; readonly seq: number | null; readonly sentence: string } | null
}

describe('the audit at the command line', { concurrency: 3 }, () => {
  test('S-79 it is verified, exported and verified without the store, and what was altered is named with exit code 1', async (t) => {
    const here = shell(t)
    await filled(here)
    const [head, verified, exported, listed] = await Promise.all([
      here.run('audit', 'head'),
      here.json<Verified>('audit', 'verify'),
      here.run('audit', 'export'),
      here.json<{ entries: AuditItem[]; more: boolean }>('audit', 'list', '--action', 'caller.applied', '--limit', '2'),
    ])
    assert.deepEqual([verified.whole, verified.facts, verified.unsealed], [true, 3, 0])
    assert.deepEqual(
      listed.entries.map(({ action, actor, subject }) => [action, actor, subject]),
      [
        ['caller.applied', 'operator', 'third'],
        ['caller.applied', 'operator', 'second'],
      ],
    )
    assert.equal(listed.more, true)

    here.write('head.jws', head.stdout)
    here.write('whole.ndjson', exported.stdout)
    const stranger = shell(t, { LATCHSTRING_MASTER_KEY: '' })
    const elsewhere = (name: string) =>
      stranger.run('audit', 'verify', '--file', join(here.folder, name), '--anchor', join(here.folder, 'head.jws'))
    assert.deepEqual(await elsewhere('whole.ndjson'), {
      code: 0,
      stdout: '3 facts under 1 checkpoint are as written\n',
      stderr: '',
    })
    const lines = exported.stdout.trimEnd().split('\n')
    here.write('edited.ndjson', exported.stdout.replace('"subject":"second"', '"subject":"sekond"'))
    here.write('cut.ndjson', lines.slice(0, 1).join('\n'))
    here.write('torn.ndjson', exported.stdout.slice(0, -40))
    const [edited, cut, torn, nothing] = await Promise.all(
      ['edited.ndjson', 'cut.ndjson', 'torn.ndjson', 'nothing.ndjson'].map((name) => elsewhere(name)),
    )
    assert.deepEqual(
      [edited?.code, edited?.stdout],
      [1, 'edited: fact 2 is not what was sealed; 1 fact under 0 checkpoints before it is right\n'],
    )
    assert.match(cut?.stdout ?? '', /^truncated: the history ends with checkpoint 0, and the anchor names checkpoint 1;/)
    assert.equal(cut?.code, 1)
    assert.match(torn?.stderr ?? '', /torn\.ndjson, line 5: it is no line of an export\n$/)
    here.write('bare.ndjson', `${lines[0]}\n{"type":"checkpoint","late":[],"missing":[null]}\n`)
    here.write('keyless.ndjson', '{"type":"key"}\n')
    const { signature: _, ...unsigned } = JSON.parse(lines.at(-1)!) as Record<string, unknown>
    here.write('unsigned.ndjson', `${lines.slice(0, -1).join('\n')}\n${JSON.stringify(unsigned)}\n`)
    const names = ['bare.ndjson', 'keyless.ndjson', 'unsigned.ndjson']
    const [bare, keyless, nobody] = await Promise.all(names.map((name) => elsewhere(name)))
    assert.match(bare?.stderr ?? '', /bare\.ndjson, line 2: it is no line of an export\n$/)
    assert.match(nobody?.stderr ?? '', /unsigned\.ndjson, line 5: it is no line of an export\n$/)
    assert.match(keyless?.stderr ?? '', /keyless\.ndjson is no export: its first line is no key\n$/)
    assert.match(nothing?.stderr ?? '', /^latchstring: .*nothing\.ndjson cannot be read \(ENOENT\)\n$/)
    assert.deepEqual([torn?.code, nothing?.code], [1, 2], '1 says that something is wrong with what was read')

    const db = new DatabaseSync(join(here.folder, 'data', 'latchstring.db'))
    db.exec('delete from history where seq = 2')
    const deleted = await here.run('audit', 'verify', '--json')
    assert.equal(deleted.code, 1)
    const { problem } = JSON.parse(deleted.stdout) as Verified
    assert.deepEqual([problem?.kind, problem?.seq], ['deleted', 2])
    db.exec('delete from history; delete from checkpoints')
    db.close()
    const [emptied, anchored, wrong, mistyped] = await Promise.all([
      here.run('audit', 'verify'),
      here.run('audit', 'verify', '--anchor', head.stdout.trim()),
      here.run('audit', 'verify', '--anchor', 'e30.e30.e30'),
      here.run('audit', 'verify', '--anchor', 'haed.jws'),
    ])
    assert.deepEqual(
      [emptied.code, emptied.stderr],
      [0, 'Whether its end was cut off only an anchor can tell: see audit head.\n'],
    )
    assert.deepEqual([anchored.code, anchored.stdout.slice(0, 9)], [1, 'truncated'])
    assert.deepEqual(
      [wrong.code, wrong.stderr],
      [2, 'latchstring: the anchor was not signed by this installation, or was altered\n'],
    )
    assert.deepEqual(
      [mistyped.code, mistyped.stderr],
      [2, 'latchstring: --anchor is neither a file that can be read nor what audit head printed: haed.jws\n'],
    )
  })

  test('what concerns all tenants is found by what it is, or under *', async (t) => {
    const here = shell(t)
    const { signing_key } = await here.json<{ signing_key: string }>('keys', 'rotate', '--signing')
    const listed = async (...args: string[]) => {
      const { entries } = await here.json<{ entries: AuditItem[] }>('audit', 'list', ...args)
      return entries.map(({ action, subject }) => `${action} ${subject}`)
    }
    const [byAction, ofAll, own, elsewhere] = await Promise.all([
      listed('--action', 'keys.signing_rotated'),
      listed('--tenant', '*'),
      listed(),
      listed('--action', 'keys.signing_rotated', '--tenant', 'default'),
    ])
    const rotated = [`keys.signing_rotated ${signing_key}`]
    assert.deepEqual([byAction, ofAll, own, elsewhere], [rotated, rotated, [], []])
  })

  test('an export has the key, every fact before its checkpoint, and no secret', async (t) => {
    const here = shell(t)
    await filled(here)
    const lines = (await here.run('audit', 'export')).stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(
      lines.map(({ type }) => type),
      ['key', 'fact', 'fact', 'fact', 'checkpoint'],
    )
    assert.deepEqual(Object.keys(lines[0]?.['public_key'] as object), ['kty', 'crv', 'x', 'kid', 'alg', 'use'])
    const shown = await here.json<Record<string, unknown>>('audit', 'head')
    assert.deepEqual([shown['number'], shown['seq'], shown['hash']], [1, 3, lines[4]?.['hash']])
    assert.doesNotMatch(JSON.stringify(lines), /"d":|PRIVATE/)
  })

  test('S-79 an export verifies whatever characters a caller has put into it', async (t) => {
    const here = shell(t, { LATCHSTRING_MASTER_KEY: '' })
    const world = await untilDone(t, startWorld({ store: 'sqlite' }))
    const { ports } = world.broker
    const odd = 'a\u2028b\u2029c'
    const query = { session_id: await world.connect('none', odd), purpose: odd }
    assert.equal((await world.ask('GET', '/api/v1/connected_apps/token', { query })).status, 200)
    await ports.handOuts.write(ports)
    await sealHistory(ports)
    let exported = ''
    for await (const line of linesOf(stretchesOf(ports), ports.notary.publicKey)) exported += line
    assert(exported.includes('\u2028'))
    for (const end of ['\n', '\r\n']) {
      const file = here.write('odd.ndjson', exported.replaceAll('\n', end))
      const { code, stdout, stderr } = await here.run('audit', 'verify', '--file', file)
      assert.equal(code, 0, stderr)
      assert.match(stdout, /are as written/)
    }
  })

  test('S-84 erasing asks first, says whom it does not know, and refuses to erase nobody', async (t) => {
    const here = shell(t)
    const [unasked, nobody, noUser, noOrg, dry, erased, exported] = await Promise.all([
      here.run('owner', 'erase', '--user-id', 'u1'),
      here.run('owner', 'erase', '--yes'),
      here.run('owner', 'erase', '--user-id', '', '--org-code', 'o1', '--yes'),
      here.run('owner', 'export', '--user-id', 'u1', '--org-code='),
      here.json('owner', 'erase', '--user-id', 'u1', '--dry-run'),
      here.run('owner', 'erase', '--user-id', 'u1', '--org-code', 'o1', '--yes'),
      here.json('owner', 'export', '--org-code', 'o1', '--tenant', 'acme'),
    ])
    assert.deepEqual([unasked.code, unasked.stderr], [2, 'latchstring: erasing u1 cannot be taken back: say --yes\n'])
    assert.deepEqual([nobody.code, nobody.stderr], [2, 'latchstring: say whom: --user-id, --org-code, or both\n'])
    for (const [{ code, stderr }, option] of [
      [noUser, '--user-id'],
      [noOrg, '--org-code'],
    ] as const)
      assert.deepEqual([code, stderr], [2, `latchstring: ${option} is empty: say what, or leave it out\n`])
    const nothing = { connections: 0, attempts: 0, events: 0, deliveries: 0, pseudonyms: [], unconfirmed: [] }
    assert.deepEqual(dry, { dry_run: true, ...nothing })
    assert.match(erased.stdout, /^erased u1 in o1\nconnections +0\n/)
    const none = { connections: [], attempts: [], events: [], audit: [], deliveries: [] }
    assert.deepEqual(exported, { tenant: 'acme', user_id: null, org_code: 'o1', ...none })
  })
})

/** Three facts, sealed by a server that came and went. */
async function filled(here: Shell): Promise<void> {
  const callers = ['first', 'second', 'third'].map((client_id) => ({ client_id, owner: 'ops', scopes: ['read:connected_apps'] }))
  here.write('latchstring.yaml', stringify({ callers }))
  const server = here.start('serve', '--config', 'latchstring.yaml')
  await server.waitFor(/listening on/)
  server.signal('SIGTERM')
  assert.equal((await server.ended).code, 0)
}
