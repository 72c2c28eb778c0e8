/** `latchstring keys`: the master keys, and what signs caller tokens. */

import type { Command } from 'commander'
import { heldBy, type MasterKeyUse, masterKeyUse, PLACES, reseal, rowsUnder } from '../src/core/master-keys.ts'
import type { BrokerKey, Ports } from '../src/core/ports.ts'
import { dutiesOf, PUBLISHED_MS } from '../src/core/signing-keys.ts'
import type { Broker } from '../src/main.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { countOf } from './count.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { OPERATOR, withBroker } from './operator.ts'
import { askedToStop } from './stopping.ts'
import { print, printJson, remark, styled, table } from './terminal.ts'

interface Options {
  readonly json?: boolean
}

const ROWS_PER_SECOND = 500

export function addKeys(program: Command): void {
  const keys = program
    .command('keys')
    .description('the master keys that everything is sealed under, and what signs caller tokens')
  withExamples(keys, {
    'latchstring keys status': 'which key holds how much',
    'latchstring keys rotate': 'stage a new master key; restart every process; then',
    'latchstring keys rotate --promote': 'make it the primary; restart every process; then',
    'latchstring keys reseal': 'put everything under it, while the broker serves; then',
    'latchstring keys retire KEY_ID': 'take the old one out',
  })
  addStatus(keys)
  addRotate(keys)
  addReseal(keys)
  addRetire(keys)
}

function addStatus(keys: Command): void {
  const command = keys
    .command('status')
    .description('each key, what it is for, and how many rows it holds')
    .option('--json', 'for programs')
    .action(async ({ json }: Options) => {
      const { master, signing } = await withBroker(async ({ ports }) => ({
        master: await masterKeyUse(ports),
        signing: await signingKeys(ports),
      }))
      if (json) return printJson({ master_keys: master.map(masterKeyItem), signing_keys: signing })
      print(
        table(master, [
          { title: 'MASTER KEY', cell: ({ id }) => id },
          { title: 'IN', cell: ({ service, role }) => service ?? (role === 'missing' ? null : 'this process') },
          { title: 'ROLE', cell: roleOf },
          ...PLACES.map((place) => ({
            title: place.toUpperCase(),
            cell: ({ rows }: MasterKeyUse) => String(rows[place]),
          })),
        ]),
      )
      print(
        `\n${table(signing, [
          { title: 'SIGNING KEY', cell: ({ kid }) => kid },
          { title: 'ROLE', cell: ({ role }) => role },
          { title: 'CREATED', cell: ({ created_at }) => created_at.slice(0, 16) },
        ])}`,
      )
    })
  withExamples(command, { 'latchstring keys status --json': 'for programs' })
}

/** The name of a key is no secret, and the key is nowhere to be seen. */
function masterKeyItem(use: MasterKeyUse) {
  const { id, service, rows } = use
  return { id, service, role: roleOf(use), rows, total: rowsUnder(use) }
}

function roleOf(use: MasterKeyUse): 'primary' | 'staged' | 'opens' | 'retirable' | 'missing' {
  return use.role === 'opens' && heldBy(use) === null ? 'retirable' : use.role
}

async function signingKeys({ store, now }: Ports) {
  const keys = (await store.records.keys()).filter(({ purpose }) => purpose === 'sign')
  const { signs, verify } = dutiesOf(keys, now())
  const role = (key: BrokerKey): string =>
    key === signs ? 'signs' : !verify.includes(key) ? 'over' : key.createdAt > signs.createdAt ? 'published' : 'verifies'
  return keys.map((key) => ({ kid: key.id, role: role(key), created_at: new Date(key.createdAt).toISOString() }))
}

interface RotateOptions extends Options, ConfirmOptions {
  readonly promote?: boolean
  readonly to?: string
  readonly signing?: boolean
  readonly atOnce?: boolean
}

function addRotate(keys: Command): void {
  const command = keys
    .command('rotate')
    .description('stage a new master key, or make the staged one the primary; or a new signing key')
    .option('--promote', 'make the staged key the primary; every process must have been restarted with it')
    .option('--to <reference>', 'stage a key of a key service instead of a new one: aws-kms:…, gcp-kms:…, transit:…')
    .option('--signing', 'a new key that signs caller tokens; the old one verifies until what it signed has ended')
    .option('--at-once', 'with --signing, when the old one leaked: every caller token is refused from now on')
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
    .action(async (options: RotateOptions) => {
      if (options.atOnce && !options.signing) throw new UsageError('--at-once goes with --signing')
      if (options.signing && (options.promote || options.to)) throw new UsageError('--signing goes without --promote and --to')
      if (options.promote && options.to) throw new UsageError('--promote goes without --to: stage the key first')
      if (options.signing) return rotateSigning(options)
      return withBroker((broker) => (options.promote ? promote(broker, options) : stage(broker, options)))
    })
  withExamples(command, {
    'latchstring keys rotate --to aws-kms:arn:aws:kms:eu-central-1:111122223333:key/1a2b':
      'from a key here to one in a key service',
    'latchstring keys rotate --signing': 'what caller tokens are signed with',
  })
}

