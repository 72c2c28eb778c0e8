/** One PostgreSQL database: a small pool for what is written, one pipelined connection for point reads. */

import { Socket } from 'node:net'
import { Client, type ClientBase, type ClientConfig, Pool, type PoolClient } from 'pg'
import { isCollision, isLost, isReadOnly, isSilent } from './postgres-failure.ts'
import { type Ask, type Asked, statement, TYPES, type Values } from './postgres-statement.ts'

/** Each renewal holds one for about a millisecond, twice: more would wait for the same disk. */
const POOL_MAX = 10
/** To get a connection, new or free. */
const CONNECT_MS_MAX = 5_000
/** The server gives up first, and says why. */
const STATEMENT_MS_MAX = 8_000
const ANSWER_MS_MAX = 10_000
const LOCK_MS_MAX = 5_000
/** How often work is begun again that another transaction was in the way of, or a server that is the primary no more. */
const TRIES_MAX = 10
/** For how long a connection to a server that takes no writes is used: where none takes any, for hours, not every request makes a new one. */
const READ_ONLY_MS = 2_000

/**
 * For every connection of ours. A commit that is acknowledged before it is on the disk would lose refresh tokens that exist nowhere else:
 * where that is the default, our sessions wait all the same. Any other value of `synchronous_commit` waits at least for the disk.
 */
const SETTINGS = `select
  set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on' else current_setting('synchronous_commit') end, false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('statement_timeout', '${STATEMENT_MS_MAX}', false),
  set_config('lock_timeout', '${LOCK_MS_MAX}', false),
  set_config('idle_in_transaction_session_timeout', '${ANSWER_MS_MAX}', false),
  current_setting('transaction_read_only') as read_only`

/**
 * Connections to servers that take no writes, with the moment that this was seen. After a failover the primary of before may be back, as a standby,
 * while its name still leads to it. Who connects to it then is answered, is not cut off and is hardly ever idle: nothing takes them away by itself.
 */
const readOnlySince = new WeakMap<ClientBase, number>()

/** A connection of its own, for what takes long; errors that come when nobody asks anything must not end the process. */
export async function connectTo(url: string, options: ClientConfig = {}): Promise<Client> {
  const client = new Client({ ...connection(url), ...options })
  client.on('error', ignore)
  try {
    await client.connect()
    await setUp(client)
    return client
  } catch (error) {
    await client.end()
    throw error
  }
}

async function setUp(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ read_only: string }>(SETTINGS)
  if (rows[0]?.read_only === 'on') readOnlySince.set(client, performance.now())
}

export class PostgresDatabase {
  readonly #url: string
  readonly #answerMs: number
  readonly #readOnlyMs: number
  readonly #pool: Pool
  #reader: Promise<Client> | null = null
  /** Of the reader, once it is there. Under TLS it is not what is written to, and holding it back does nothing. */
  #socket: Socket | null = null
  /** From then on reads connect anew. */
  #readerUntil = Infinity
  #closed = false

