/** What somebody who can write to the database does to the history, and how it shows. On both databases, through their own doors. */

import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { type Checkpoint, checkpointHash, digestOf, evidenceOf, pseudonymOf, sealHistory } from '../src/core/checkpoint.ts'
import type { Seen } from '../src/core/cut.ts'
import { type Stretch, stretchesOf } from '../src/core/evidence.ts'
import type { Fact, Ports, Store } from '../src/core/ports.ts'
import type { Secret } from '../src/core/secret.ts'
import { verifyHistory } from '../src/core/verify.ts'
import { createNotary } from '../src/seal/notary.ts'
import { openPostgresStore } from '../src/store/postgres.ts'
import { NOW, sampleFact } from '../src/store/samples.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { inDatabase, postgres } from './postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-audit-'))
after(() => rmSync(folder, { recursive: true }))

const { privateKey } = generateKeyPairSync('ed25519')
const notary = createNotary('test', privateKey)
const hashOf = (secret: Secret) => createHmac('sha256', 'pepper').update(secret.reveal()).digest('base64url')

/** One database: as a broker sees it, and as somebody with its password does. */
interface Ground {
  readonly url: string
  readonly store: Store
  sql(...statements: readonly string[]): Promise<void>
  seal(now?: number, seen?: Seen): Promise<void>
  /** What the operator read in the log. */
  readonly logged: readonly string[]
  verify(anchor?: string): ReturnType<typeof verifyHistory>
}

const GROUNDS = {
  sqlite: async () => {
    const url = join(folder, `${crypto.randomUUID()}.db`)
    const sql = async (...statements: readonly string[]) => {
      const db = new DatabaseSync(url)
      for (const statement of statements) db.exec(statement)
      db.close()
    }
    return ground(url, await openSqliteStore(url), sql)
  },
  postgres: async () => {
    const url = await (await postgres()).fresh()
    const store = await openPostgresStore(url)
    const sql = (...statements: readonly string[]) =>
      inDatabase(url, async (client) => {
        for (const statement of statements) await client.query(statement)
      })
    return ground(url, store, sql)
  },
}

function ground(url: string, store: Store, sql: Ground['sql']): Ground {
  const logged: string[] = []
  const log: Ports['log'] = (level, message, { reason } = {}) => void logged.push(`${level}: ${message} ${String(reason)}`)
  return {
    ...{ url, store, sql, logged },
    seal: (now = NOW, seen) => sealHistory({ store, notary, hashOf, now: () => now, log }, seen),
    verify: (anchor) => verifyHistory(stretchesOf({ store, hashOf }), notary, anchor === undefined ? {} : { anchor }),
  }
}

const handedOut: Fact = {
  ...{ tenant: 'acme', at: NOW, actor: 'backend', action: 'token.handed_out', subject: 'crm', reason: null },
  handedOut: { scopes: ['api'], tokens: [['session-1', NOW, 'nightly sync']] },
}

/** Three checkpoints over ten facts. */
async function filled(open: () => Promise<Ground>): Promise<Ground> {
  const made = await open()
  const fact = (n: number) => sampleFact({ subject: `session-${n}`, at: NOW + n })
  await made.store.record([fact(1), fact(2), fact(3)])
  await made.seal()
  await made.store.record([fact(4), handedOut, fact(6)])
  await made.seal(NOW + 1000)
  await made.store.record([fact(7), fact(8), { ...fact(9), reason: 'reconnected' }, fact(10)])
  await made.seal(NOW + 2000)
  const { problem, checkpoints, facts } = await made.verify()
  assert.deepEqual({ problem, checkpoints, facts }, { problem: null, checkpoints: 3, facts: 10 })
  return made
}

type Expected = readonly [kind: string, seq: number | null, checkpoint: number]

const CHECKPOINT_REST = 'at, seq, late, missing, digests, previous, hash, signature'

