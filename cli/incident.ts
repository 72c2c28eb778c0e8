/** `latchstring incident`: revoking very many connections at once, and proving to others what came of it. */

import { chmod, open, readFile, writeFile } from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { exportJWK, type JSONWebKeySet } from 'jose'
import { nearest } from '../src/catalog/mistake.ts'
import { type Found, type IncidentScope, isOpen, type Outcome, outcomesOf, revokeAll, survey } from '../src/core/incident.ts'
import { momentOf } from '../src/core/moment.ts'
import { dutiesOf } from '../src/core/signing-keys.ts'
import type { Broker } from '../src/main.ts'
import { confirmed } from './confirm.ts'
import { countOf } from './count.ts'
import { FAILED, UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { moment, type Report, reportOf, type SignedReport, signed, verified } from './incident-report.ts'
import { withBroker } from './operator.ts'
import { print, printJson, remark, table } from './terminal.ts'

interface Options {
  readonly provider?: string
  readonly tenant?: string
  readonly app?: string
  readonly before?: number
  readonly lastUsedBefore?: number
  readonly all?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly concurrency: number
  readonly report?: string
  readonly json?: boolean
}

const CONCURRENCY = 8
const TELL_MS = 2000

export function addIncident(program: Command): void {
  const incident = program.command('incident').description('after a breach: revoke very many connections, and prove it')
  withExamples(incident, {
    'latchstring incident revoke --provider slack --dry-run': 'what would be revoked',
    'latchstring incident verify report.json': 'whether a report is ours, and as it was made',
  })
  addRevoke(incident)
  addVerify(incident)
}

function addRevoke(incident: Command): void {
  const command = incident
    .command('revoke')
    .description('end all that fit, here first and then at their providers; stopped on the way, run it again and it goes on')
    .option('--provider <id>', 'only at this provider')
    .option('--tenant <tenant>', "only this tenant's; left out: everybody's")
    .option('--app <key_code_ref>', 'only those made with this app')
    .option('--before <moment>', 'only those that were made before a day or moment', earlier)
    .option('--last-used-before <moment>', 'only those that nobody was handed a token of since', earlier)
    .option('--all', 'every connection of every tenant')
    .option('--dry-run', 'only tell what would be revoked')
    .option('-y, --yes', 'without asking')
    .option('--concurrency <n>', 'as many requests to one provider at once', countOf, CONCURRENCY)
    .option('--report <file>', 'where the signed report goes (latchstring-incident-<moment>.json)')
    .option('--json', 'for programs')
    .action(revokeIncident)
  withExamples(command, {
    'latchstring incident revoke --provider slack --before 2026-11-20': 'asks first, and writes a signed report',
    'latchstring incident revoke --tenant acme --app crm --yes --report acme.json': 'in a script; ends with 1 while any is open',
  })
}

async function revokeIncident(options: Options): Promise<void> {
  const scope = scopeOf(options)
  await withBroker(async (broker) => {
    const found = await survey(broker.ports, scope)
    if (found.length === 0) await assertKnown(broker, scope)
    if (options.dryRun) return tellPlan(found, options.json ?? false)
    const open = found.filter(({ stands }) => stands !== 'over')
    if (!options.json && open.length > 0) remark(planOf(found))
    const agreed =
      open.length === 0 || (await confirmed(`revoking ${counted(open.length)}`, { ...(options.yes && { yes: true }) }))
    if (agreed) await carryOut(broker, scope, found, options)
  })
}

async function carryOut(broker: Broker, scope: IncidentScope, found: Found[], options: Options): Promise<void> {
  const { ports, keys } = broker
  const { kid, privateKey } = dutiesOf(keys.signing(), ports.now()).signs
  const began_at = moment(ports.now())
  const file = options.report ?? `latchstring-incident-${began_at.replaceAll(/[-:]|\.\d+/g, '')}.json`
  await makeReady(file)
  await revokeAll(ports, found, { actor: 'operator', concurrency: options.concurrency, progress: tellNowAndThen() })
  const about = { broker: ports.publicUrl, key: kid, began_at, ended_at: moment(ports.now()), scope: written(scope) }
  const report = reportOf(await outcomesOf(ports, found), about)
  await writeFile(file, `${JSON.stringify(await signed(report, privateKey), null, 2)}\n`)
  if (options.json) printJson({ report: file, totals: report.totals })
  else tell(report, file)
  if (report.connections.some(({ outcome }) => isOpen(outcome))) process.exitCode = FAILED
}

/** What cannot be taken back is not begun when nothing could be told of it. For its owner alone, also where it was there before; what is in it stays for now. */
async function makeReady(file: string): Promise<void> {
  try {
    await (await open(file, 'a')).close()
    await chmod(file, 0o600)
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new UsageError(
      `nothing was revoked: the report cannot be written to ${file} (${code}); say another place with --report`,
    )
  }
}

function addVerify(incident: Command): void {
  const command = incident
    .command('verify <report>')
    .description('whether a report was signed by this broker, and says what was signed')
    .option('--jwks <file>', "keys to verify it with, as /.well-known/jwks.json answers them; left out: this broker's own")
    .option('--json', 'for programs')
    .action(async (path: string, { jwks, json }: { readonly jwks?: string; readonly json?: boolean }) => {
      const file = await jsonOf(path)
      const keySet = jwks === undefined ? await withBroker(keySetOf) : ((await jsonOf(jwks)) as JSONWebKeySet)
      const report = await verified(file, keySet)
      if (json) return printJson(report)
      tell(report, path)
      print(`signed by ${report.broker} with its key ${report.key}`)
    })
  withExamples(command, {
    'latchstring incident verify report.json --jwks jwks.json': 'by whoever has the key set and nothing else of the broker',
  })
}

/** Also keys that were replaced since: what they signed stays true. */
async function keySetOf({ keys: { signing } }: Broker): Promise<JSONWebKeySet> {
  const keys = signing().map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' }))
  return { keys: await Promise.all(keys) }
}

/** A filter that was forgotten must not mean everything. */
function scopeOf({ provider, tenant, app, before, lastUsedBefore, all }: Options): IncidentScope {
  const scope: IncidentScope = {
    ...(provider !== undefined && { provider }),
    ...(tenant !== undefined && { tenant }),
    ...(app !== undefined && { app }),
    ...(before !== undefined && { createdBefore: before }),
    ...(lastUsedBefore !== undefined && { lastUsedBefore }),
  }
  const filters = Object.keys(scope).length
  if (filters === 0 && !all)
    throw new UsageError('say which: --provider, --tenant, --app, --before, --last-used-before, or --all')
  if (filters > 0 && all) throw new UsageError('say either --all or which')
  return scope
}

/** Nothing fits: of a mistyped name that would be a dangerous thing to believe. */
async function assertKnown({ ports }: Broker, { provider, tenant, app }: IncidentScope): Promise<void> {
  const apps = await ports.store.records.apps(null)
  // Whose apps are gone may still have connections.
  const connections = tenant === undefined ? [] : await survey(ports, {})
  const known = {
    provider: (await ports.registry.providers()).map(({ id }) => id),
    tenant: [...new Set([...apps, ...connections].map((of) => of.tenant))],
    app: apps.map(({ keyCodeRef }) => keyCodeRef),
  }
  for (const [what, name] of Object.entries({ provider, tenant, app })) {
    const names = known[what as keyof typeof known]
    if (name === undefined || names.includes(name)) continue
    const meant = nearest(name, names)
    throw new UsageError(`there is no ${what} ${name}${meant ? `: did you mean ${meant}?` : ''}`)
  }
}

function earlier(text: string): number {
  const at = momentOf(text)
  if (at === null)
    throw new InvalidArgumentError('It must be a day, such as 2026-11-20, or a moment, such as 2026-11-20T12:00:00Z.')
  return at
}

function written({ provider, tenant, app, createdBefore, lastUsedBefore }: IncidentScope): Record<string, string> {
  return {
    ...(provider !== undefined && { provider }),
    ...(tenant !== undefined && { tenant }),
    ...(app !== undefined && { key_code_ref: app }),
    ...(createdBefore !== undefined && { created_before: moment(createdBefore) }),
    ...(lastUsedBefore !== undefined && { last_used_before: moment(lastUsedBefore) }),
  }
}

function tellPlan(found: readonly Found[], json: boolean): void {
  if (!json) return print(`${planOf(found)}\nnothing was changed`)
  const { alive = [], waiting = [], over = [] } = Object.groupBy(found, ({ stands }) => stands)
  printJson({ dry_run: true, to_revoke: alive.length, to_ask_again: waiting.length, over: over.length })
}

function planOf(found: readonly Found[]): string {
  const groups = [...Map.groupBy(found, ({ tenant, provider, app }) => JSON.stringify([tenant, provider, app])).values()]
  const number = (group: readonly Found[], wanted: Found['stands']) =>
    String(group.filter(({ stands }) => stands === wanted).length)
  return table(groups, [
    { title: 'TENANT', cell: ([first]) => first?.tenant ?? null },
    { title: 'PROVIDER', cell: ([first]) => first?.provider ?? null },
    { title: 'APP', cell: ([first]) => first?.app ?? null },
    { title: 'TO REVOKE', cell: (group) => number(group, 'alive') },
    { title: 'TO ASK AGAIN', cell: (group) => number(group, 'waiting') },
    { title: 'OVER', cell: (group) => number(group, 'over') },
  ])
}

const MEANINGS: Readonly<Record<Outcome, string>> = {
  proved: 'the dead token was shown to the provider, and was refused',
  confirmed: "by the provider's word",
  unsupported: 'the provider has no way to revoke; nothing of it is kept here',
  superseded: 'the grant is a newer connection’s of the same owner',
  retrying: 'the provider did not take it back yet; a running server asks it again',
  failed: 'the provider did not take it back, and is not asked any more',
  alive: 'not revoked: somebody was faster; run it again',
  deleted: 'deleted meanwhile',
}

function tell(report: Report, file: string): void {
  const told = (Object.entries(report.totals) as [Outcome, number][]).filter(([, count]) => count > 0)
  print(
    table(told, [
      { title: 'OUTCOME', cell: ([outcome]) => outcome },
      { title: 'CONNECTIONS', cell: ([, count]) => String(count) },
      { title: 'MEANING', cell: ([outcome]) => MEANINGS[outcome] },
    ]),
  )
  print(`${counted(report.connections.length)} in ${file}`)
}

/** Now and then, and at the end of each step. */
function tellNowAndThen(): (step: string, done: number, of: number) => void {
  let told = Date.now()
  return (step, done, of) => {
    if (done < of && Date.now() - told < TELL_MS) return
    told = Date.now()
    remark(`${step}: ${done} of ${of}`)
  }
}

function counted(count: number): string {
  return `${count} ${count === 1 ? 'connection' : 'connections'}`
}

async function jsonOf(path: string): Promise<SignedReport | JSONWebKeySet> {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new UsageError(`${path} cannot be read`)
  })
  try {
    return JSON.parse(text) as SignedReport | JSONWebKeySet
  } catch {
    throw new UsageError(`${path} is no JSON`)
  }
}
