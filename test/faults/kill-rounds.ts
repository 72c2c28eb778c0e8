/**
 * Kills brokers with -9 at random instants around the provider's answer, starts them again on the same store, asks again, and holds every
 * connection to what is promised about its refresh token.
 */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../../cli/port.ts'
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts'
import { renewalLimits } from '../../src/core/lost-answer.ts'
import type { Provider } from '../../src/core/provider.ts'
import { type Answered, BrokerProcess } from './broker-process.ts'
import { connect, login, setupFor } from './over-http.ts'
import { judge, type Seen, type Tally, tallyOf, type Window } from './verdict.ts'
import { type Passage, type Stage, Wire } from './wire.ts'

const HOUR_MS = 3_600_000
const TOKEN = '/api/v1/connected_apps/token?session_id='
/** How long a renewal that nobody kills stays in each place, at most. */
const JITTER_MS_MAX = 8
/** A renewal that is asked for and does not come. */
const TARGET_MS_MAX = 5000
/** What is not answered at once waits for something to be over: time then goes by, a second of it each time. */
const PATIENCE_MS = 150
const TICK_MS = 15
/** Once the lease of who died is over, what still waits is being worked on, and no window may close just because this machine is slow. */
const SLOW_TICK_MS = 250
const PORT_TRIES = 60
const WAIT_S_MAX = 300

/** Where the renewal that is aimed at is when its broker dies. */
const INSTANTS: readonly (Stage | 'asking')[] = ['asking', 'asked', 'processed', 'half answered', 'answered', 'answered']
/** Where it is when its line is cut. */
const CUTS: readonly Stage[] = ['processed', 'half answered']

export interface KillOptions {
  readonly window: Window
  readonly kills: number
  /** `cut`: every broker lives, and only the line to the provider breaks, once the refresh token is spent. Default: `kill`. */
  readonly fault?: 'kill' | 'cut'
  /** Brokers on one file, each with a port of its own; one of them is killed at a time. Default: 1. */
  readonly processes?: number
  /** Default: 8. */
  readonly connections?: number
  /** URL of an empty database. Default: a SQLite file of its own. */
  readonly database?: string
  /** Called after each kill. */
  readonly onKill?: (tally: Tally) => void
}

export async function killRounds(options: KillOptions): Promise<Tally> {
  const stage = await KillStage.open(options)
  try {
    const tally = tallyOf(options.window)
    for (let kill = 0; kill < options.kills; kill++) {
      await stage.round(tally)
      options.onKill?.(tally)
    }
    return tally
  } finally {
    await stage.close()
  }
}

/** A connection, and the how-manieth grant of the provider it is. */
interface Connected {
  readonly session: string
  readonly grant: number
}

class KillStage {
  readonly #folder: string
  readonly #setupFile: string
  readonly #variables: Readonly<Record<string, string>>
  readonly #ports: readonly number[]
  readonly #sandbox: Sandbox
  readonly #wire: Wire
  readonly #clock: { aheadMs: number }
  readonly #cuts: boolean
  readonly #leaseS: number
  #brokers: BrokerProcess[] = []
  #connected: Connected[] = []
  #bearer = ''

  private constructor(parts: {
    folder: string
    variables: Readonly<Record<string, string>>
    ports: readonly number[]
    sandbox: Sandbox
    wire: Wire
    clock: { aheadMs: number }
    cuts: boolean
    leaseS: number
  }) {
    this.#folder = parts.folder
    this.#setupFile = join(parts.folder, 'latchstring.yaml')
    this.#variables = parts.variables
    this.#ports = parts.ports
    this.#sandbox = parts.sandbox
    this.#wire = parts.wire
    this.#clock = parts.clock
    this.#cuts = parts.cuts
    this.#leaseS = parts.leaseS
  }

