/**
 * Answers to renewals that the store could not take, in a folder of this machine: a file for each, sealed as its row will be.
 *
 * Not one file that grows: processes that share the store share the folder too, and whoever commits an answer removes it, without
 * rewriting what another process is adding to. A file gets its name when it is whole and on the disk, and says how long it is and what
 * its digest is: what a crash or a full disk tore off is never taken for an answer.
 *
 * Databases side by side have one folder, unless told otherwise. To the one an answer of the other belongs to a connection that was deleted, whose
 * tokens are to be revoked: so the name of a file says which store it is for, and nobody else touches it.
 */

import { createHash, randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Claimed, Journal, JournalEntry } from '../core/ports.ts'
import { DRAFT, syncFolder, writeWhole } from './durable.ts'

const FORMAT = 'latchstring answer 1'
const WHOLE = '.answer'
/** Longer than writing one takes. What is a draft for longer was left by a process that died: nobody reads it, and it says whose tokens are in it. */
const DRAFT_MS_MAX = 60_000

export interface JournalOptions {
  /** Which store the answers are for. */
  readonly store: string
  /** Told of a file that is not what was written, once. */
  readonly damaged: (file: string) => void
  /** Told of a file that is for another store, once. */
  readonly foreign: (file: string) => void
}

/** Makes the folder, readable for its owner alone. Throws when it cannot be made or may not be written. */
export function openJournal(folder: string, { store, damaged, foreign }: JournalOptions): Journal {
  makePrivate(folder)
  assertWritable(folder)
  const ours = `${nameFor(store)}-`
  const told = new Set<string>()

  function tellOnce(tell: (file: string) => void, file: string): void {
    if (!told.has(file)) tell(file)
    told.add(file)
  }

  async function read(file: string): Promise<JournalEntry | null> {
    const bytes = await readFile(join(folder, file)).catch(unlessMissing)
    if (bytes === null) return null
    const entry = decode(bytes)
    if (!entry) tellOnce(damaged, file)
    return entry
  }

  /** One answer for each lease: the fence tells leases of a connection apart. */
  function nameOf({ tenant, id, lease }: Claimed): string {
    return `${ours}${nameFor(JSON.stringify([tenant, id]))}-${lease?.fence ?? 'none'}${WHOLE}`
  }

  async function sweep(files: readonly string[]): Promise<void> {
    // Those of the mark, too.
    for (const file of files.filter((one) => one.startsWith(nameFor(store)) && one.endsWith(DRAFT))) {
      const found = await stat(join(folder, file)).catch(unlessMissing)
      if (found && Date.now() - found.mtimeMs > DRAFT_MS_MAX) await rm(join(folder, file), { force: true })
    }
  }

  return {
    async add(entry) {
      await writeWhole(join(folder, nameOf(entry.claimed)), encode(entry))
      await syncFolder(folder)
    },

    find: (claimed) => read(nameOf(claimed)),

    async entries() {
      const all = await readdir(folder)
      await sweep(all)
      const files = all.filter((file) => file.endsWith(WHOLE))
      for (const file of files) if (!file.startsWith(ours)) tellOnce(foreign, file)
      const entries = await Promise.all(files.filter((file) => file.startsWith(ours)).map(read))
      return entries.filter((entry) => entry !== null)
    },

    async remove(claimed) {
      await rm(join(folder, nameOf(claimed)), { force: true })
    },
  }
}

function makePrivate(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable('create', folder, error)
  }
}

/** Found out now, and not when it is the last place left for a refresh token. That the disk is full just now is no reason not to start. */
function assertWritable(folder: string): void {
  const draft = join(folder, `${randomBytes(6).toString('hex')}${DRAFT}`)
  try {
    closeSync(openSync(draft, 'wx', 0o600))
    rmSync(draft, { force: true })
  } catch (error) {
    if (!FULL.has((error as NodeJS.ErrnoException).code ?? '')) throw unusable('write', folder, error)
  }
}

const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT'])

function unusable(verb: 'create' | 'write', folder: string, cause: unknown): Error {
  const isFull = FULL.has((cause as NodeJS.ErrnoException).code ?? '')
  const remedy = `${isFull ? 'make room there' : 'give the user that runs Latchstring a folder it can write'}, or set LATCHSTRING_JOURNAL_DIR to another place`
  return new Error(`cannot ${verb} the journal ${folder}: ${(cause as Error).message}; ${remedy}`, { cause })
}

/** Ids are not to be read from names of files. */
export function nameFor(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 32)
}

function encode(entry: JournalEntry): Buffer {
  const body = Buffer.from(JSON.stringify(entry, withBytesAsText))
  return Buffer.concat([Buffer.from(`${FORMAT} ${body.length} ${digest(body)}\n`), body])
}

/** A Buffer has become an object of numbers by the time that its value comes in. */
function withBytesAsText(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const original = this[key]
  return original instanceof Uint8Array ? bytesAsText(original) : value
}

/** null: not what was written. */
function decode(file: Buffer): JournalEntry | null {
  const end = file.indexOf('\n')
  const body = file.subarray(end + 1)
  if (end < 0 || file.toString('latin1', 0, end) !== `${FORMAT} ${body.length} ${digest(body)}`) return null
  return JSON.parse(body.toString(), (_, value: unknown) => (isBytesAsText(value) ? textAsBytes(value) : value)) as JournalEntry
}

interface BytesAsText {
  readonly base64: string
}

function bytesAsText(bytes: Uint8Array): BytesAsText {
  return { base64: Buffer.from(bytes).toString('base64') }
}

function textAsBytes({ base64 }: BytesAsText): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}

function isBytesAsText(value: unknown): value is BytesAsText {
  return typeof value === 'object' && value !== null && 'base64' in value
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function unlessMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}
