/** Both journals keep what they are given; the one on disk also survives what a crash leaves of a file. */

import assert from 'node:assert/strict'
import fs, { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Connection } from '../core/connection.ts'
import type { Journal, JournalEntry } from '../core/ports.ts'
import { type JournalOptions, openJournal } from './journal.ts'
import { markIn } from './mark.ts'
import { memoryJournal } from './memory.ts'

const NEXT: Connection = {
  ...{ id: 'session-1', tenant: 'acme', app: 'files', provider: 'sandbox', owner: { userId: 'ada', orgCode: null } },
  ...{ label: null, account: { id: '7', label: 'Ada "é" \n' }, requestedScopes: ['a'], grantedScopes: null },
  sealed: { dataKey: Uint8Array.of(0, 255), accessToken: Uint8Array.of(1), refreshToken: new Uint8Array(), extra: null },
  ...{ tokenType: 'Bearer', issuedAt: 1, expiresAt: 2, health: { state: 'connected', trouble: null }, version: 3, lease: null },
  ...{ createdAt: 1, connectedAt: 1, renewedAt: 1, dueAt: 1, usedAt: null },
}

function entryOf(fence: number, id = 'session-1'): JournalEntry {
  const lease = { holder: 'p', fence, startedAt: 1, until: 2 }
  const about = { app: NEXT.app, provider: NEXT.provider, owner: NEXT.owner }
  const fact = {
    tenant: 'acme',
    at: 1,
    actor: 'broker',
    action: 'connection.recovered',
    subject: id,
    reason: null,
    about,
  } as const
  return { claimed: { tenant: 'acme', id, lease }, next: { ...NEXT, id }, facts: [fact] }
}

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchstring-journal-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const never = (file: string) => assert.fail(`${file} is as it was written`)

/** Nothing is wrong with what lies there. */
function openedIn(folder: string, { store = 'ours', damaged = never, foreign = never }: Partial<JournalOptions> = {}): Journal {
  return openJournal(folder, { store, damaged, foreign })
}

const JOURNALS: Readonly<Record<string, (t: TestContext) => Journal>> = {
  'in memory': () => memoryJournal(),
  'on disk': (t) => openedIn(join(folderFor(t), 'journal')),
}

for (const [where, journalFor] of Object.entries(JOURNALS)) {
  test(`what is added is found under its lease and no other, ${where}`, async (t) => {
    const journal = journalFor(t)
    const entry = entryOf(4)
    await journal.add(entry)
    assert.deepEqual(await journal.find(entry.claimed), entry)
    assert.equal(await journal.find(entryOf(5).claimed), null)
    assert.equal(await journal.find(entryOf(4, 'session-2').claimed), null)
  })

  test(`all that was added and not removed is there, ${where}`, async (t) => {
    const journal = journalFor(t)
    assert.deepEqual(await journal.entries(), [])
    for (const id of ['a', 'b', 'c']) await journal.add(entryOf(1, id))
    await journal.remove(entryOf(1, 'b').claimed)
    await journal.remove(entryOf(1, 'b').claimed)
    const ids = (await journal.entries()).map(({ next }) => next.id)
    assert.deepEqual(ids.sort(), ['a', 'c'])
  })

  test(`what is added twice is there once, ${where}`, async (t) => {
    const journal = journalFor(t)
    for (let time = 0; time < 3; time++) await journal.add(entryOf(1))
    assert.deepEqual(await journal.entries(), [entryOf(1)])
  })
}

test('another process finds what this one added', async (t) => {
  const folder = folderFor(t)
  await openedIn(folder).add(entryOf(1))
  const other = openedIn(folder)
  assert.deepEqual(await other.entries(), [entryOf(1)])
  await other.remove(entryOf(1).claimed)
  assert.deepEqual(readdirSync(folder), [])
})

test('what waits for another store is neither found, nor listed, nor removed, and is told of once', async (t) => {
  const folder = folderFor(t)
  const told: string[] = []
  await openedIn(folder, { store: 'theirs' }).add(entryOf(1))
  const journal = openedIn(folder, { foreign: (file) => told.push(file) })
  assert.equal(await journal.find(entryOf(1).claimed), null)
  for (let time = 0; time < 3; time++) assert.deepEqual(await journal.entries(), [])
  await journal.remove(entryOf(1).claimed)
  assert.deepEqual(readdirSync(folder), told)
  assert.deepEqual(await openedIn(folder, { store: 'theirs' }).entries(), [entryOf(1)])
})

