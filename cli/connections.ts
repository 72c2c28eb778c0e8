/** `latchstring connections`: whose there are, how they are, and ending them. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ConnectionItem, ConnectionState, RevocationItem } from '../sdk/src/wire.ts'
import { deleteConnection, type Listed, listConnections, PAGE_SIZE_MAX, readConnection, relabel } from '../src/core/browse.ts'
import type { Caller } from '../src/core/caller.ts'
import type { Upstream } from '../src/core/connection.ts'
import type { Cursor, Ports } from '../src/core/ports.ts'
import { revoke } from '../src/core/revoke.ts'
import { DAY_MS, lastUse } from '../src/core/usage.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { countOf } from './count.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { card, print, printJson, remark, table } from './terminal.ts'

interface Options extends TenantOptions {
  readonly json?: boolean
}

interface ListOptions extends Options {
  readonly user?: string
  readonly org?: string
  readonly app?: string
  readonly state?: ConnectionState
  readonly label?: string
  readonly dormant?: number
  readonly limit: number
}

const STATES: readonly ConnectionState[] = ['pending', 'connected', 'failing', 'broken', 'revoked']
const LIMIT = 100

export function addConnections(program: Command): void {
  const connections = program.command('connections').description("users' links to providers")
  withExamples(connections, {
    'latchstring connections list --state broken': 'whom to ask to connect again',
    'latchstring connections show SESSION_ID': 'one, and what ails it',
    'latchstring connections revoke SESSION_ID': 'end it, here and at the provider',
  })
  addList(connections)
  addShow(connections)
  addRevoke(connections)
  addDelete(connections)
  addLabel(connections)
}

function addList(connections: Command): void {
  const command = withTenant(connections.command('list').description('newest first; filters narrow each other'))
    .option('--user <user_id>', "only this user's")
    .option('--org <org_code>', "only this organisation's")
    .option('--app <key_code_ref>', 'only those made with this app')
    .addOption(new Option('--state <state>', 'only those in this state').choices(STATES))
    .option('--label <label>', 'only those with this label')
    .option(
      '--dormant <days>',
      'only those that are not over and that nobody was handed a token of for so long, such as 90d',
      daysOf,
    )
    .option('--limit <n>', 'as many as this', countOf, LIMIT)
    .option('--json', 'for programs')
    .action(async ({ json, limit, ...options }: ListOptions) => {
      const { items, more } = await asOperator(options, (ports, operator) => listed(ports, operator, options, limit))
      if (more) remark(`There are more than these ${limit}: narrow them down, or say --limit.`)
      if (json) return printJson({ connections: items, more })
      print(
        table(items, [
          { title: 'SESSION_ID', cell: (item) => item.session_id },
          { title: 'STATE', cell: (item) => item.state },
          { title: 'APP', cell: (item) => item.key_code_ref },
          { title: 'USER', cell: (item) => item.user_id },
          { title: 'ORG', cell: (item) => item.org_code },
          { title: 'ACCOUNT', cell: (item) => item.account?.label ?? item.account?.id ?? null },
          { title: 'LABEL', cell: (item) => item.label },
          { title: 'CREATED', cell: (item) => item.created_at.slice(0, 16) },
          ...(options.dormant === undefined ? [] : [{ title: 'LAST USED', cell: (item: ConnectionItem) => item.last_used_on }]),
          { title: 'REASON', cell: (item) => item.reason },
        ]),
      )
    })
  withExamples(command, {
    'latchstring connections list --user u1': "one user's",
    'latchstring connections list --dormant 90d': 'what nobody would miss',
    'latchstring connections list --state broken --json': 'for a script that writes to their owners',
  })
}

function addShow(connections: Command): void {
  const command = withTenant(connections.command('show <session_id>').description('one, and what ails it'))
    .option('--json', 'for programs')
    .action(async (session: string, { json, ...options }: Options) => {
      const found = await asOperator(options, (ports, operator) => readConnection(ports, operator, session))
      const item = { ...(await itemOf(found)), kept: found.kept }
      if (json) return printJson(item)
      print(card(fieldsOf(item)))
    })
  withExamples(command, { 'latchstring connections show SESSION_ID --json': 'for programs' })
}

function addRevoke(connections: Command): void {
  const command = withTenant(
    connections.command('revoke <session_id>').description('end one, here and at the provider; twice is fine'),
  )
    .option('--json', 'for programs')
    .action(async (session: string, { json, ...options }: Options) => {
      const upstream = await asOperator(options, (ports, operator) => revoke(ports, operator, session))
      if (json) return printJson({ session_id: session, upstream })
      print(`revoked ${session}; ${AT_THE_PROVIDER[upstream]}`)
    })
  withExamples(command, { 'latchstring connections revoke SESSION_ID': 'no token is handed out any more' })
}

function addDelete(connections: Command): void {
  const command = withTenant(connections.command('delete <session_id>').description('revoke one and forget it altogether'))
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
    .action(async (session: string, { json, yes, ...options }: Options & ConfirmOptions) => {
      if (!(await confirmed(`deleting the connection ${session}`, { ...(yes && { yes }) }))) return
      await asOperator(options, (ports, operator) => deleteConnection(ports, operator, session))
      if (json) return printJson({ deleted: session })
      print(`deleted ${session}`)
    })
  withExamples(command, { 'latchstring connections delete SESSION_ID --yes': 'in a script' })
}

function addLabel(connections: Command): void {
  const command = withTenant(connections.command('label <session_id> [label]').description("an application's own note about one"))
    .option('--none', 'take the label away')
    .option('--json', 'for programs')
    .action(
      async (session: string, label: string | undefined, { json, none, ...options }: Options & { readonly none?: boolean }) => {
        if ((label === undefined) === (none === undefined)) throw new UsageError('say either a label or --none')
        const item = await asOperator(options, async (ports, operator) => {
          const connection = await relabel(ports, operator, session, label ?? null)
          return itemOf({ kind: 'connection', connection })
        })
        if (json) return printJson(item)
        print(item.label === null ? `${session} has no label` : `${session} is labelled ${item.label}`)
      },
    )
  withExamples(command, {
    "latchstring connections label SESSION_ID 'work account'": 'give it one',
    'latchstring connections label SESSION_ID --none': 'take it away',
  })
}

/** Page after page, until there are enough. */
async function listed(
  ports: Ports,
  operator: Caller,
  { user, org, app, state, label, dormant }: Omit<ListOptions, 'limit'>,
  limit: number,
): Promise<{ items: ConnectionItem[]; more: boolean }> {
  const filter = {
    ...(user !== undefined && { userId: user }),
    ...(org !== undefined && { orgCode: org }),
    ...(app !== undefined && { app }),
    ...(state !== undefined && { state }),
    ...(label !== undefined && { label }),
  }
  const items: ConnectionItem[] = []
  let after: Cursor | null = null
  do {
    const size = dormant === undefined ? Math.min(limit - items.length, PAGE_SIZE_MAX) : PAGE_SIZE_MAX
    const page = await listConnections(ports, operator, filter, { after, size })
    const wanted = page.items.filter((found) => dormant === undefined || isDormant(found, ports.now() - dormant * DAY_MS))
    const room = limit - items.length
    items.push(...(await Promise.all(wanted.slice(0, room).map(itemOf))))
    if (wanted.length > room) return { items, more: true }
    after = page.next
  } while (after && items.length < limit)
  return { items, more: after !== null }
}