  static async open({ window, fault, database, processes = 1, connections = 8 }: KillOptions): Promise<KillStage> {
    const clock = { aheadMs: 0 }
    const folder = await mkdtemp(join(tmpdir(), 'latchstring-faults-'))
    const sandbox = await startSandbox({ replay_window: window, auto_approve: true, now: () => Date.now() + clock.aheadMs })
    const wire = await Wire.start(sandbox.url)
    const ports: number[] = []
    for (let i = 0; i < processes; i++) ports.push(await freePort('127.0.0.1'))
    const variables = {
      LATCHSTRING_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
      LATCHSTRING_DATABASE_URL: database ?? `sqlite:${join(folder, 'latchstring.db')}`,
      LATCHSTRING_JOURNAL_DIR: join(folder, 'journal'),
      LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64'),
    }
    const leaseS = renewalLimits(rotating(window)).leaseMs / 1000
    const stage = new KillStage({ folder, variables, ports, sandbox, wire, clock, cuts: fault === 'cut', leaseS })
    try {
      await writeFile(stage.#setupFile, setupFor(sandbox, wire.tokenUrl))
      for (const port of ports) stage.#brokers.push(await stage.#start(port))
      await stage.#login()
      for (let i = 0; i < connections; i++) stage.#connected.push(await stage.#connect())
      return stage
    } catch (error) {
      await stage.close()
      throw error
    }
  }

  /** One kill: every token has expired, all are asked for, a broker dies in the midst of it and is started again, all are asked for again. */
  async round(tally: Tally): Promise<void> {
    await this.#pass(2 * HOUR_MS)
    await this.#login()
    const { struck, acknowledged } = await this.#strike()
    const answers = await this.#askAgain()
    const doubleSpends = this.#wire.doubleSpends - tally.doubleSpends
    tally.kills++
    tally.doubleSpends += doubleSpends
    tally.renewals += struck.size
    tally.received += [...struck.values()].filter(({ stage, unread }) => stage === 'answered' && unread === 0).length
    // Where the provider fell silent, and gives nothing again, its connection is asked for once more when nothing is left to lose.
    const forgiven = this.#cuts && tally.window === 'none' ? 1 : 0
    if (doubleSpends > forgiven) tally.broken.push(`a refresh token was sent again after it was spent (${doubleSpends} times)`)
    for (const [i, { session, grant }] of this.#connected.entries()) {
      const seen: Seen = {
        answer: answers[i] ?? null,
        passage: struck.get(grant) ?? null,
        acknowledged: acknowledged.has(session),
        alive: (token) => this.#sandbox.control.alive(token),
      }
      if (judge(tally, seen) === 'working') continue
      // Its user connects again.
      this.#connected[i] = await this.#connect()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.kill()))
    await this.#wire.close()
    await this.#sandbox.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Asks for everything and kills one broker; resolves to where the renewals were, and whose new token had been handed out already. */
  async #strike(): Promise<{ struck: ReadonlyMap<number, Passage>; acknowledged: ReadonlySet<string> }> {
    const doomed = chosen(this.#brokers)
    const target = chosen(this.#connected)
    const instant = chosen(this.#cuts ? CUTS : INSTANTS)
    const acknowledged = new Set<string>()
    const death = Promise.withResolvers<void>()
    let struck: ReadonlyMap<number, Passage> | null = null
    const strike = (): void => {
      if (struck) return
      if (this.#cuts) {
        struck = this.#wire.snapshot()
        return death.resolve()
      }
      void doomed.kill(() => (struck = this.#wire.snapshot())).then(death.resolve)
      struck ??= this.#wire.snapshot()
    }
    this.#wire.watch(({ grant, stage }) => {
      if (struck) return
      if (grant !== target.grant || stage !== instant) return pause(Math.random() * JITTER_MS_MAX)
      if (this.#cuts) {
        strike()
        throw new Error('the line was cut')
      }
      if (stage === 'answered' && Math.random() < 0.3) return strike()
      setTimeout(strike, Math.random() * (stage === 'answered' ? 5 : JITTER_MS_MAX))
      return stage === 'answered' ? undefined : death.promise
    })
    // Every second connection is asked for at the one that will die, the others anywhere; each is asked for twice at once.
    const calls = this.#connected.flatMap((connected, i) => {
      const broker = connected === target || i % 2 === 0 ? doomed : chosen(this.#brokers)
      return [0, 1].map(async () => {
        const answer = await this.#token(broker, connected).catch(() => null)
        if (answer?.status === 200 && !struck) acknowledged.add(connected.session)
      })
    })
    const late = setTimeout(strike, instant === 'asking' ? Math.random() * JITTER_MS_MAX : TARGET_MS_MAX)
    await death.promise
    clearTimeout(late)
    // Of the requests on their way, some arrive although nobody is left to hear the answer, and some do not.
    await this.#wire.settle(() => !this.#cuts && Math.random() < 0.5)
    await Promise.all(calls)
    if (this.#cuts) return { struck: struck ?? new Map(), acknowledged }
    const seat = this.#brokers.indexOf(doomed)
    this.#brokers[seat] = await this.#start(this.#ports[seat] ?? 0)
    return { struck: struck ?? new Map(), acknowledged }
  }

  /** Asks for every token until it is had or lost for good, while time goes by. null: neither within five minutes. */
  async #askAgain(): Promise<readonly (Answered | null)[]> {
    let waitedS = 0
    let left = this.#connected.length
    const answers = this.#connected.map(async (connected) => {
      while (waitedS < WAIT_S_MAX) {
        const answer = await this.#token(chosen(this.#brokers), connected)
        if (answer.status < 500) {
          left--
          return answer
        }
        await pause(TICK_MS)
      }
      return null
    })
    await Promise.race([pause(PATIENCE_MS), Promise.all(answers)])
    for (; left > 0 && waitedS < WAIT_S_MAX; waitedS++) {
      await this.#pass(1000)
      await pause(waitedS < this.#leaseS - 1 ? TICK_MS : SLOW_TICK_MS)
    }
    return Promise.all(answers)
  }

  #token(broker: BrokerProcess, { session }: Connected): Promise<Answered> {
    return broker.ask(TOKEN + session, { bearer: this.#bearer })
  }

  /** Its address stays the same. Whoever on this machine took its port while it was dead is waited for. */
  async #start(port: number): Promise<BrokerProcess> {
    const variables = { ...this.#variables, LATCHSTRING_PORT: String(port) }
    for (let tries = 1; ; tries++) {
      try {
        return await BrokerProcess.start(this.#setupFile, variables, this.#clock.aheadMs)
      } catch (error) {
        if (tries === PORT_TRIES || !/port \d+ is taken/.test(String(error))) throw error
        await pause(500)
      }
    }
  }

  /** Time goes by, for brokers and provider alike. */
  async #pass(ms: number): Promise<void> {
    this.#clock.aheadMs += ms
    const { aheadMs } = this.#clock
    await Promise.all(this.#brokers.map((broker) => broker.setClock(aheadMs)))
  }

  async #login(): Promise<void> {
    this.#bearer = await login(chosen(this.#brokers))
  }

  async #connect(): Promise<Connected> {
    let grant = 0
    const session = await connect(chosen(this.#brokers), this.#bearer, () => (grant = this.#wire.grants))
    return { session, grant }
  }
}

function rotating(window: Window): Provider {
  return {
    id: 'faults',
    name: 'Faults',
    mode: 'oauth2',
    rotation: { window: typeof window === 'number' ? `${window}s` : window },
  }
}

function chosen<T>(from: readonly T[]): T {
  const one = from[Math.floor(Math.random() * from.length)]
  if (one === undefined) throw new Error('there is nothing to choose from')
  return one
}