test('bytes come back as they were, whatever class they had', async (t) => {
  const journal = openedIn(folderFor(t))
  const { claimed, next, facts } = entryOf(1)
  const sealed = next.sealed && { ...next.sealed, accessToken: Buffer.from([0, 1, 255]) }
  await journal.add({ claimed, next: { ...next, sealed }, facts })
  assert.deepEqual((await journal.find(claimed))?.next.sealed?.accessToken, Uint8Array.of(0, 1, 255))
})

test('nobody else may read it, and its names tell nothing', async (t) => {
  const folder = join(folderFor(t), 'deep', 'journal')
  await openedIn(folder).add(entryOf(1, 'a-telling-id'))
  const [file] = readdirSync(folder)
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.equal(statSync(join(folder, file!)).mode & 0o777, 0o600)
  assert(!file?.includes('telling'))
})

test('a folder that may not be written is told of at once, and not when an answer is to be kept there', (t) => {
  const folder = folderFor(t)
  chmodSync(folder, 0o555)
  const open = () => openedIn(folder)
  const refusal = /^Error: cannot write the journal .*EACCES.*; give the user .* or set LATCHSTRING_JOURNAL_DIR to another place$/
  assert.throws(() => (process.geteuid?.() === 0 ? asNobody(open) : open()), refusal)
  chmodSync(folder, 0o755)
  open()
  assert.deepEqual(readdirSync(folder), [], 'trying leaves nothing behind')
})

/** Permissions say nothing to root. */
function asNobody(work: () => unknown): void {
  process.seteuid?.(65_534)
  try {
    work()
  } finally {
    process.seteuid?.(0)
  }
}

test('F-07 a file that is torn off at any byte is no entry, is told of once, and hides no other', async (t) => {
  const folder = folderFor(t)
  const told: string[] = []
  const journal = openedIn(folder, { damaged: (file) => told.push(file) })
  await journal.add(entryOf(1))
  const [name] = readdirSync(folder)
  const whole = readFileSync(join(folder, name!))
  await journal.add(entryOf(1, 'another'))
  for (let length = 0; length < whole.length; length += 7) {
    writeFileSync(join(folder, name!), whole.subarray(0, length))
    assert.deepEqual(await journal.entries(), [entryOf(1, 'another')], `${length} bytes`)
    assert.equal(await journal.find(entryOf(1).claimed), null)
  }
  assert.deepEqual(told, [name])
})

test('F-07 a bit that changed makes it none, and a draft of a process that died is none', async (t) => {
  const folder = folderFor(t)
  const journal = openedIn(folder, { damaged: () => {} })
  await journal.add(entryOf(1))
  const [name] = readdirSync(folder)
  const bytes = readFileSync(join(folder, name!))
  writeFileSync(join(folder, `${name}.00.draft`), bytes)
  assert.equal((await journal.entries()).length, 1)
  bytes[bytes.length - 9]! ^= 1
  writeFileSync(join(folder, name!), bytes)
  assert.deepEqual(await journal.entries(), [])
})

test('F-07 S-84 what a process that died left half done goes after a minute; what is being written, and what is for another store, stays', async (t) => {
  const folder = folderFor(t)
  await openedIn(folder, { store: 'theirs' }).add(entryOf(1))
  const [theirs] = readdirSync(folder)
  const journal = openedIn(folder, { foreign: () => {} })
  await journal.add(entryOf(1))
  const ours = readdirSync(folder).find((file) => file !== theirs)
  await markIn(folder, { store: 'ours', proofOf: () => 'proof' }).write(1)
  const mark = readdirSync(folder).find((file) => file.endsWith('.mark'))
  const drafts = [`${ours}.00.draft`, `${ours}.01.draft`, `${theirs}.00.draft`, `${mark}.00.draft`] as const
  for (const file of drafts) writeFileSync(join(folder, file), '')
  const now = Date.now() / 1000
  for (const file of [ours!, mark!, drafts[0], drafts[2], drafts[3]]) utimesSync(join(folder, file), now, now - 61)
  assert.deepEqual(await journal.entries(), [entryOf(1)])
  assert.deepEqual(readdirSync(folder).toSorted(), [ours!, theirs!, mark!, drafts[1], drafts[2]].toSorted())
})

test('a folder that cannot be made is told of with what to do', (t) => {
  const file = join(folderFor(t), 'file')
  writeFileSync(file, '')
  assert.throws(() => openedIn(join(file, 'journal')), /cannot create the journal .*give the user .*LATCHSTRING_JOURNAL_DIR/)
})

test('a folder that a full disk keeps from being made is told of as that', (t) => {
  t.mock.method(fs, 'mkdirSync', () => {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  })
  syncBuiltinESMExports()
  try {
    assert.throws(
      () => openedIn('/anywhere'),
      /cannot create the journal .*ENOSPC.*; make room there, or set LATCHSTRING_JOURNAL_DIR/,
    )
  } finally {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  }
})
