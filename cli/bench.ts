/** `latchstring bench`: a store full of connections, to see how the broker does with as many as you will have. */

import type { Command } from 'commander'
import { apply } from '../src/core/apply.ts'
import type { Ports } from '../src/core/ports.ts'
import type { Provider } from '../src/core/provider.ts'
import type { AppSetup } from '../src/core/setup.ts'
import { dayOf } from '../src/core/usage.ts'
import { countOf } from './count.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { seed, seededSession } from './seed.ts'
import { print, printJson, remark } from './terminal.ts'

interface Options extends TenantOptions {
  readonly connections: number
  readonly app: string
  readonly life: number
  readonly expired?: boolean
  readonly json?: boolean
}

const APP = 'bench'
const HOUR_S = 3600
/** Between two lines of progress. */
const TOLD_EVERY = 10_000

export function addBench(program: Command): void {
  const bench = program.command('bench').description('try the broker with as many connections as you will have')
  withExamples(bench, {
    'LATCHSTRING_DATABASE_URL=sqlite:bench/bench.db latchstring bench seed --connections 10000': 'a store to try things on',
  })
  const command = withTenant(bench.command('seed').description('fill a store of its own with connections, sealed as all are'))
    .requiredOption('--connections <n>', 'how many there shall be', countOf)
    .option('--app <key_code_ref>', 'which app they belong to; one is made unless another is named', APP)
    .option('--life <seconds>', 'how long their tokens live', countOf, 24 * HOUR_S)
    .option('--expired', 'their tokens have ended: each is renewed when it is asked for')
    .option('--json', 'for programs')
    .action(run)
  withExamples(command, {
    'LATCHSTRING_DATABASE_URL=sqlite:bench/bench.db latchstring bench seed --connections 1000000':
      'stopped on its way, run it again: it goes on',
  })
}

async function run({ json, connections, app, life, expired = false, ...options }: Options): Promise<void> {
  const { tenant } = options
  const made = await asOperator(options, async (ports, operator) => {
    const known = await ports.registry.app(tenant, app)
    if (!known && app !== APP)
      throw new UsageError(`there is no app ${app} in ${tenant}: apply a file with it first, or leave out --app`)
    // A store that is refused is left as it is.
    await assertOfItsOwn(ports, tenant, app)
    const provider = known?.provider ?? (await madeProvider(ports, operator.name, tenant))
    const lifeMs = life * 1000
    const expiresAt = expired ? ports.now() - 1000 : ports.now() + lifeMs
    const progress = (there: number): void => {
      if (there % TOLD_EVERY === 0 || there === connections) remark(`${there} of ${connections}`)
    }
    return seed(ports, { tenant, app, provider, connections, expiresAt, lifeMs, usedAt: dayOf(ports.now()), progress })
  })
  const [first, last] = [seededSession(app, 0), seededSession(app, connections - 1)]
  if (json) return printJson({ connections, made, first_session_id: first, last_session_id: last })
  print(`${connections} connections of ${app}, ${made} of them new; one of them is ${first}`)
}

/** Nobody wants a million connections that nobody made among their own. */
async function assertOfItsOwn({ store }: Ports, tenant: string, app: string): Promise<void> {
  const countOfAll = async (filter: Parameters<typeof store.connections.count>[0]): Promise<number> =>
    Object.values(await store.connections.count(filter)).reduce((sum, count) => sum + count, 0)
  if ((await countOfAll({})) > (await countOfAll({ tenant, app })))
    throw new UsageError(`this store holds connections of others than ${app}: fill one of its own (LATCHSTRING_DATABASE_URL)`)
}

/** That of the app of ours, which is made with it. */
async function madeProvider(ports: Ports, actor: string, tenant: string): Promise<string> {
  await apply(ports, actor, { providers: [PROVIDER], apps: [{ ...PLAIN_APP, tenant }], callers: [] })
  return PROVIDER.id
}

/** Nobody listens there: who wants renewals applies an app of theirs. */
const PROVIDER: Provider = {
  id: APP,
  name: 'Bench',
  mode: 'oauth2',
  authorize_url: 'http://127.0.0.1:9/authorize',
  token_url: 'http://127.0.0.1:9/token',
  allow_private_network: true,
}

const PLAIN_APP: Omit<AppSetup, 'tenant'> = {
  keyCodeRef: APP,
  provider: PROVIDER.id,
  name: 'Bench',
  clientId: 'bench',
  clientSecret: null,
  privateKey: null,
  scopes: ['files.read'],
  callbackUrl: null,
  allowedCallbackUrls: [],
  userBinding: 'confirm',
  config: {},
  onePerOwner: false,
  sharedRedirectUri: false,
  revokeWhenUnused: null,
  onePerAccount: false,
  allowAccountChange: false,
  requiredScopes: [],
}