async function stage({ keyFile, ports }: Broker, { to, json }: RotateOptions): Promise<void> {
  const standing = ports.seal.masterKeys.find(({ role }) => role === 'staged')
  if (standing)
    throw new UsageError(`${standing.id} is staged already: restart every process, then latchstring keys rotate --promote`)
  if (!keyFile) throw new UsageError(BY_HAND)
  const { stageKey } = await import('../src/seal/key-file.ts')
  const id = await stageKey(keyFile, to ?? null)
  if (json) return printJson({ staged: id })
  print(`${id} is staged in ${keyFile.path}: nothing is sealed with it yet`)
  remark(
    'Next: bring the file to every machine and restart every process, so that all of them can open what it will seal.\nThen: latchstring keys rotate --promote',
  )
}

const BY_HAND = `the master keys are in LATCHSTRING_MASTER_KEY, which only you can change:
  1. make a key: openssl rand -base64 32
  2. put it behind the others, marked: staged:THE_NEW_KEY; restart every process
  3. take the mark off and move it to the front; restart every process
  4. latchstring keys reseal
With LATCHSTRING_MASTER_KEY_FILE this command does 1 to 3 itself`

async function promote({ keyFile, ports }: Broker, { json }: RotateOptions): Promise<void> {
  const staged = ports.seal.masterKeys.filter(({ role }) => role === 'staged')
  const [key] = staged
  if (!key) throw new UsageError('no key is staged: latchstring keys rotate stages one')
  if (!keyFile) throw new UsageError(BY_HAND)
  const { promoteKey } = await import('../src/seal/key-file.ts')
  await promoteKey(keyFile, key.id)
  if (json) return printJson({ primary: key.id })
  print(`${key.id} is the primary key in ${keyFile.path}`)
  remark('Next: bring the file to every machine and restart every process.\nThen: latchstring keys reseal')
}

async function rotateSigning({ atOnce = false, yes = false, json }: RotateOptions): Promise<void> {
  if (atOnce && !(await confirmed('ending every caller token', { yes }))) return
  const { id } = await withBroker(async ({ ports: { store, seal, now } }) => {
    const { rotateSigningKey } = await import('../src/seal/broker-keys.ts')
    return rotateSigningKey({ records: store.records, seal, now }, { atOnce, actor: OPERATOR })
  })
  if (json) return printJson({ signing_key: id, at_once: atOnce })
  if (atOnce) return print(`${id} signs from now on; callers fetch new tokens`)
  print(
    `${id} is in the key set, and signs in ${PUBLISHED_MS / 60_000} minutes; the one before verifies until its last token has ended`,
  )
}

interface ResealOptions extends Options {
  readonly rate: number
}

function addReseal(keys: Command): void {
  const command = keys
    .command('reseal')
    .description('put every row under the primary key, while the broker serves; killed on its way, run it again')
    .option('--rate <n>', 'rows a second, at most', countOf, ROWS_PER_SECOND)
    .option('--json', 'for programs')
    .action(async ({ rate, json }: ResealOptions) => {
      const stopping = new AbortController()
      void askedToStop().then(() => stopping.abort())
      const done = await withBroker(({ ports }) =>
        reseal(ports, {
          actor: OPERATOR,
          rowsPerSecond: rate,
          progress: (name, { rows }) => remark(`${name}: ${rows} rows so far`),
          signal: stopping.signal,
        }),
      )
      const { rows, left, damaged } = done
      if (damaged.length > 0 || left > 0 || stopping.signal.aborted) process.exitCode = 1
      if (json) return printJson({ resealed: rows, left, damaged, stopped: stopping.signal.aborted })
      print(`${rows} rows were put under the primary key`)
      if (stopping.signal.aborted) remark('Stopped on the way: run it again, it goes on.')
      if (left > 0)
        remark(`${left} rows are being renewed, or their renewal never came back and is not an hour old: run it again later.`)
      for (const row of damaged) remark(styled('red', `${row.table} ${row.tenant} ${row.id} does not open and was left as it is`))
    })
  withExamples(command, { 'latchstring keys reseal --rate 50': 'slowly, on a busy database' })
}

function addRetire(keys: Command): void {
  const command = keys
    .command('retire <key_id>')
    .description('take a master key out that nothing is sealed under any more')
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
    .action(async (id: string, { yes, json }: Options & ConfirmOptions) => {
      await withBroker(async ({ ports, keyFile }) => {
        const use = (await masterKeyUse(ports)).find((key) => key.id === id)
        if (!use) throw new UsageError(`there is no master key ${id}: latchstring keys status lists them`)
        const why = heldBy(use)
        if (why !== null)
          throw new Error(`${id} cannot be retired: ${why}${use.role === 'opens' ? '; latchstring keys reseal' : ''}`)
        if (!keyFile)
          throw new UsageError(`nothing is sealed under ${id}: take it out of LATCHSTRING_MASTER_KEY, and restart every process`)
        if (!(await confirmed(`retiring ${id}`, { ...(yes && { yes }) }))) return
        const { dropKey } = await import('../src/seal/key-file.ts')
        await dropKey(keyFile, id)
        if (json) return printJson({ retired: id })
        print(`${id} is no longer in ${keyFile.path}`)
        remark('Backups that were made before still need it: keep a copy as long as you keep them.')
      })
    })
  withExamples(command, { 'latchstring keys retire 0123456789abcdef --yes': 'in a script' })
}
