/** `latchstring owner`: all that is known of one user or organisation, told whole or erased. */

import type { Command } from 'commander'
import type { Attempt } from '../src/core/attempt.ts'
import { messageOf } from '../src/core/event.ts'
import { type Erasure, eraseOwner, erasureOf, exportOwner, type ToldOwner } from '../src/core/owner.ts'
import type { OwnerFilter } from '../src/core/ports.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { card, print, printJson, remark } from './terminal.ts'

interface Options extends TenantOptions {
  readonly userId?: string
  readonly orgCode?: string
  readonly json?: boolean
}

export function addOwner(program: Command): void {
  const owner = program.command('owner').description('all that is known of one user or organisation: told whole, or erased')
  withExamples(owner, {
    'latchstring owner export --user-id u1 > u1.json': 'when they ask what is known of them',
    'latchstring owner erase --user-id u1 --dry-run': 'when they ask to be forgotten: what that would end',
    'latchstring owner erase --user-id u1': 'and do it',
  })
  addExport(owner)
  addErase(owner)
}

function withOwner(command: Command): Command {
  return withTenant(command)
    .option('--user-id <user_id>', 'this user, in whatever organisation')
    .option('--org-code <org_code>', 'this organisation and all users in it; with --user-id, that user in it')
}

function filterOf({ userId, orgCode }: Options): OwnerFilter {
  if (userId === undefined && orgCode === undefined) throw new UsageError('say whom: --user-id, --org-code, or both')
  return { ...(userId !== undefined && { userId }), ...(orgCode !== undefined && { orgCode }) }
}

function addExport(owner: Command): void {
  const command = withOwner(
    owner.command('export').description('connections, attempts, events, audit and deliveries, as JSON; no token'),
  )
    .option('--json', 'it is JSON anyway')
    .action(async (options: Options) => {
      const filter = filterOf(options)
      const record = await asOperator(options, (ports, operator) => exportOwner(ports, operator, filter))
      printJson({
        tenant: options.tenant,
        user_id: options.userId ?? null,
        org_code: options.orgCode ?? null,
        ...(await shown(record)),
      })
    })
  withExamples(command, { 'latchstring owner export --org-code org_1 --tenant acme': 'of everybody in an organisation' })
}

async function shown({ connections, attempts, events, audit, deliveries }: ToldOwner): Promise<object> {
  const { auditItem, connectionItem, deliveryItem } = await import('../src/http/items.ts')
  return {
    connections: connections.map((connection) => ({ ...connectionItem(connection), kept: connection.kept })),
    attempts: attempts.map(attemptItem),
    events: events.map(messageOf),
    audit: audit.map(auditItem),
    deliveries: deliveries.map(deliveryItem),
  }
}

function attemptItem({
  session,
  app,
  provider,
  owner,
  caller,
  stage,
  reason,
  callbackUrl,
  scopes,
  createdAt,
  expiresAt,
}: Attempt): object {
  return {
    ...{ session_id: session, key_code_ref: app, provider, user_id: owner.userId, org_code: owner.orgCode },
    ...{ caller, stage, reason, callback_url: callbackUrl, scopes },
    ...{ created_at: new Date(createdAt).toISOString(), expires_at: new Date(expiresAt).toISOString() },
  }
}

interface EraseOptions extends Options, ConfirmOptions {
  readonly dryRun?: boolean
  readonly shred: boolean
}

function addErase(owner: Command): void {
  const command = withOwner(
    owner
      .command('erase')
      .description('revoke and delete all connections of theirs, forget the rest, and leave a pseudonym in the audit'),
  )
    .option('--dry-run', 'only say what that would be')
    .option('--no-shred', 'leave what was deleted in the free space of the database; otherwise it is rewritten, and others wait')
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
    .action(erase)
  withExamples(command, {
    'latchstring owner erase --user-id u1 --dry-run': 'what there is',
    'latchstring owner erase --user-id u1 --yes --json': 'in a script; twice is fine',
  })
}

async function erase(options: EraseOptions): Promise<void> {
  const { dryRun = false, shred, json, yes = false } = options
  const filter = filterOf(options)
  const whom = [options.userId, options.orgCode].filter(Boolean).join(' in ')
  if (!dryRun && !(await confirmed(`erasing ${whom}`, { yes }))) return
  const erasure = await asOperator(options, async (ports, operator) => {
    if (dryRun) return erasureOf(ports, operator, filter)
    const done = await eraseOwner(ports, operator, filter)
    if (shred && !(await ports.store.audit.shred()))
      remark(
        'A process that reads kept the log of the database from being emptied: it still holds what was deleted until the next time.',
      )
    return done
  })
  for (const { session, upstream } of erasure.unconfirmed) remark(`${session}: at the provider it is ${upstream}`)
  if (json) return printJson(itemOf(erasure, dryRun))
  print(`${dryRun ? 'erasing' : 'erased'} ${whom}${dryRun ? ' would end' : ''}`)
  const { connections, attempts, events, deliveries, pseudonyms } = erasure
  const counts = { connections, attempts, 'events made nameless': events, 'deliveries forgotten': deliveries }
  const lines = Object.entries(counts).map(([name, count]) => [name, String(count)] as const)
  print(card({ ...Object.fromEntries(lines), 'known in the audit as': pseudonyms.join(' ') }))
}

function itemOf({ pseudonyms, unconfirmed, ...counts }: Erasure, dryRun: boolean): object {
  return {
    ...{ dry_run: dryRun, ...counts, pseudonyms },
    unconfirmed: unconfirmed.map(({ session, upstream }) => ({ session_id: session, upstream })),
  }
}
