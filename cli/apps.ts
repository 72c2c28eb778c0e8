/** `latchstring apps`: the registrations at providers. Making and changing them is `apply`. */

import type { Command } from 'commander'
import type { AppItem } from '../sdk/src/wire.ts'
import { listApps, readApp, removeApp } from '../src/core/manage.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { card, print, printJson, table } from './terminal.ts'

interface Options extends TenantOptions {
  readonly json?: boolean
}

export function addApps(program: Command): void {
  const apps = program.command('apps').description('your registrations at providers; `apply` makes and changes them')
  withExamples(apps, {
    'latchstring apps list': 'all of a tenant',
    'latchstring apps show github': 'with the redirect URI to register at the provider',
    'latchstring apps remove github': 'once its connections are revoked',
  })

  withExamples(withTenant(apps.command('list').description('all of a tenant')).option('--json', 'for programs').action(list), {
    'latchstring apps list --tenant acme': "another tenant's",
  })
  async function list({ json, ...options }: Options): Promise<void> {
    const items = await asOperator(options, async (ports, operator) => {
      const { appItem } = await import('../src/http/items.ts')
      return (await listApps(ports, operator)).map((app) => appItem(ports, app))
    })
    if (json) return printJson({ apps: items })
    print(
      table(items, [
        { title: 'KEY_CODE_REF', cell: (app) => app.key_code_ref },
        { title: 'PROVIDER', cell: (app) => app.provider },
        { title: 'NAME', cell: (app) => app.name },
        { title: 'USER BINDING', cell: (app) => app.user_binding },
        { title: 'CALLBACK', cell: (app) => app.callback_url },
      ]),
    )
  }

  withExamples(
    withTenant(apps.command('show <key_code_ref>').description('one, with the redirect URI to register at its provider'))
      .option('--json', 'for programs')
      .action(show),
    { 'latchstring apps show github --json': 'for programs' },
  )
  async function show(keyCodeRef: string, { json, ...options }: Options): Promise<void> {
    const app = await asOperator(options, async (ports, operator) => {
      const { appItem } = await import('../src/http/items.ts')
      return appItem(ports, await readApp(ports, operator, keyCodeRef))
    })
    if (json) return printJson(app)
    print(card(fieldsOf(app)))
  }

  withExamples(
    withTenant(apps.command('remove <key_code_ref>').description('remove one that has no connections left but revoked ones'))
      .option('-y, --yes', 'without asking')
      .option('--json', 'for programs')
      .action(remove),
    { 'latchstring apps remove github --yes': 'in a script' },
  )
  async function remove(keyCodeRef: string, { json, yes, ...options }: Options & ConfirmOptions): Promise<void> {
    if (!(await confirmed(`removing the app ${keyCodeRef}`, { ...(yes && { yes }) }))) return
    await asOperator(options, (ports, operator) => removeApp(ports, operator, keyCodeRef))
    if (json) return printJson({ removed: keyCodeRef })
    print(`removed the app ${keyCodeRef}`)
  }
}

function fieldsOf(app: AppItem): Record<string, string | null> {
  return {
    key_code_ref: app.key_code_ref,
    tenant: app.tenant,
    provider: app.provider,
    name: app.name,
    client_id: app.client_id,
    scopes: app.scopes.join(' '),
    user_binding: app.user_binding,
    redirect_uri: `${app.redirect_uri}   (register this at the provider)`,
    callback_url: app.callback_url,
    allowed_callback_urls: app.allowed_callback_urls.join(' '),
    config: Object.entries(app.config)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', '),
    one_per_owner: String(app.one_per_owner),
    one_per_account: String(app.one_per_account),
    allow_account_change: String(app.allow_account_change),
    required_scopes: app.required_scopes.join(' '),
    shared_redirect_uri: String(app.shared_redirect_uri),
    revoke_when_unused: app.revoke_when_unused,
    created_at: app.created_at,
    updated_at: app.updated_at,
  }
}