/** What is done, and which entry is named. */
const TAMPERING: Readonly<Record<string, { readonly sql: readonly string[]; readonly found: Expected }>> = {
  'deletes a fact': { sql: ['delete from history where seq = 5'], found: ['deleted', 5, 2] },
  'deletes the first facts': { sql: ['delete from history where seq < 3'], found: ['deleted', 1, 1] },
  'edits who did it': { sql: [`update history set actor = 'nobody' where seq = 8`], found: ['edited', 8, 3] },
  'edits when it was': { sql: ['update history set at = at + 1 where seq = 4'], found: ['edited', 4, 2] },
  'edits whose it is': {
    sql: [`update history set about = replace(about, 'ada', 'bob') where seq = 2`],
    found: ['edited', 2, 1],
  },
  'moves it to another tenant': { sql: [`update history set tenant = 'other' where seq = 2`], found: ['edited', 2, 1] },
  'writes nonsense in place of whom it is about': {
    sql: [`update history set about = '{' where seq = 2`],
    found: ['edited', 2, 1],
  },
  'takes a name away': {
    sql: [
      `update history set about = '{"app":"crm","provider":"sales","owner":{"userId":null,"orgCode":null,"pseudonym":"PSEUDONYM"}}' where seq = 7`,
    ],
    found: ['edited', 7, 3],
  },
  'puts a name beside a pseudonym': {
    sql: [
      `update history set about = '{"app":"crm","provider":"sales","owner":{"userId":"bob","orgCode":null,"pseudonym":"PSEUDONYM"}}' where seq = 7`,
    ],
    found: ['edited', 7, 3],
  },
  'makes an event of what is none': {
    sql: [
      `update history set about = '{"app":null,"provider":null,"owner":{"userId":null,"orgCode":null,"pseudonym":null}}' where seq = 5`,
    ],
    found: ['edited', 5, 2],
  },
  'puts a list in place of an app': {
    sql: [`update history set about = replace(about, '"crm"', '["crm"]') where seq = 2`],
    found: ['edited', 2, 1],
  },
  'edits which token was handed out': {
    sql: [`update history set handed_out = replace(handed_out, 'session-1', 'session-2') where seq = 5`],
    found: ['edited', 5, 2],
  },
  'swaps two facts': {
    sql: [
      'update history set seq = -1 where seq = 8',
      'update history set seq = 8 where seq = 9',
      'update history set seq = 9 where seq = -1',
    ],
    found: ['reordered', 8, 3],
  },
  'puts a fact in before the first': {
    sql: [`INSERT history (seq, tenant, at, actor, action, subject) VALUES (0, 'acme', 1, 'broker', 'app.removed', 'crm')`],
    found: ['inserted', 0, 1],
  },
  'puts a fact in before the lowest number that can be counted': {
    sql: [
      `INSERT history (seq, tenant, at, actor, action, subject) VALUES (${Number.MIN_SAFE_INTEGER}, 'acme', 1, 'broker', 'app.removed', 'crm')`,
    ],
    found: ['inserted', Number.MIN_SAFE_INTEGER, 1],
  },
  'puts a checkpoint in before the lowest number that can be counted': {
    sql: [`insert into checkpoints select ${Number.MIN_SAFE_INTEGER}, ${CHECKPOINT_REST} from checkpoints where number = 1`],
    found: ['inserted', null, 1],
  },
  'deletes two and edits a later one': {
    sql: ['delete from history where seq in (3, 6)', `update history set reason = 'x' where seq = 9`],
    found: ['deleted', 3, 1],
  },
  'deletes a checkpoint': { sql: ['delete from checkpoints where number = 2'], found: ['deleted', null, 2] },
  'deletes a checkpoint with its facts': {
    sql: ['delete from checkpoints where number = 1', 'delete from history where seq <= 3'],
    found: ['deleted', null, 1],
  },
  'edits a checkpoint': { sql: ['update checkpoints set at = at + 1 where number = 2'], found: ['edited', null, 2] },
  'writes nonsense into a checkpoint': {
    sql: [`update checkpoints set late = '[3]' where number = 2`],
    found: ['edited', null, 2],
  },
  'writes no list for what came late into a checkpoint': {
    sql: [`update checkpoints set late = '{' where number = 2`],
    found: ['edited', null, 2],
  },
  'writes half a number for what came late into a checkpoint': {
    sql: [`update checkpoints set late = '[0.5]' where number = 2`],
    found: ['edited', null, 2],
  },
  'writes no list for what is missing into a checkpoint': {
    sql: [`update checkpoints set missing = '{' where number = 2`],
    found: ['edited', null, 2],
  },
  'writes nothing for what is missing into a checkpoint': {
    sql: [`update checkpoints set missing = '[null]' where number = 2`],
    found: ['edited', null, 2],
  },
  'empties everything': { sql: ['delete from history', 'delete from checkpoints where number < 3'], found: ['deleted', null, 1] },
}

