/** `latchstring events`: what happened to connections. */

import { type Command, Option } from 'commander'
import type { Caller } from '../src/core/caller.ts'
import {
  EVENT_TYPES,
  type EventPage,
  type EventType,
  listEvents,
  type Message,
  messageOf,
  positionOf,
} from '../src/core/event.ts'
import type { Ports } from '../src/core/ports.ts'
import { replay } from '../src/core/webhooks.ts'
import { countOf } from './count.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { print, printJson, remark, table } from './terminal.ts'

interface ListOptions extends TenantOptions {
  readonly type?: EventType
  readonly session?: string
  readonly after?: string
  readonly limit: number
  readonly json?: boolean
}

const LIMIT = 100

export function addEvents(program: Command): void {
  const events = program.command('events').description('what happened to connections')
  withExamples(events, {
    'latchstring events list --type connection.broken': 'whom to ask to connect again, and since when',
  })
  addList(events)
  addReplay(events)
}

function addList(events: Command): void {
  const command = withTenant(events.command('list').description('oldest first; filters narrow each other'))
    .addOption(new Option('--type <type>', 'only these').choices(EVENT_TYPES))
    .option('--session <session_id>', "only this connection's")
    .option('--after <event|moment>', 'after an event, by its id, or from a moment on')
    .option('--limit <n>', 'as many as this', countOf, LIMIT)
    .option('--json', 'for programs')
    .action(async ({ json, ...options }: ListOptions) => {
      const { events: items, more } = await asOperator(options, (ports, operator) => listed(ports, operator, options))
      if (more) remark(`There are more than these ${options.limit}: go on with --after ${items.at(-1)?.id}, or say --limit.`)
      if (json) return printJson({ events: items, more })
      print(
        table(items, [
          { title: 'ID', cell: (event) => event.id },
          { title: 'TIME', cell: (event) => event.timestamp.slice(0, 19) },
          { title: 'TYPE', cell: (event) => event.type },
          { title: 'SESSION_ID', cell: (event) => event.data.session_id },
          { title: 'APP', cell: (event) => event.data.key_code_ref },
          { title: 'USER', cell: (event) => event.data.user_id },
          { title: 'ORG', cell: (event) => event.data.org_code },
          { title: 'REASON', cell: (event) => event.data.reason },
        ]),
      )
    })
  withExamples(command, {
    'latchstring events list --session SESSION_ID': 'the life of one connection',
    'latchstring events list --after evt_4711 --json': 'for a script that keeps the last id that it saw',
  })
}

interface ReplayOptions extends TenantOptions {
  readonly webhook: string
  readonly from: string
  readonly json?: boolean
}

function addReplay(events: Command): void {
  const command = withTenant(events.command('replay').description('send them to a webhook once more, under the ids they had'))
    .requiredOption('--webhook <webhook_id>', 'where to')
    .requiredOption('--from <event|moment>', 'what came after an event, by its id, or from a moment on')
    .option('--json', 'for programs')
    .action(async ({ json, webhook, from, ...options }: ReplayOptions) => {
      const queued = await asOperator(options, (ports, operator) => replay(ports, operator, webhook, from))
      if (json) return printJson({ queued })
      print(`${queued} ${queued === 1 ? 'event is' : 'events are'} sent again`)
    })
  withExamples(command, {
    'latchstring events replay --webhook WEBHOOK_ID --from 2026-11-23T09:00:00Z': 'after a receiver lost what it had taken',
  })
}

/** Page after page, until there are enough: pages may be short. */
async function listed(
  ports: Ports,
  operator: Caller,
  { type, session, after, limit }: ListOptions,
): Promise<{ events: Message[]; more: boolean }> {
  const from = after === undefined ? { after: 0 } : positionOf(after)
  const filter = {
    ...(type !== undefined && { type }),
    ...(session !== undefined && { session }),
    ...(from.since !== undefined && { since: from.since }),
  }
  const events: Message[] = []
  let next: number | null = from.after
  do {
    const page: EventPage = await listEvents(ports, operator, filter, { after: next, size: limit - events.length })
    events.push(...page.events.map(messageOf))
    next = page.next
  } while (next !== null && events.length < limit)
  return { events, more: next !== null }
}