function isDormant(found: Listed, since: number): boolean {
  return found.kind === 'connection' && found.connection.health.state !== 'revoked' && lastUse(found.connection) < since
}

function daysOf(text: string): number {
  const days = Number(/^(\d{1,5})d?$/.exec(text)?.[1] ?? Number.NaN)
  if (Number.isNaN(days)) throw new InvalidArgumentError('It must be days, such as 90d.')
  return days
}

async function itemOf(found: Listed): Promise<ConnectionItem> {
  const { connectionItem, pendingItem } = await import('../src/http/items.ts')
  return found.kind === 'pending' ? pendingItem(found.attempt) : connectionItem(found.connection)
}

function fieldsOf(item: ConnectionItem): Record<string, string | null> {
  const { granted_scopes, missing_scopes, account, revocation, kept = {}, ...rest } = item
  return {
    ...rest,
    account: account && (account.label === null ? account.id : `${account.label} (${account.id})`),
    granted_scopes: granted_scopes.join(' '),
    missing_scopes: missing_scopes.join(' '),
    ...Object.fromEntries(Object.entries(kept).map(([name, value]) => [`kept.${name}`, value])),
    ...(revocation && { revocation: toldOf(revocation) }),
  }
}

/** In a line: what the provider said, and what comes next. */
function toldOf({ upstream, proved_at, attempts, reason, retry_at }: RevocationItem): string {
  if (proved_at) return `confirmed, and proved at ${proved_at}: the dead token was refused`
  if (upstream === 'confirmed') return "confirmed, by the provider's word"
  if (upstream !== 'failed') return upstream
  const next = retry_at ? `asked again at ${retry_at}` : 'not asked any more'
  return `failed after ${attempts} attempts (${reason}); ${next}`
}

const AT_THE_PROVIDER: Readonly<Record<Upstream, string>> = {
  confirmed: 'the provider has confirmed it',
  pending: 'the provider has not answered yet',
  failed: 'the provider did not take it back; a running server asks it again, and `connections show` says how that goes',
  unsupported: 'there was nothing to revoke at the provider',
  superseded: 'what it held went over to a newer connection of the same owner',
}