  constructor(
    url: string,
    { answerMs = ANSWER_MS_MAX, readOnlyMs = READ_ONLY_MS }: { readonly answerMs?: number; readonly readOnlyMs?: number } = {},
  ) {
    this.#url = url
    this.#answerMs = answerMs
    this.#readOnlyMs = readOnlyMs
    this.#pool = new Pool({
      ...connection(url),
      query_timeout: answerMs,
      max: POOL_MAX,
      onConnect: (client) => {
        client.on('error', ignore) // the pool listens only while nobody uses it
        // The pool waits for this, although its types do not say so.
        return setUp(client) as unknown as void
      },
    })
    this.#pool.on('error', ignore)
  }

  /** One statement, which is a transaction by itself: durable when it is answered. */
  readonly ask: Ask = async (sql, values = {}) => this.#withClient((client) => answer(client, sql, values))

  /**
   * A point read: any number of them travel one connection without waiting for each other. One that was under way when the connection was
   * lost is asked once more, over a new one.
   */
  readonly point: Ask = async (sql, values = {}) => {
    const first = this.#reading()
    this.#together()
    try {
      return await answer(await first, sql, values)
    } catch (error) {
      if (this.#closed || !isLost(error)) throw error
      this.#forget(first)
      return answer(await this.#reading(), sql, values)
    }
  }

  /** `work` may be done again from its beginning when another transaction was in its way, so it does nothing but ask. */
  async transaction<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    return this.#withClient(async (client) => {
      await client.query('begin')
      const result = await work((sql, values = {}) => answer(client, sql, values))
      const { command } = await client.query('commit')
      if (command !== 'COMMIT') throw new Error(`the transaction ended with ${command}`)
      return result
    })
  }

  /** What takes as long as it takes, and runs outside of transactions. */
  async maintain(sql: string): Promise<void> {
    const client = await connectTo(this.#url)
    try {
      await client.query('set statement_timeout = 0')
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const reader = await this.#reader?.catch(() => null)
    await Promise.all([this.#pool.end(), reader?.end()])
  }

  async #withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      const client = await this.#lend()
      try {
        const result = await work(client)
        client.release()
        return result
      } catch (error) {
        const again = isCollision(error) || (isReadOnly(error) && this.#leave(client))
        await this.#giveBack(client, error)
        if (!again || tries === TRIES_MAX) throw error
      }
    }
  }

  async #lend(): Promise<PoolClient> {
    for (;;) {
      const client = await this.#pool.connect()
      if (performance.now() < this.#usableUntil(client)) return client
      client.release(true)
    }
  }

  #usableUntil(client: ClientBase): number {
    return (readOnlySince.get(client) ?? Infinity) + this.#readOnlyMs
  }

  /** It took writes when it was connected to, so that somebody else does by now; neither it nor the reader is used again. Says whether it did. */
  #leave(client: ClientBase): boolean {
    if (readOnlySince.has(client)) return false
    readOnlySince.set(client, -Infinity)
    this.#readerUntil = -Infinity
    return true
  }

  /**
   * As it was lent. What cannot be rolled back is closed, which rolls it back too. So is what did not answer: the driver takes it for sound, and a way
   * that swallows everything would be lent again and again until the system gives it up, a quarter of an hour later.
   */
  async #giveBack(client: PoolClient, error: unknown): Promise<void> {
    const status = client.getTransactionStatus()
    const sound = !isSilent(error) && (status === 'I' || (status !== null && (await client.query('rollback').then(yes, no))))
    client.release(!sound)
  }

  #reading(): Promise<Client> {
    const before = this.#reader
    if (before && performance.now() < this.#readerUntil) return before
    // What it was asked it still answers.
    void before?.then((client) => client.end(), ignore)
    const socket = new Socket()
    const opening = connectTo(this.#url, { pipeline: true, query_timeout: this.#answerMs, stream: () => socket })
    this.#reader = opening
    this.#socket = null
    this.#readerUntil = Infinity
    opening.then(
      (client) => {
        if (this.#reader !== opening) return
        this.#socket = socket
        this.#readerUntil = this.#usableUntil(client)
        client.on('end', () => this.#forget(opening))
      },
      () => this.#forget(opening),
    )
    return opening
  }

  /** What is asked within one turn of the event loop goes out in one write: each by itself would cost the system more than the question. */
  #together(): void {
    const socket = this.#socket
    if (!socket || socket.writableCorked > 0) return
    socket.cork()
    setImmediate(() => socket.uncork())
  }

  /** The next read connects anew. */
  #forget(reader: Promise<Client>): void {
    if (this.#reader !== reader) return
    this.#reader = null
    this.#socket = null
  }
}

function connection(url: string): ClientConfig {
  return {
    connectionString: url,
    application_name: 'latchstring',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
    types: TYPES,
  }
}

async function answer(client: ClientBase, sql: string, values: Values): Promise<Asked> {
  const { rows, rowCount } = await client.query(statement(sql, values))
  return { rows, count: rowCount ?? 0 }
}

function ignore(): void {}

const yes = () => true
const no = () => false