for (const [name, open] of Object.entries(GROUNDS)) {
  describe(`the audit, on ${name}`, { concurrency: 1 }, () => {
    for (const [what, { sql, found }] of Object.entries(TAMPERING)) {
      test(`S-79 somebody ${what}: the first bad entry is named`, async () => {
        const { store, sql: run, verify } = await filled(open)
        const pseudonym = pseudonymOf(hashOf, 'acme', { userId: 'ada', orgCode: null })
        const insert = name === 'sqlite' ? ['insert into $1', 'values'] : ['insert into $1', 'overriding system value values']
        // Which column counts differs between the two.
        const movable = name === 'sqlite' ? [] : ['alter table history alter column seq set generated by default']
        const dialect = (text: string) =>
          text
            .replace('PSEUDONYM', pseudonym)
            .replace(/INSERT (\w+)/, insert[0]!)
            .replace('VALUES', insert[1]!)
        await run(...movable, ...sql.map(dialect))
        const { problem } = await verify()
        assert.deepEqual([problem?.kind, problem?.seq, problem?.checkpoint], found)
        await store.close()
      })
    }

    test('S-79 a fact that stands twice in an export is found, whichever of the two is the right one', async () => {
      const { store } = await filled(open)
      const twins = (altered: 0 | 1): AsyncIterable<Stretch> =>
        retold(store, (stretch) => ({
          ...stretch,
          facts: stretch.facts.flatMap((fact) => {
            if (fact.seq !== 5) return [fact]
            const other = { ...fact, evidence: { ...fact.evidence, actor: 'nobody' } }
            return altered === 0 ? [other, fact] : [fact, other]
          }),
        }))
      for (const altered of [0, 1] as const) {
        const { problem } = await verifyHistory(twins(altered), notary)
        assert.deepEqual([problem?.kind, problem?.seq, problem?.checkpoint], ['inserted', 5, 2])
      }
      await store.close()
    })

    test('S-79 whoever recomputes everything after an edit cannot sign it', async () => {
      const { store, sql, verify } = await filled(open)
      await sql(`update history set actor = 'nobody' where seq = 9`)
      const [, second, third] = (await store.audit.checkpoints({ after: 0, limit: 9 })) as [Checkpoint, Checkpoint, Checkpoint]
      const rows = await store.audit.rows({ after: 6, upTo: 10, limit: 9 })
      const digests = Buffer.concat(rows.map((row) => digestOf(evidenceOf(row, hashOf))))
      const hash = checkpointHash({ ...third, digests })
      const hex = name === 'sqlite' ? `x'${digests.toString('hex')}'` : `'\\x${digests.toString('hex')}'`
      const forge = (signature: string) =>
        sql(`update checkpoints set digests = ${hex}, hash = '${hash}', signature = '${signature}' where number = 3`)
      const other = createNotary('test', generateKeyPairSync('ed25519').privateKey)
      const { number, at, seq } = third
      for (const signature of [third.signature, second.signature, '', 'a.b.c', other.sign({ number, at, seq, hash })]) {
        await forge(signature)
        const { problem } = await verify()
        assert.deepEqual([problem?.kind, problem?.checkpoint, problem?.seq], ['replaced', 3, null], signature)
      }
      await store.close()
    })

    test('S-79 a tail that was cut off shows by an anchor that was kept elsewhere, also when others were sealed in its place', async () => {
      const { store, sql, seal, verify } = await filled(open)
      const anchor = (await store.audit.head())!.signature
      assert.equal((await verify(anchor)).problem, null)
      await sql('delete from checkpoints where number = 3', 'delete from history where seq > 6')
      assert.equal((await verify()).problem, null, 'nothing in the file tells')
      const cut = (await verify(anchor)).problem
      assert.deepEqual([cut?.kind, cut?.checkpoint], ['truncated', 3])
      await store.record([sampleFact({ subject: 'instead' })])
      await seal(NOW + 3000)
      const replaced = (await verify(anchor)).problem
      assert.deepEqual([replaced?.kind, replaced?.checkpoint], ['replaced', 3])
      await assert.rejects(verify(`${anchor}x`), { code: 'INVALID_REQUEST' })
      await store.close()
    })

    test('S-79 whoever takes checkpoints away, so that a broker seals what was altered, is told of by each that saw them', async () => {
      const { store, sql, seal, verify, logged } = await filled(open)
      const anchor = (await store.audit.head())!.signature
      const brokers: readonly Seen[] = [{ newest: null }, { newest: null }]
      for (const seen of brokers) await seal(NOW + 3000, seen)
      await store.record([sampleFact({ subject: 'sealed by the first of them' })])
      for (const seen of brokers) await seal(NOW + 3000, seen)
      for (const seen of brokers) await seal(NOW + 3000, seen)
      assert.deepEqual(logged, [])
      await sql(`update history set actor = 'nobody' where seq = 9`, 'delete from checkpoints where number >= 3')
      for (const seen of [{ newest: null }, ...brokers, ...brokers]) await seal(NOW + 4000, seen)
      const told = await store.history('*', { before: null, limit: 9 })
      assert.deepEqual(
        told.map(({ action, actor, subject }) => [action, actor, subject]),
        brokers.map(() => ['history.cut', 'broker', 'checkpoint 4']),
      )
      assert.deepEqual(
        logged,
        told.map(({ reason }) => `error: checkpoint 4 of the history was there and is not any more ${reason}`),
      )
      assert(notary.verify(told[0]?.reason ?? ''), 'it is an anchor')
      const { problem } = await verify()
      assert.deepEqual([problem?.kind, problem?.seq], ['replaced', told.at(-1)?.seq])
      assert.equal((await verify(anchor)).problem?.checkpoint, 3)
      const newer = (await store.audit.head())!.signature
      assert.equal((await verify(newer)).problem, null, 'somebody has looked into it')
      await store.close()
    })

    test('S-79 a number past all that can be counted hides nothing of what comes after it', async () => {
      const { store, sql, seal, verify } = await filled(open)
      const columns = 'history (seq, tenant, at, actor, action, subject)'
      const overriding = name === 'sqlite' ? '' : 'overriding system value'
      await sql(`insert into ${columns} ${overriding} values (9007199254740993, 'acme', 1, 'broker', 'app.removed', 'crm')`)
      for (const work of [verify, () => seal(NOW + 3000)]) await assert.rejects(work(), /too large.*900719925474099/)
      await store.close()
    })

    test('names can be taken away when the history tells that somebody was erased, and it still proves the same', async () => {
      const { store, verify, seal } = await filled(open)
      const owner = { userId: null, orgCode: null, pseudonym: pseudonymOf(hashOf, 'acme', { userId: 'ada', orgCode: null }) }
      const events = await store.events('acme', {}, { after: 0, limit: 99 })
      const erased = { tenant: 'acme', at: NOW, actor: 'operator', subject: owner.pseudonym, reason: null } as const
      const retold = events.map(({ seq, about }) => ({ seq, about: { ...about, owner } }))
      await store.audit.retell('acme', retold, [{ ...erased, action: 'owner.erased' }])
      assert.equal((await verify()).problem, null)
      await seal(NOW + 3000)
      const { problem, facts, unsealed } = await verify()
      assert.deepEqual({ problem, facts, unsealed }, { problem: null, facts: 11, unsealed: 0 })
      await store.close()
    })

    test('S-79 an erasure explains no name that is taken away after it', async () => {
      const { store, sql, verify, seal } = await filled(open)
      const owner = { userId: null, orgCode: null, pseudonym: pseudonymOf(hashOf, 'acme', { userId: 'ada', orgCode: null }) }
      const [first] = await store.events('acme', {}, { after: 0, limit: 1 })
      const about = { ...first!.about, owner }
      const erased = { tenant: 'acme', at: NOW, actor: 'operator', subject: owner.pseudonym, reason: null } as const
      await store.audit.retell('acme', [{ seq: first!.seq, about }], [{ ...erased, action: 'owner.erased' }])
      await store.record([sampleFact({ subject: 'came back' }), sampleFact({ subject: 'and again' })])
      await seal(NOW + 3000)
      assert.equal((await verify()).problem, null)
      await sql(`update history set about = '${JSON.stringify(about)}' where seq in (12, 13)`)
      const { problem } = await verify()
      assert.deepEqual([problem?.kind, problem?.seq], ['edited', 12])
      await store.close()
    })

    test('S-79 who seals while another is faster leaves nothing that was written before', async (t) => {
      const { store, verify, seal } = await filled(open)
      const append = store.audit.append.bind(store.audit)
      await store.record([sampleFact({ subject: 'before' })])
      t.mock.method(
        store.audit,
        'append',
        async (checkpoint: Checkpoint) => {
          await seal(NOW + 3000)
          await store.record([sampleFact({ subject: 'after the other one looked' })])
          return append(checkpoint)
        },
        { times: 1 },
      )
      await seal(NOW + 4000)
      const { problem, facts, unsealed } = await verify()
      assert.deepEqual({ problem, facts, unsealed }, { problem: null, facts: 12, unsealed: 0 })
      await store.close()
    })

    test('F-39 S-79 four processes write and seal at once and are killed at it: what was acknowledged is there, and all of it verifies', async () => {
      const { url, store, seal, verify } = await open()
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
      const acknowledged = new Set<string>()
      const writer = async (round: number, one: number): Promise<void> => {
        const child = fork(join(import.meta.dirname, 'audit-writer.ts'), [url, pem, `${round}-${one}`])
        let [mine, sealed] = [0, 0]
        child.on('message', (message: { acknowledged?: string }) => {
          if (message.acknowledged === undefined) sealed += 1
          else {
            acknowledged.add(message.acknowledged)
            mine += 1
          }
          // In the middle of both loops, and never of the same thing.
          if (mine > 20 + 7 * one && sealed > 20 + 5 * one) child.kill('SIGKILL')
        })
        await ended(child)
      }
      for (const round of [1, 2]) await Promise.all([1, 2, 3, 4].map((one) => writer(round, one)))
      await seal(Date.now())
      const { problem, facts, unsealed } = await verify()
      assert.deepEqual({ problem, unsealed }, { problem: null, unsealed: 0 })
      const there = await store.history(null, { before: null, limit: 100_000 })
      const subjects = new Set(there.map(({ subject }) => subject))
      assert.deepEqual(
        [...acknowledged].filter((subject) => !subjects.has(subject)),
        [],
      )
      assert(acknowledged.size > 160 && facts === there.length)
      await store.close()
    })

    test('S-79 a checkpoint with the last number there is, put in by somebody, is told of, and keeps nobody busy', async () => {
      const { sql, store, seal, verify } = await filled(open)
      await sql(`update checkpoints set number = ${Number.MAX_SAFE_INTEGER} where number = 3`)
      await store.record([sampleFact({ subject: 'session-11', at: NOW })])
      for (const _ of [1, 2]) await assert.rejects(seal(), /checkpoint 9007199254740991 .* was put into the database/)
      assert.notEqual((await verify()).problem, null)
      await store.close()
    })
  })
}

