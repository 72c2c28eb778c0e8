/** `latchstring audit`: who did what, and whether anybody has altered it. */

import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { AuditItem } from '../sdk/src/wire.ts'
import { ALL, FACT_ACTIONS, isOfAll, listAudit, type Place } from '../src/core/audit.ts'
import type { Caller } from '../src/core/caller.ts'
import { stretchesOf } from '../src/core/evidence.ts'
import type { FactAction, Ports } from '../src/core/ports.ts'
import { DEFAULT_TENANT } from '../src/core/setup.ts'
import { type Verdict, verifyHistory } from '../src/core/verify.ts'
import { linesOf, noKey, readExport } from './audit-file.ts'
import { countOf } from './count.ts'
import { FAILED, UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { asOperator } from './operator.ts'
import { print, printJson, remark, table } from './terminal.ts'

const LIMIT = 100
const PAGE = 500
/** Facts between two lines that say how far it is. */
const PROGRESS_FACTS = 100_000
/** The history is one for all tenants, and so is its proof. */
const WHOLE = { tenant: DEFAULT_TENANT }

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('who did what, and whether anybody has altered it')
  withExamples(audit, {
    'latchstring audit list --action token.handed_out': 'who was given tokens',
    'latchstring audit head > head.jws': 'what to keep elsewhere',
    'latchstring audit verify --anchor head.jws': 'whether all is as it was written',
  })
  addList(audit)
  addHead(audit)
  addVerify(audit)
  addExport(audit)
}

interface ListOptions {
  readonly tenant?: string
  readonly action?: FactAction
  readonly actor?: string
  readonly subject?: string
  readonly limit: number
  readonly json?: boolean
}

function addList(audit: Command): void {
  const command = audit
    .command('list')
    .description('newest first; filters narrow each other')
    .option('--tenant <tenant>', "whose; '*' has what concerns all of them. Left out: default, or '*' for such an action")
    .addOption(new Option('--action <action>', 'only these').choices(FACT_ACTIONS))
    .option('--actor <name>', 'only what this caller did; or browser, broker or operator')
    .option('--subject <id>', 'only what was done to this: a session_id, a key_code_ref, a client_id and so on')
    .option('--limit <n>', 'as many as this', countOf, LIMIT)
    .option('--json', 'for programs')
    .action(async ({ json, tenant, ...options }: ListOptions) => {
      // Looked for where it never is, a cut or a restore would seem not to have happened.
      const whose = options.action && isOfAll(options.action) ? ALL : DEFAULT_TENANT
      const { entries, more } = await asOperator({ tenant: tenant ?? whose }, (ports, operator) =>
        listed(ports, operator, options),
      )
      if (more) remark(`There are more than these ${options.limit}: narrow them down, or say --limit.`)
      if (json) return printJson({ entries, more })
      print(
        table(entries, [
          { title: 'ID', cell: (item) => item.id },
          { title: 'TIME', cell: (item) => item.timestamp.slice(0, 19) },
          { title: 'ACTOR', cell: (item) => item.actor },
          { title: 'ACTION', cell: (item) => item.action },
          { title: 'SUBJECT', cell: (item) => item.subject },
          { title: 'APP', cell: (item) => item.key_code_ref },
          { title: 'USER', cell: (item) => item.user_id },
          { title: 'ORG', cell: (item) => item.org_code },
          { title: 'REASON', cell: (item) => item.purpose ?? item.reason },
        ]),
      )
    })
  withExamples(command, {
    'latchstring audit list --subject SESSION_ID': 'all that happened to one connection, tokens included',
    'latchstring audit list --actor backend --action access.refused --json': 'what a caller tried in vain',
    "latchstring audit list --tenant '*'": 'what was done to providers, issuers, keys and the history itself',
  })
}

/** Page after page, until there are enough: pages may be short. */
async function listed(
  ports: Ports,
  operator: Caller,
  { action, actor, subject, limit }: Omit<ListOptions, 'tenant'>,
): Promise<{ entries: AuditItem[]; more: boolean }> {
  const { auditItem } = await import('../src/http/items.ts')
  const filter = { ...(action && { action }), ...(actor && { actor }), ...(subject && { subject }) }
  const entries: AuditItem[] = []
  let before: Place | null = null
  do {
    const page = await listAudit(ports, operator, filter, { before, size: Math.min(limit - entries.length, PAGE) })
    entries.push(...page.entries.map(auditItem))
    before = page.next
  } while (before && entries.length < limit)
  return { entries, more: before !== null }
}

