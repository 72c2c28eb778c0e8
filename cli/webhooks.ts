/** `latchstring webhooks`: where applications are told of events. */

import { type Command, Option } from 'commander'
import type { WebhookItem } from '../sdk/src/wire.ts'
import { EVENT_TYPES, type EventType } from '../src/core/event.ts'
import {
  createWebhook,
  listDeliveries,
  listWebhooks,
  removeWebhook,
  rotateWebhook,
  testWebhook,
  type WithSecret,
} from '../src/core/webhooks.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { countOf } from './count.ts'
import { FAILED } from './failure.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { print, printJson, remark, table } from './terminal.ts'

interface Options extends TenantOptions {
  readonly json?: boolean
}

const LIMIT = 100

export function addWebhooks(program: Command): void {
  const webhooks = program.command('webhooks').description('where applications are told of events')
  withExamples(webhooks, {
    'latchstring webhooks create https://app.example.com/hooks': 'its secret is printed once',
    'latchstring webhooks dead WEBHOOK_ID': 'what was not taken for a day',
    'latchstring events replay --webhook WEBHOOK_ID --from evt_4711': 'send it again',
  })
  addList(webhooks)
  addCreate(webhooks)
  addTest(webhooks)
  addRotate(webhooks)
  addDead(webhooks)
  addRemove(webhooks)
}

function addList(webhooks: Command): void {
  const command = withTenant(webhooks.command('list').description('all of a tenant'))
    .option('--json', 'for programs')
    .action(async ({ json, ...options }: Options) => {
      const items = await asOperator(options, async (ports, operator) => {
        const { webhookItem } = await import('../src/http/items.ts')
        return (await listWebhooks(ports, operator)).map((webhook) => webhookItem(ports, webhook))
      })
      if (json) return printJson({ webhooks: items })
      print(
        table(items, [
          { title: 'ID', cell: (webhook) => webhook.id },
          { title: 'URL', cell: (webhook) => webhook.url },
          { title: 'TYPES', cell: (webhook) => webhook.types?.join(' ') ?? 'all' },
          { title: 'PRIVATE', cell: (webhook) => (webhook.allow_private_network ? 'allowed' : null) },
          { title: 'CREATED', cell: (webhook) => webhook.created_at.slice(0, 16) },
        ]),
      )
    })
  withExamples(command, { 'latchstring webhooks list --tenant acme': "another tenant's" })
}

interface CreateOptions extends Options {
  readonly type?: EventType[]
  readonly allowPrivateNetwork?: boolean
}

function addCreate(webhooks: Command): void {
  const command = withTenant(webhooks.command('create <url>').description('send events there from now on'))
    .addOption(new Option('--type <type...>', 'only these; left out: all').choices(EVENT_TYPES))
    .option('--allow-private-network', 'it may lead to private and loopback addresses, and over http')
    .option('--json', 'for programs')
    .action(async (url: string, { json, type, allowPrivateNetwork = false, ...options }: CreateOptions) => {
      const types = type ? [...new Set(type)] : null
      const made = await asOperator(options, (ports, operator) =>
        createWebhook(ports, operator, { url, types, secret: null, allowPrivateNetwork }),
      )
      await show(made, `created ${made.webhook.id}`, json)
    })
  withExamples(command, {
    'latchstring webhooks create https://app.example.com/hooks --type connection.broken': '',
    'latchstring webhooks create http://app.internal:8080/hooks --allow-private-network': 'inside',
  })
}

function addTest(webhooks: Command): void {
  const command = withTenant(
    webhooks
      .command('test <webhook_id>')
      .description('send one a message of its own type at once; ends with 1 if it is not taken'),
  )
    .option('--json', 'for programs')
    .action(async (id: string, { json, ...options }: Options) => {
      const sent = await asOperator(options, (ports, operator) => testWebhook(ports, operator, id))
      const reason = sent.outcome === 'failed' ? sent.reason : null
      if (reason !== null) process.exitCode = FAILED
      if (json) return printJson({ delivered: reason === null, reason })
      print(reason === null ? `${id} took it` : `${id} did not take it: ${reason}`)
    })
  withExamples(command, { 'latchstring webhooks test WEBHOOK_ID': 'whether it can be reached, and verifies what it is sent' })
}

function addRotate(webhooks: Command): void {
  const command = withTenant(webhooks.command('rotate <webhook_id>').description('give one another secret; for a day both sign'))
    .option('--json', 'for programs')
    .action(async (id: string, { json, ...options }: Options) => {
      const rotated = await asOperator(options, (ports, operator) => rotateWebhook(ports, operator, id, null))
      await show(rotated, `${id} has a new secret; the one before signs for another day`, json)
    })
  withExamples(command, { 'latchstring webhooks rotate WEBHOOK_ID': 'the new one is printed once' })
}

/** The only time that the secret can be seen: afterwards it is sealed. */
async function show({ webhook, generated }: WithSecret, sentence: string, json: boolean | undefined): Promise<void> {
  const { webhookItem } = await import('../src/http/items.ts')
  const item: WebhookItem = webhookItem({ now: Date.now }, webhook)
  if (json) return printJson({ ...item, secret: generated?.reveal() })
  print(sentence)
  if (generated) print(`secret of ${webhook.id}, shown this once: ${generated.reveal()}`)
}

function addDead(webhooks: Command): void {
  const command = withTenant(webhooks.command('dead <webhook_id>').description('events that were not taken for a day'))
    .option('--limit <n>', 'as many as this', countOf, LIMIT)
    .option('--json', 'for programs')
    .action(async (id: string, { json, limit, ...options }: Options & { readonly limit: number }) => {
      const { items, more } = await asOperator(options, async (ports, operator) => {
        const page = await listDeliveries(ports, operator, id, { state: 'dead', after: 0, size: limit })
        const { deliveryItem } = await import('../src/http/items.ts')
        return { items: page.deliveries.map(deliveryItem), more: page.next !== null }
      })
      if (more) remark(`There are more than these ${limit}: say --limit.`)
      if (json) return printJson({ deliveries: items, more })
      print(
        table(items, [
          { title: 'EVENT', cell: ({ event }) => event.id },
          { title: 'TIME', cell: ({ event }) => event.timestamp.slice(0, 19) },
          { title: 'TYPE', cell: ({ event }) => event.type },
          { title: 'SESSION_ID', cell: ({ event }) => event.data.session_id },
          { title: 'ATTEMPTS', cell: ({ attempts }) => String(attempts) },
          { title: 'REASON', cell: ({ reason }) => reason },
        ]),
      )
    })
  withExamples(command, { 'latchstring webhooks dead WEBHOOK_ID --json': 'for programs' })
}

function addRemove(webhooks: Command): void {
  const command = withTenant(
    webhooks.command('remove <webhook_id>').description('send nothing there any more; what waits is forgotten'),
  )
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
    .action(async (id: string, { json, yes, ...options }: Options & ConfirmOptions) => {
      if (!(await confirmed(`removing the webhook ${id}`, { ...(yes && { yes }) }))) return
      await asOperator(options, (ports, operator) => removeWebhook(ports, operator, id))
      if (json) return printJson({ removed: id })
      print(`removed the webhook ${id}`)
    })
  withExamples(command, { 'latchstring webhooks remove WEBHOOK_ID --yes': 'in a script' })
}