test('S-79 on PostgreSQL a fact that commits late is covered late, a number that was never used is none that is missing, and one that turns up after its time was put in', async () => {
  const { store, seal, verify, url, sql } = await GROUNDS.postgres()
  const insert = (subject: string) =>
    `insert into history (tenant, at, actor, action, subject) values ('acme', ${NOW}, 'backend', 'access.refused', '${subject}')`
  await inDatabase(url, async (early) => {
    await early.query('begin')
    await early.query(insert('early')) // 1
    await inDatabase(url, async (never) => {
      await never.query('begin')
      await never.query(insert('never')) // 2
      await never.query('rollback')
    })
    await store.record([sampleFact({ subject: 'later' })]) // 3
    await seal()
    assert.deepEqual((await store.audit.head())?.missing, [{ from: 1, to: 2, since: NOW }])
    await early.query('commit')
  })
  assert.equal((await verify()).unsealed, 1)
  await seal(NOW + 1000)
  const head = await store.audit.head()
  assert.deepEqual([head?.late, head?.missing, head?.seq], [[1], [{ from: 2, to: 2, since: NOW }], 3])
  const { problem, facts, unsealed } = await verify()
  assert.deepEqual({ problem, facts, unsealed }, { problem: null, facts: 2, unsealed: 0 })
  assert.equal((await store.audit.head())?.number, 2, 'a seal with nothing to cover makes none')
  const elsewhere = (stretch: Stretch): Stretch => ({
    ...stretch,
    facts: stretch.facts.map((fact) =>
      fact.seq === 1 && stretch.checkpoint?.number === 1 ? { ...fact, evidence: { ...fact.evidence, actor: 'nobody' } } : fact,
    ),
  })
  const another = (await verifyHistory(retold(store, elsewhere), notary)).problem
  assert.deepEqual([another?.kind, another?.seq, another?.checkpoint], ['inserted', 1, 2])

  await store.record([sampleFact({ subject: 'much later' })])
  await seal(NOW + 3_600_000)
  assert.deepEqual((await store.audit.head())?.missing, [])
  await sql(insert('x').replace('history (', 'history (seq, ').replace('values (', 'overriding system value values (2, '))
  await seal(NOW + 3_601_000)
  const late = (await verify()).problem
  assert.deepEqual([late?.kind, late?.seq], ['inserted', 2])
  await sql('delete from history where seq = 2', 'delete from history where seq = 1')
  const gone = (await verify()).problem
  assert.deepEqual([gone?.kind, gone?.seq, gone?.checkpoint], ['deleted', 1, 2])
  await store.close()
})

/** As somebody who altered an export has it. */
async function* retold(store: Store, change: (stretch: Stretch) => Stretch): AsyncGenerator<Stretch> {
  for await (const stretch of stretchesOf({ store, hashOf })) yield change(stretch)
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) =>
      signal === 'SIGKILL' ? resolve() : reject(new Error(`it ended by itself with ${code}`)),
    )
  })
}