function addHead(audit: Command): void {
  const command = audit
    .command('head')
    .description('the newest signed checkpoint: kept elsewhere, it proves later that nothing was taken away')
    .option('--json', 'with the key to verify it by')
    .action(async ({ json }: { json?: boolean }) => {
      const [head, publicKey] = await asOperator(WHOLE, async ({ store, notary }) => [await store.audit.head(), notary.publicKey])
      if (!head) throw new Error('there is no checkpoint yet: a broker that serves makes the first within a second')
      if (!json) return print(head.signature)
      const { number, seq, at, hash, signature } = head
      printJson({ head: signature, number, seq, timestamp: new Date(at).toISOString(), hash, public_key: publicKey })
    })
  withExamples(command, {
    'latchstring audit head > /mnt/elsewhere/$(date -u +%Y%m%dT%H).jws':
      'once an hour; the older ones stay, or a cut shows nowhere',
  })
}

interface VerifyOptions {
  readonly anchor?: string
  readonly file?: string
  readonly json?: boolean
}

function addVerify(audit: Command): void {
  const command = audit
    .command('verify')
    .description(
      'go through the whole history and name the first entry that is not as it was written; ends with 1 if there is one',
    )
    .option('--anchor <head>', 'what audit head printed before, or the file that it was kept in: the history must contain it')
    .option('--file <export>', 'verify an export instead, with nothing but that file')
    .option('--json', 'for programs')
    .action(async ({ anchor, file, json }: VerifyOptions) => {
      const options = { ...(anchor !== undefined && { anchor: textOf(anchor) }), progress: tellProgress() }
      const verdict = file === undefined ? await verifyStore(options) : await verifyFile(file, options)
      if (json) printJson(verdictItem(verdict))
      else print(sentenceOf(verdict))
      if (verdict.problem) process.exitCode = FAILED
      else if (anchor === undefined) remark('Whether its end was cut off only an anchor can tell: see audit head.')
    })
  withExamples(command, {
    'latchstring audit verify --anchor /mnt/elsewhere/head.jws': 'also that nothing was cut off since',
    'latchstring audit verify --file audit.ndjson --anchor head.jws': 'on another machine, without the store or its key',
  })
}

function verifyStore(options: Parameters<typeof verifyHistory>[2]): Promise<Verdict> {
  return asOperator(WHOLE, (ports) => verifyHistory(stretchesOf(ports), ports.notary, options))
}

async function verifyFile(file: string, options: Parameters<typeof verifyHistory>[2]): Promise<Verdict> {
  const { verifierOf } = await import('../src/seal/notary.ts')
  const { publicKey, stretches } = await readExport(file)
  const verifier = () => {
    try {
      return verifierOf(publicKey)
    } catch {
      throw noKey(file)
    }
  }
  return verifyHistory(stretches, verifier(), options)
}

/** A head as it was printed, or the file that it is in. */
function textOf(given: string): string {
  try {
    return readFileSync(given, 'utf8')
  } catch {
    // Taken for a head that does not verify, a mistyped name would be an alarm.
    if (Buffer.from(given, 'base64url').toString().startsWith('{')) return given
    throw new UsageError(`--anchor is neither a file that can be read nor what audit head printed: ${given}`)
  }
}

function tellProgress(): (facts: number) => void {
  let next = PROGRESS_FACTS
  return (facts) => {
    if (facts < next) return
    remark(`${facts} facts are right so far`)
    next = facts + PROGRESS_FACTS
  }
}

function verdictItem({ checkpoints, facts, unsealed, unsealedSince, head, problem }: Verdict) {
  return {
    whole: problem === null,
    checkpoints,
    facts,
    unsealed,
    unsealed_since: unsealedSince === null ? null : new Date(unsealedSince).toISOString(),
    head: head && head.signature,
    problem,
  }
}

function sentenceOf({ checkpoints, facts, unsealed, problem }: Verdict): string {
  const [some, are] = facts === 1 ? ['1 fact', 'is'] : [`${facts} facts`, 'are']
  const under = `${some} under ${checkpoints === 1 ? '1 checkpoint' : `${checkpoints} checkpoints`}`
  if (problem) return `${problem.kind}: ${problem.sentence}; ${under} before it ${are} right`
  return `${under} ${are} as written${unsealed === 0 ? '' : `; not sealed yet: ${unsealed}`}`
}

function addExport(audit: Command): void {
  const command = audit
    .command('export')
    .description('the whole history of all tenants, with all that is needed to verify it elsewhere: JSON, a line each')
    .option('--json', 'it is JSON anyway')
    .action(() =>
      asOperator(WHOLE, async (ports) => {
        for await (const line of linesOf(stretchesOf(ports), ports.notary.publicKey)) {
          if (!process.stdout.write(line)) await new Promise((resolve) => process.stdout.once('drain', resolve))
        }
      }),
    )
  withExamples(command, { 'latchstring audit export > audit.ndjson': 'for an auditor, or an archive' })
}
