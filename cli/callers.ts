/** `latchstring callers`: the programs that may ask for tokens. */

import { type Command, Option } from 'commander'
import type { CallerItem } from '../sdk/src/wire.ts'
import { apply } from '../src/core/apply.ts'
import { SCOPES } from '../src/core/caller.ts'
import { BrokerError } from '../src/core/errors.ts'
import { listCallers, removeCaller, setCallerDisabled } from '../src/core/manage.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { print, printJson, table } from './terminal.ts'

interface Options extends TenantOptions {
  readonly json?: boolean
}

interface CreateOptions extends Options {
  readonly scope: string[]
  readonly owner: string
  readonly expires?: string
  readonly app?: string[]
  readonly ip?: string[]
  readonly dpop?: boolean
  readonly rateLimit?: string
}

export function addCallers(program: Command): void {
  const callers = program.command('callers').description('the programs that may ask for tokens')
  withExamples(callers, {
    'latchstring callers create backend --scope read:connected_apps --owner ops': 'its secret is printed once',
    'latchstring callers disable backend': 'tokens that it holds stop working too',
    'latchstring callers list': 'all of a tenant',
  })
  addList(callers)
  addCreate(callers)
  addSwitch(callers, 'disable', 'refuse one, and the tokens that it holds')
  addSwitch(callers, 'enable', 'let one in again')
  addRemove(callers)
}

function addList(callers: Command): void {
  const command = withTenant(callers.command('list').description('all of a tenant'))
    .option('--json', 'for programs')
    .action(async ({ json, ...options }: Options) => {
      const items = await asOperator(options, async (ports, operator) => {
        const { callerItem } = await import('../src/http/items.ts')
        return (await listCallers(ports, operator)).map(callerItem)
      })
      if (json) return printJson({ callers: items })
      print(
        table(items, [
          { title: 'CLIENT_ID', cell: (caller) => caller.client_id },
          { title: 'STATE', cell: stateOf },
          { title: 'OWNER', cell: (caller) => caller.owner },
          { title: 'EXPIRES', cell: (caller) => caller.expires },
          { title: 'LAST USED', cell: (caller) => caller.last_used_at ?? 'never' },
          { title: 'PINS', cell: pinsOf },
          { title: 'SCOPES', cell: (caller) => caller.scopes.join(' ') },
        ]),
      )
    })
  withExamples(command, { 'latchstring callers list --tenant acme': "another tenant's" })
}

function pinsOf({ pins, dpop, rate_limit }: CallerItem): string | null {
  const held = [
    ...(pins.apps ?? []),
    ...(pins.ip ?? []),
    ...(dpop === 'required' ? ['dpop'] : []),
    ...(rate_limit ? [rate_limit] : []),
  ]
  return held.length > 0 ? held.join(' ') : null
}

function stateOf({ disabled, expires }: CallerItem): string {
  if (disabled) return 'disabled'
  return expires !== null && Date.parse(expires) <= Date.now() ? 'expired' : 'enabled'
}

function addCreate(callers: Command): void {
  const command = withTenant(
    callers.command('create <client_id>').description('a new one, with a secret that is printed this once'),
  )
    .addOption(new Option('--scope <scope...>', 'what it may do').choices(SCOPES).makeOptionMandatory())
    .requiredOption('--owner <owner>', 'the person or team that answers for it')
    .option('--expires <day>', 'when it ends, such as 2027-06-01; needed for more than connected_apps scopes')
    .option('--app <key_code_ref...>', 'pin it to these apps')
    .option('--ip <range...>', 'pin it to these addresses, such as 203.0.113.0/24')
    .option('--dpop', 'give it only tokens that are bound to a key of its own (RFC 9449)')
    .option('--rate-limit <limit>', 'how much it may ask of each process, such as 1000/min')
    .option('--json', 'for programs')
    .action(async (clientId: string, { json, scope, owner, expires, app, ip, dpop, rateLimit, ...options }: CreateOptions) => {
      const definition = {
        client_id: clientId,
        tenant: options.tenant,
        scopes: [...new Set(scope)],
        owner,
        ...(expires !== undefined && { expires }),
        ...((app || ip) && { pins: { ...(app && { apps: app }), ...(ip && { ip }) } }),
        ...(dpop && { dpop: 'required' }),
        ...(rateLimit !== undefined && { rate_limit: rateLimit }),
      }
      const { item, secret } = await asOperator(options, async (ports, operator) => {
        const wanted = await ports.checkCaller(definition).catch(ofCommand)
        // A file may have one whose time is over; nobody makes a new one that is refused from the start.
        if (wanted.expiresAt !== null && wanted.expiresAt <= ports.now())
          throw new UsageError('--expires is over: a day ends a caller when it begins (UTC), so say a later one')
        const check = async () => {
          if (await ports.store.records.caller(clientId))
            throw new BrokerError('CONFLICT', `there is a caller ${clientId} already`)
        }
        const { generated } = await apply(ports, operator.name, { providers: [], apps: [], callers: [wanted] }, { check })
        const { callerItem } = await import('../src/http/items.ts')
        const record = await ports.registry.caller(clientId)
        return { item: record && callerItem(record), secret: generated.get(clientId) }
      })
      if (json) return printJson({ ...item, client_secret: secret?.reveal() })
      print(`created ${clientId}`)
      if (secret) print(secretOnce(clientId, secret.reveal()))
    })
  withExamples(command, {
    'latchstring callers create backend --scope read:connected_apps create:connected_apps --owner ops@example.com': '',
    'latchstring callers create crm-sync --scope read:connected_apps --owner ops --app crm --ip 203.0.113.0/24':
      'one app, from there only',
    'latchstring callers create console --scope read:connections --owner ops@example.com --expires 2027-06-01': '',
  })
}

/** There is no body here that something could be wrong with. */
function ofCommand(error: unknown): never {
  throw error instanceof BrokerError ? new UsageError(error.message.replaceAll(/^body: /gm, '')) : error
}

/** The only time that it can be seen: only its hash is kept. */
export function secretOnce(clientId: string, secret: string): string {
  return `client_secret of ${clientId}, shown this once: ${secret}`
}

function addSwitch(callers: Command, name: 'disable' | 'enable', what: string): void {
  const command = withTenant(callers.command(`${name} <client_id>`).description(what))
    .option('--json', 'for programs')
    .action(async (clientId: string, { json, ...options }: Options) => {
      const item = await asOperator(options, async (ports, operator) => {
        const { callerItem } = await import('../src/http/items.ts')
        return callerItem(await setCallerDisabled(ports, operator, clientId, name === 'disable'))
      })
      if (json) return printJson(item)
      print(`${name}d ${clientId}`)
    })
  withExamples(command, { [`latchstring callers ${name} backend`]: 'a running server notices within a second' })
}

function addRemove(callers: Command): void {
  const command = withTenant(callers.command('remove <client_id>').description('remove one; connections that it made stay'))
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
    .action(async (clientId: string, { json, yes, ...options }: Options & ConfirmOptions) => {
      if (!(await confirmed(`removing the caller ${clientId}`, { ...(yes && { yes }) }))) return
      await asOperator(options, (ports, operator) => removeCaller(ports, operator, clientId))
      if (json) return printJson({ removed: clientId })
      print(`removed the caller ${clientId}`)
    })
  withExamples(command, { 'latchstring callers remove backend --yes': 'in a script' })
}
