/** An export of the whole history as a file: JSON, a line each, with all that is needed to verify it elsewhere. `docs/audit.md` has the lines. */

import { createReadStream } from 'node:fs'
import { type Checkpoint, type Evidence, isGap } from '../src/core/checkpoint.ts'
import type { Owner } from '../src/core/connection.ts'
import type { Standing, Stretch } from '../src/core/evidence.ts'
import { UsageError } from './failure.ts'
import { linesIn } from './lines.ts'

type Line =
  | { readonly type: 'key'; readonly public_key: Readonly<Record<string, string>> }
  | (Record<string, unknown> & { readonly type: 'fact' })
  | (Record<string, unknown> & { readonly type: 'checkpoint' })

/** Facts stand before the checkpoint that covers them; what none covers yet stands last. */
export async function* linesOf(
  stretches: AsyncIterable<Stretch>,
  publicKey: Readonly<Record<string, string>>,
): AsyncGenerator<string> {
  yield lineOf({ type: 'key', public_key: publicKey })
  for await (const { checkpoint, facts } of stretches) {
    for (const fact of facts) if (!isEarly(fact, checkpoint)) yield lineOf(factLine(fact))
    if (checkpoint) yield lineOf(checkpointLine(checkpoint))
  }
}

/** It stands again where a later checkpoint covers it. */
function isEarly({ seq }: Standing, checkpoint: Checkpoint | null): boolean {
  return checkpoint?.missing.some(({ from, to }) => from <= seq && seq <= to) ?? false
}

function lineOf(line: Line): string {
  return `${JSON.stringify(line)}\n`
}

function factLine({ seq, evidence, names, erased }: Standing): Line {
  const { handedOut, ...told } = evidence
  return {
    type: 'fact',
    seq,
    ...told,
    handed_out: handedOut,
    user_id: names?.userId ?? null,
    org_code: names?.orgCode ?? null,
    erased,
  }
}

function checkpointLine({ digests, ...checkpoint }: Checkpoint): Line {
  return { type: 'checkpoint', ...checkpoint, digests: Buffer.from(digests).toString('base64') }
}

/** Throws what line is none of an export. */
export async function readExport(
  path: string,
): Promise<{ publicKey: Readonly<Record<string, string>>; stretches: AsyncGenerator<Stretch> }> {
  const lines = readLines(path)
  const { value: first } = await lines.next().catch((error: NodeJS.ErrnoException) => {
    throw error.syscall === undefined ? error : new UsageError(`${path} cannot be read (${error.code})`)
  })
  if (first?.type !== 'key') throw noKey(path)
  return { publicKey: first.public_key, stretches: stretchesIn(lines) }
}

/** What it is verified by must come first. */
export function noKey(path: string): Error {
  return new Error(`${path} is no export: its first line is no key`)
}

async function* readLines(path: string): AsyncGenerator<Line, undefined> {
  let number = 0
  for await (const text of linesIn(createReadStream(path, 'utf8'))) {
    number += 1
    yield parsed(text) ?? fail(`${path}, line ${number}: it is no line of an export`)
  }
  return undefined
}

function parsed(text: string): Line | null {
  try {
    const line = JSON.parse(text) as Line | null
    if (line?.type === 'checkpoint') return isCheckpoint(line) ? line : null
    return line?.type === 'key' || line?.type === 'fact' ? line : null
  } catch {
    return null
  }
}

/** What cannot be asked whether it was sealed; the rest of it is judged there. */
function isCheckpoint({ late, missing, signature }: Readonly<Record<string, unknown>>): boolean {
  return isList(late, Number.isSafeInteger) && isList(missing, isGap) && typeof signature === 'string'
}

function isList(value: unknown, isOne: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every((item) => isOne(item))
}

async function* stretchesIn(lines: AsyncGenerator<Line, undefined>): AsyncGenerator<Stretch> {
  let facts: Standing[] = []
  for await (const line of lines) {
    if (line.type === 'fact') facts.push(standingOf(line))
    else if (line.type === 'checkpoint') {
      yield { checkpoint: checkpointOf(line), facts }
      facts = []
    }
  }
  yield { checkpoint: null, facts }
}

function standingOf(line: Readonly<Record<string, unknown>>): Standing {
  const { type: _, seq, handed_out, user_id, org_code, erased, ...told } = line
  const names = { userId: user_id, orgCode: org_code } as Owner
  const named = names.userId !== null || names.orgCode !== null
  return {
    seq: Number(seq),
    evidence: { ...told, handedOut: handed_out } as unknown as Evidence,
    names: named ? names : null,
    erased: erased === true,
  }
}

function checkpointOf(line: Readonly<Record<string, unknown>>): Checkpoint {
  const { type: _, digests, ...checkpoint } = line
  return { ...checkpoint, digests: new Uint8Array(Buffer.from(String(digests), 'base64')) } as unknown as Checkpoint
}

function fail(message: string): never {
  throw new Error(message)
}
