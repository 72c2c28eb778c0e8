/** `latchstring issuers`: whose tokens are taken from callers, beside our own. They are set up with `apply`. */

import type { Command } from 'commander'
import { BrokerError } from '../src/core/errors.ts'
import { listIssuers, removeIssuer } from '../src/core/manage.ts'
import { DEFAULT_TENANT } from '../src/core/setup.ts'
import { type ConfirmOptions, confirmed } from './confirm.ts'
import { withExamples } from './help.ts'
import { asOperator } from './operator.ts'
import { print, printJson, table } from './terminal.ts'

interface Options {
  readonly json?: boolean
}

/** They belong to no tenant. */
const everybody = { tenant: DEFAULT_TENANT }

export function addIssuers(program: Command): void {
  const issuers = program.command('issuers').description('whose tokens are taken from callers; `apply` sets them up')
  withExamples(issuers, {
    'latchstring issuers list': 'all of them',
    'latchstring issuers remove https://login.example.com': 'its tokens are refused from then on',
  })
  const listing = issuers.command('list').description('all of them').option('--json', 'for programs')
  withExamples(listing.action(list), { 'latchstring issuers list --json': 'for programs' })

  const removal = issuers
    .command('remove <issuer>')
    .description('refuse its tokens; what its callers made stays')
    .option('-y, --yes', 'without asking')
    .option('--json', 'for programs')
  withExamples(removal.action(remove), { 'latchstring issuers remove https://login.example.com --yes': 'in a script' })
}

async function list({ json }: Options): Promise<void> {
  const found = await asOperator(everybody, (ports) => listIssuers(ports))
  if (json) return printJson({ trusted_issuers: found.map(({ issuer, audience, tenant }) => ({ issuer, audience, tenant })) })
  print(
    table(found, [
      { title: 'ISSUER', cell: ({ issuer }) => issuer },
      { title: 'AUDIENCE', cell: ({ audience }) => audience },
      { title: 'TENANT', cell: ({ tenant }) => ('named' in tenant ? tenant.named : `as ${tenant.claim} says`) },
    ]),
  )
}

async function remove(issuer: string, { json, yes }: Options & ConfirmOptions): Promise<void> {
  if (!(await confirmed(`removing the trusted issuer ${issuer}`, { ...(yes && { yes }) }))) return
  const removed = await asOperator(everybody, (ports, operator) => removeIssuer(ports, operator.name, issuer))
  if (!removed) throw new BrokerError('NOT_FOUND', `no trusted issuer ${issuer}`)
  if (json) return printJson({ removed: issuer })
  print(`removed the trusted issuer ${issuer}`)
}
